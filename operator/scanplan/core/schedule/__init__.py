"""Decides when a ScanSchedule makes a run: `reconcile` is the decision, `timetable` says which times there are."""
