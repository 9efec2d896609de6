"""A cluster with the operator in it, as the end-to-end tests have one, for the commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import deploy
from tests.cluster import Cluster
from tests.e2e.conftest import archives, installed, stage

__all__ = ["archives", "installed", "running", "stage"]


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One of these tests' own: those of the end-to-end tests may run in the same session."""
    with deploy.node("cli", request.session) as made:
        yield made
