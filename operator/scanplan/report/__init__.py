"""What people get of a scan: its findings as SARIF, as CSV and as one HTML page.

Everything here is a pure function from a scan's two artifacts (the findings and the record beside them) to bytes, made piece by
piece, so that a scan of any size can be reported. It needs nothing but msgspec, as the runner does, and knows no clock, disk
or network. All that findings say comes from scanned hosts: nothing of it is trusted, in any of the formats.
"""
