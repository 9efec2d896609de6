"""A cluster with the operator in it, as the end-to-end tests have one, for the commands."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import cluster
from tests.cluster import Cluster
from tests.e2e.conftest import archives, installed, stage

__all__ = ["archives", "installed", "running", "stage"]


@pytest.fixture(scope="session")
def running() -> Iterator[Cluster]:
    """One of these tests' own: those of the end-to-end tests may run in the same session."""
    made = cluster.up(f"cli-{os.getpid()}")
    yield made
    made.down()
