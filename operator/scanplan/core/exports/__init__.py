"""The decision about the exports of one plan whose scan has ended. Start at `due`; `scanplan.core.reconcile.exporting` decides."""
