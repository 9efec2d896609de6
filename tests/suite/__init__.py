"""`make test`: runs the folders of tests side by side, in lanes. Start at `lanes.py`."""
