"""The thin outside of the operator: kopf watches, a queue of plan names, API calls, settings.

Nothing here decides what becomes of a plan; it observes, asks `scanplan.core.reconcile`, and does what the answer says.
"""
