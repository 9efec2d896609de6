"""Findings over time: which records are the same finding, and what has become of it since it was first seen.

Pure functions from bytes to values, shared by the runner, the reports, the API and the command line. Start at `identity`.
"""
