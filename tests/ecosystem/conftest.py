"""A control plane for others' programs to look at, as the integration tests have one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import LocalCluster
from tests.integration.conftest import (
    administrator,
    alone,
    api,
    control_plane,
    identity,
    namespace,
    start_operator,
    statuses,
)

__all__ = ["administrator", "alone", "api", "identity", "namespace", "start_operator", "statuses"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    with control_plane("ecosystem") as made:
        yield made
