"""What all tests share: fixtures that several folders use, and settings of Hypothesis.

A session has at most one control plane (`cluster`) and one node (`running`), whatever folders it runs. Three folders have one of
their own, and say why: faults, chart, and tests of the cluster's own programs.
"""

from __future__ import annotations

import gc

import hypothesis
import pytest

pytest_plugins = (
    "tests.suite.interruption",
    "tests.fixtures.scans",
    "tests.fixtures.control_plane",
    "tests.fixtures.operators",
    "tests.fixtures.queues",
    "tests.fixtures.node",
)

# How long it takes to make an example or to run it depends on the machine, and tests assert no timings.
hypothesis.settings.register_profile("scanplan", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("scanplan")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Modules and tests stay to the end: leave them out of every collection of garbage, a fifth of some tests' time otherwise."""
    del session
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
