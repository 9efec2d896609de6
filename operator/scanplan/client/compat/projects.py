"""A project's endpoint queue: what its owners have put forward to be scanned, one endpoint a line.

``projects/{project_id}/endpoints.txt`` below the data directory, in the form of the operator's `endpointsFrom`: empty lines and
lines that begin with # are passed over. A scan reads it and leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scanplan.client import findings
from scanplan.client import settings as environment
from scanplan.client.artifacts import locked
from scanplan.core.planning import endpoints as spelling
from scanplan.runner.artifacts import durable

QUEUE = "endpoints.txt"


def build_endpoints_from_queue(project_id: str) -> list[str]:
    """The project's endpoints, in canonical form, sorted and without doubles; empty where there are none.

    Raises:
        InvalidPayload: a project id that is no name.
        InvalidEndpoint: a line that is no endpoint.
    """
    path = findings.project_folder(environment.load().data_directory, project_id) / QUEUE
    lines = (line.strip() for line in _read(path).splitlines())
    return list(spelling.canonical_all(line for line in lines if line and not line.startswith("#")))


def queue_endpoints(project_id: str, endpoints: Iterable[str]) -> int:
    """Put endpoints into the project's queue; returns how many were not in it.

    Raises:
        InvalidPayload: a project id that is no name.
        InvalidEndpoint: an endpoint that can't be parsed; then none is added.
    """
    wanted = spelling.canonical_all(endpoints)
    folder = findings.project_folder(environment.load().data_directory, project_id)
    with locked(folder / f".{QUEUE}.lock"):
        known = set(build_endpoints_from_queue(project_id))
        new = [endpoint for endpoint in wanted if endpoint not in known]
        if new:
            path, lines = folder / QUEUE, "\n".join(new)
            before = _read(path)
            separator = "" if not before or before.endswith("\n") else "\n"
            durable.replace(path, f"{before}{separator}{lines}\n".encode())
    return len(new)


def _read(path: Path) -> str:
    try:
        return durable.read_bytes(path).decode()
    except FileNotFoundError:
        return ""
