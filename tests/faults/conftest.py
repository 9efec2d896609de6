"""One control plane and one laboratory for the whole matrix; its rows run at the same time, and the table is printed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.faults.case import FULL, Laboratory
from tests.faults.matrix import ROWS, Outcome
from tests.faults.table import FILE, Table
from tests.fixtures import control_plane
from tests.integration.apiserver import ApiServer

_TABLE = pytest.StashKey[Table]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TABLE] = Table()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash[_TABLE]
    if found.lines:
        found.write("full" if FULL else "short")
        terminalreporter.section(f"fault matrix ({FILE.name})")
        terminalreporter.write_line(found.text())


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Table:
    return request.config.stash[_TABLE]


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A laboratory on a control plane of its own: rows take its servers away, and some operators watch all namespaces."""
    folder = tmp_path_factory.mktemp("faults")
    with control_plane.control_plane("faults") as cluster:
        api = ApiServer(cluster)
        identity = control_plane.identity_of(cluster, control_plane.administrator_of(cluster, api), folder)
        made = Laboratory(cluster, api, identity, folder)
        yield made
        made.close()


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, laboratory: Laboratory) -> Iterator[dict[str, Future[Outcome]]]:
    """The rows that were asked for, under way; exclusive ones are left to their tests, which come last."""
    asked = [
        str(item.callspec.params["number"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path.name == "test_matrix.py"
    ]
    together = [ROWS[number] for number in asked if not ROWS[number].exclusive]
    with ThreadPoolExecutor(max_workers=len(ROWS)) as threads:
        yield {each.number: threads.submit(each.run, laboratory) for each in together}
