"""The monitoring API: tasks, queue and artifacts over HTTP, for every kind of queue.

It reads, and changes nothing. Who may read is decided by Kubernetes itself (`api/access`). What is served is what a `TaskQueue`
knows, so the same program monitors scans in a process, on Redis and in a cluster.
"""
