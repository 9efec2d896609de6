"""`scanplan plan --estimate` beside the scan that it foretells. Lost otherwise: a cluster that is bought too small or too large."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from scanplan.api import layout
from tests.conformance.conftest import Site

TEMPLATES = 40
SEVERAL = 5
HOSTS = 3
MOST_OFF = 1.1
"""How far the requests of a scan may be from the estimate, as a factor: the runner asks each endpoint now and then itself."""


class Scanned(NamedTuple):
    """What a scan has taken."""

    metadata: dict[str, Any]
    peak_mib: float
    """Of the largest process: Nuclei, where it is the real one."""


@pytest.fixture
def library(tmp_path: Path, is_real: bool) -> Path:
    """Templates of one request, and one of several: by payloads, which the stand-in does not know, or by paths."""
    folder = tmp_path / "library"
    (folder / "http").mkdir(parents=True)
    for number in range(TEMPLATES):
        path = f"/missing/{number}" if number else "/robots.txt"
        write(folder, f"t-{number}", f"path: ['{{{{BaseURL}}}}{path}']")
    words = [f"p{number}" for number in range(SEVERAL)]
    if is_real:
        write(folder, "several", f"path: ['{{{{BaseURL}}}}/{{{{p}}}}']\n    payloads: {{p: [{', '.join(words)}]}}")
    else:
        write(folder, "several", f"path: {[f'{{{{BaseURL}}}}/{word}' for word in words]}")
    return folder


def write(folder: Path, name: str, request: str) -> None:
    (folder / "http" / f"{name}.yaml").write_text(
        f"id: {name}\ninfo: {{name: {name}, author: tests, severity: info}}\nhttp:\n  - method: GET\n    {request}\n"
        "    matchers: [{type: status, status: [200]}]\n"
    )


@pytest.mark.parametrize("endpoints_per_shard", [1, HOSTS])
def test_a_scan_takes_what_was_estimated(
    scanner: Path, site: Site, library: Path, tmp_path: Path, is_real: bool, endpoints_per_shard: int
) -> None:
    port = site.url.rpartition(":")[2]
    manifest = tmp_path / "plan.yaml"
    spec = {
        "endpoints": [f"http://127.0.0.{host}:{port}" for host in (1, 2, 11)],
        "templates": ["http/"],
        "sharding": {"maxEndpointsPerShard": endpoints_per_shard, "parallelism": HOSTS},
        "scanner": {"requestRetries": 0},
    }
    metadata = {"name": "sized"}
    plan = {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanPlan", "metadata": metadata, "spec": spec}
    manifest.write_text(yaml.safe_dump(plan))
    (told,) = json.loads(
        scanplan("plan", "-f", str(manifest), "--templates", str(library), "--estimate", "--output", "json")
    )
    scanned = scan(manifest, scanner, library, tmp_path)
    shards = scanned.metadata["shards"]
    assert told["estimate"]["pods"] == len(shards) == HOSTS // endpoints_per_shard
    assert len(told["templates"]) == scanned.metadata["templatesRun"] == TEMPLATES + 1
    assert told["requests"] == HOSTS * (TEMPLATES + SEVERAL)
    assert 1 / MOST_OFF <= scanned.metadata["requests"] / told["requests"] <= MOST_OFF
    steps = steps_of(tmp_path)
    assert told["estimate"]["steps"] == max(steps, default=1)
    if is_real:
        assert 1 / 2 <= scanned.peak_mib / told["estimate"]["memoryMiB"] <= 2


def steps_of(folder: Path) -> list[int]:
    """Steps that each attempt has saved: one that needs a single step saves none."""
    return [len(file.read_bytes().splitlines()) for file in folder.rglob(layout.STEPS)]


def scanplan(*words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "scanplan", *words], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def scan(manifest: Path, scanner: Path, library: Path, folder: Path) -> Scanned:
    command = [sys.executable, "-m", "scanplan", "run", str(manifest), "--directory", str(folder), "--output", "json"]
    command += ["--nuclei", str(scanner), "--templates", str(library), "--allow-target", "127.0.0.0/8"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    assert process.returncode == 0
    (record,) = folder.rglob(layout.METADATA)
    return Scanned(json.loads(record.read_bytes()), usage.ru_maxrss / 1024)
