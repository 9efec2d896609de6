"""A shard's part of a long list of endpoints, which its pod reads: from a file, or from an object of an S3 server.

Start at `endpoints_file.py`.
"""
