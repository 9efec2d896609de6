"""The operator's work: watches, the reconcile loop, and the settings of both.

Start at `app.py`, which runs while the operator leads (`scanplan.operator` composes the whole process). `scanplan.py` is the loop
around the pure reconcile of a ScanPlan. It takes what it decides on from `reads/`, and hands over to `writes/`. `engine/` is what
any kind needs (queue, lease, probes); `cache/` holds what the watches bring; `observer.py` is for those who listen in.
"""
