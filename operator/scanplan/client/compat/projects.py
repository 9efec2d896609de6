"""A project's endpoint queue: a text file of endpoints to scan, one on each line.

The file is ``projects/{project_id}/endpoints.txt`` below the data directory. As in the operator's `endpointsFrom`, empty lines and
lines that begin with # are skipped. A scan reads the file and does not change it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scanplan.client import findings
from scanplan.client.artifacts import locked
from scanplan.client.settings import load_settings
from scanplan.core.planning.targets.endpoints import canonical_all
from scanplan.runner.artifacts import durable

QUEUE = "endpoints.txt"


def build_endpoints_from_queue(project_id: str) -> list[str]:
    """The project's endpoints in canonical form, sorted and each once; empty where there are none.

    Raises:
        InvalidPayload: a project id that is no name.
        InvalidEndpoint: a line that is no endpoint.
    """
    path = findings.project_folder(load_settings().data_directory, project_id) / QUEUE
    lines = (line.strip() for line in _read(path).splitlines())
    return list(canonical_all(line for line in lines if line and not line.startswith("#")))


def queue_endpoints(project_id: str, endpoints: Iterable[str]) -> int:
    """Add endpoints to the project's queue. Returns how many of them were new.

    Raises:
        InvalidPayload: a project id that is no name.
        InvalidEndpoint: an endpoint can't be parsed. Then no endpoint is added.
    """
    wanted = canonical_all(endpoints)
    folder = findings.project_folder(load_settings().data_directory, project_id)
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
        return durable.read_bytes(path).decode(errors="replace")
    except FileNotFoundError:
        return ""
