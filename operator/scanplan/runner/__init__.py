"""The runner: the program in the scan pod that makes Nuclei a reliable part.

Nuclei exits 0 on a full disk, on unreachable targets and on half-broken template sets. The runner reads its output,
writes the findings itself with every write checked, and says at the end, in one report, what really happened. `nuclei` starts the
scanner and judges what it did, `artifacts` writes and merges what was found, and `shard` puts them together for pod, queue worker
and laptop alike. `exporting` sends results on. At its start nothing here imports more than the standard library and msgspec, so
that a pod is scanning a tenth of a second after it started.
"""
