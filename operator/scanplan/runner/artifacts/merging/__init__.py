"""The result of a scan, made of its shards: one file of findings, their history, the report, and what counts of them.

Start at `merge.py`.
"""
