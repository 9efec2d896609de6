"""Decides what the status of a ScanException says, from the results of its namespace (`status`), and which act (`force`)."""
