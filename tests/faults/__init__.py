"""What happens when things go wrong: one test a row of the fault matrix (docs/reliability.md), and one oracle for all of them.

`proxy` and `faults` stand between the operator and the API server; `node` stands in for what runs pods; `history` sees everything
that happens, and `oracle` judges it. `case` puts them together for one run, `lives` are what plans go through meanwhile.
"""
