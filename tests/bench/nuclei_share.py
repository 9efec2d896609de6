"""A whole shard by the runner, beside bare Nuclei with the same flags: the real program, named by NUCLEI_BIN.

Without it there is nothing to measure: the stand-in has no work of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scanplan.api import environment, layout
from scanplan.api.documents.task import ScannerOptions, TaskDocument
from scanplan.api.documents.words import PlanReference, encode
from scanplan.core.planning import keys
from scanplan.runner.nuclei.launch import command, resolvers
from scanplan.runner.nuclei.launch.installation import Installation
from tests.bench.figure import Figure, at_least
from tests.console import step
from tests.doubles import build
from tests.fixtures.scans import CONFIGURATION, ROOT, web_application
from tests.runner.conftest import identity

TEMPLATES = 2_000
ENDPOINTS = 30
RATE = 1_000
FINDS = 10
"""Each so many-th template finds something."""

Found = set[tuple[str, ...]]


def measure() -> list[Figure]:
    program = os.environ.get("NUCLEI_BIN")
    if not program:
        return []
    with tempfile.TemporaryDirectory() as folder, web_application(build().webapp, "-listen", "0.0.0.0:0") as site:
        templates = templates_in(Path(folder), TEMPLATES)
        document = TaskDocument(
            key="scan:acme:nightly:0a:0b:0c",
            project_id="acme",
            run_id="nightly",
            plan=PlanReference(namespace="default", name="nightly"),
            endpoints=tuple(sorted(f"http://127.0.0.{number}:{site.port}" for number in range(1, ENDPOINTS + 1))),
            templates=(),
            scanner=ScannerOptions(rate_limit=RATE, request_retries=0),
        )
        with step("A shard by bare Nuclei"):
            bare_seconds, bare = _bare(document, program, templates, Path(folder))
        with step("The same shard by the runner"):
            seconds, found = _runner(document, program, templates, Path(folder))
    requests = TEMPLATES * ENDPOINTS
    return [
        Figure("speed: bare Nuclei", requests / bare_seconds, "requests/s"),
        Figure("speed: whole shard", requests / seconds, "requests/s"),
        Figure("speed: share of bare Nuclei", bare_seconds / seconds, "×", at_least(0.97)),
        Figure("speed: findings of both", len(found & bare) / max(1, len(found | bare)), "×", at_least(1.0)),
    ]


def templates_in(folder: Path, count: int) -> Path:
    """A folder with so many templates of one request each; each tenth finds something."""
    templates = folder / "templates"
    templates.mkdir()
    for number in range(count):
        path = f"/robots.txt?{number}" if number % FINDS == 0 else f"/missing/{number}"
        (templates / f"t-{number:04}.yaml").write_text(
            f"id: t-{number:04}\ninfo: {{name: t, author: t, severity: info}}\nhttp:\n  - method: GET\n"
            f"    path: ['{{{{BaseURL}}}}{path}']\n    matchers: [{{type: status, status: [200]}}]\n"
        )
    return templates


def _bare(document: TaskDocument, program: str, templates: Path, folder: Path) -> tuple[float, Found]:
    installation = Installation(nuclei=program, configuration=CONFIGURATION, inherited=dict(os.environ))
    output = folder / "bare.ndjson"
    with installation.workspace() as workspace, output.open("wb") as file:
        workspace.targets.write_text(command.list_file(document.endpoints))
        workspace.templates.write_text(command.list_file([str(path) for path in sorted(templates.iterdir())]))
        servers = resolvers.own()
        workspace.resolvers.write_text(command.list_file(servers))
        argv = command.arguments(document, program, workspace, os.devnull, own_resolvers=bool(servers))
        surroundings = command.environment(installation.inherited, workspace, templates)
        began = time.monotonic()
        subprocess.run(
            argv, env=surroundings, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL, check=True
        )
        return time.monotonic() - began, _found(output)


def _runner(document: TaskDocument, program: str, templates: Path, folder: Path) -> tuple[float, Found]:
    variables = variables_of(document, program, templates, folder)
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "scanplan.runner"], env=variables, stdout=subprocess.DEVNULL, check=True)
    seconds = time.monotonic() - began
    run = Path(variables[environment.RUN_DIRECTORY])
    return seconds, _found(run / layout.task_directory(keys.key_digest(document.key)) / layout.FINDINGS)


def variables_of(document: TaskDocument, program: str, templates: Path, folder: Path) -> dict[str, str]:
    """The environment of a runner whose task document, claim and reports are in `folder`."""
    (folder / "task").mkdir()
    (folder / "task" / "task.json").write_bytes(encode(document))
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "operator"),
        environment.TASK_DIRECTORY: str(folder / "task"),
        environment.RUN_DIRECTORY: str(folder / "claim" / layout.run_directory(document.run_id)),
        environment.COMPLETION_INDEX: "0",
        environment.TERMINATION_LOG: str(folder / "termination"),
        environment.NUCLEI_BIN: program,
        environment.TEMPLATES_DIRECTORY: str(templates),
        environment.NUCLEI_CONFIGURATION: str(CONFIGURATION),
    }


def _found(path: Path) -> Found:
    lines = path.read_bytes().splitlines()
    return {identity(json.loads(line)) for line in lines if line.startswith(b"{")}
