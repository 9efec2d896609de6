"""Reports of a scan for people and tools: its findings as SARIF, as CSV and as one HTML page.

Everything here is a pure function from a scan's two artifacts (the findings and the record beside them) to bytes. The bytes come
in pieces, so a scan of any size can be reported. The package needs only msgspec, as the runner does, and uses no clock, disk or
network. Findings come from scanned hosts, so no format trusts their text.
"""
