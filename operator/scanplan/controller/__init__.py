"""The operator process: watches, the reconcile loop, and the settings of both.

Start at `app.py`, which composes the process. `scanplan.py` is the loop around the pure reconcile of a ScanPlan;
`engine/` is what any kind needs (queue, lease, probes); `cache/` holds what the watches bring.
"""
