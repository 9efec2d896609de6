"""Findings of running scans as server-sent events: one reading of a claim for all who look at the same plan."""
