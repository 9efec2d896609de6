"""Decides what the status of a ScanException says, from the results of its namespace: `status` is the decision."""
