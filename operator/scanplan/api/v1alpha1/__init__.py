"""Kinds of version v1alpha1, one module each, beside what they share: conditions, references, windows.

Start at `scanplan.py`, what a user writes, and `scanplan_status.py`, what a user reads. `plan/` holds the parts of a plan's spec.
"""
