"""The real runner as a process, the stand-in (or, by NUCLEI_BIN, the real Nuclei) as its scanner, loopback as its target."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import tests.doubles
from scanplan.api import environment, layout
from scanplan.api.documents.report import TERMINATION_MESSAGE_BYTES, ShardReport, decode_report
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import PlanReference, encode
from scanplan.core.planning import keys, shards
from tests.fixtures.scans import CONFIGURATION, STARTER_TEMPLATES, WebApplication

ROOT = Path(__file__).parents[2]


@dataclass
class Attempt:
    """A runner that has ended."""

    code: int
    report: ShardReport | None
    events: list[dict[str, Any]]
    stderr: str

    @property
    def reason(self) -> str | None:
        return self.report.error.reason.value if self.report and self.report.error else None


@dataclass
class Bench:
    """A claim, a task and template folders; starts runners as a pod would."""

    folder: Path
    nuclei: Path
    endpoints: tuple[str, ...]
    templates: list[Path] = field(default_factory=lambda: [STARTER_TEMPLATES])
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run = self.folder / "claim" / layout.run_directory("nightly")
        for name in ("task", "tmp"):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name).chmod(0o777)

    @property
    def document(self) -> TaskDocument:
        defaults: dict[str, Any] = {
            "key": "scan:acme:nightly:0a:0b:0c",
            "project_id": "acme",
            "run_id": "nightly",
            "plan": PlanReference(namespace="default", name="nightly"),
            "endpoints": tuple(sorted(self.endpoints)),
            "templates": (),
        }
        return TaskDocument(**(defaults | self.options))

    def template(self, name: str, *, path: str = "/robots.txt", severity: str = "info", fault: str = "") -> None:
        """Add an own template folder, first in order, with a template that matches every 200 answer."""
        own = self.folder / "templates"
        own.mkdir(exist_ok=True)
        (own / f"{name}.yaml").write_text(
            f"id: {name}\ninfo:\n  name: {name}\n  author: tests\n  severity: {severity}\n"
            + (f"  metadata:\n    x-double-fault: {json.dumps(fault)}\n" if fault else "")
            + f'http:\n  - method: GET\n    path: ["{{{{BaseURL}}}}{path}"]\n'
            "    matchers:\n      - type: status\n        status: [200]\n"
        )
        self.templates = [own]

    def variables(self, shard: int) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "operator"),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.folder / "tmp"),
            environment.TASK_DIRECTORY: str(self.folder / "task"),
            environment.RUN_DIRECTORY: str(self.run),
            environment.COMPLETION_INDEX: str(shard),
            environment.TERMINATION_LOG: str(self.folder / "tmp" / f"termination-{shard}"),
            environment.POD_NAME: f"scan-{shard}-abcde",
            environment.NUCLEI_BIN: str(self.nuclei),
            environment.TEMPLATES_DIRECTORY: ":".join(map(str, self.templates)),
            environment.NUCLEI_CONFIGURATION: str(CONFIGURATION),
        }

    def start(self, shard: int = 0, *arguments: str) -> subprocess.Popen[str]:
        (self.folder / "task" / "task.json").write_bytes(encode(self.document))
        (self.folder / "tmp" / f"termination-{shard}").unlink(missing_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "scanplan.runner", *arguments],
            env=self.variables(shard),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, process: subprocess.Popen[str], shard: int = 0, *, patience: float = 120) -> Attempt:
        stdout, stderr = process.communicate(timeout=patience)
        log = self.folder / "tmp" / f"termination-{shard}"
        content = log.read_bytes() if log.exists() else b""
        assert len(content) <= TERMINATION_MESSAGE_BYTES
        return Attempt(
            process.returncode, decode_report(content), [json.loads(line) for line in stdout.splitlines()], stderr
        )

    def attempt(self, shard: int = 0, *arguments: str) -> Attempt:
        return self.end(self.start(shard, *arguments), shard)

    def shard_folder(self, shard: int = 0) -> Path:
        endpoints = shards.cut(self.document.endpoints, self.document.shards)[shard]
        return self.run / layout.shard_directory(keys.key_digest(self.document.key), shards.content_digest(endpoints))

    @property
    def merged(self) -> Path:
        return self.run / layout.task_directory(keys.key_digest(self.document.key))

    def findings(self) -> list[dict[str, Any]]:
        """The merged findings."""
        return [json.loads(line) for line in (self.merged / layout.FINDINGS).read_bytes().splitlines()]

    def growing(self, shard: int = 0) -> bytes:
        """What attempts that aren't published yet have written by now."""
        return b"".join(path.read_bytes() for path in self.shard_folder(shard).glob("attempt-*/.*partial"))

    def wait_for_findings(self, process: subprocess.Popen[str], number: int, shard: int = 0) -> None:
        """Wait until the running attempt has written `number` findings."""
        limit = time.monotonic() + 60
        while self.growing(shard).count(b"\n") < number:
            assert process.poll() is None, "the runner has ended before"
            assert time.monotonic() < limit, "the scan finds nothing"
            time.sleep(0.02)


@pytest.fixture
def bench(tmp_path: Path, doubles: tests.doubles.Doubles, webapp: WebApplication) -> Bench:
    nuclei = Path(os.environ.get("NUCLEI_BIN") or doubles.nuclei)
    return Bench(tmp_path, nuclei, (webapp.url,))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names that only this process knows, with their addresses."""
    known: dict[str, list[str]] = {}
    system = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **options: Any) -> Any:
        if host not in known:
            return system(host, *arguments, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


def identity(finding: dict[str, Any]) -> tuple[str, ...]:
    """What makes a finding the same in two runs."""
    return (finding["template-id"], finding.get("matcher-name", ""), finding["matched-at"])


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
