"""What a plan takes in the API server's store and in the operator, and a finding on the claim."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

import tests.doubles
from tests.bench.figure import Figure
from tests.bench.stage import NAMESPACE, Stage, control_plane, resident_mib
from tests.fixtures.scans import STARTER_TEMPLATES, web_application
from tests.integration.apiserver import PLANS
from tests.integration.scene import scanplan, shards

SHARDS = (1, 20, 200)
CLONES = 500
KIB = 1024
OUTPUT = "nuclei_output.ndjson"


def measure() -> list[Figure]:
    return [*objects(), *claim()]


def objects() -> list[Figure]:
    """A settled plan and its Job as JSON, and what etcd and the operator grow by for one of many."""
    figures = []
    with control_plane() as stage:
        idle = resident_mib(stage.operator.pid)
        for count in SHARDS:
            name, of = f"of-{count}", f"{count} endpoint{'s' * (count > 1)}, a shard each"
            stage.api.create(PLANS.format(NAMESPACE), scanplan(name, runId=name, **shards(count)))
            stage.scene.complete(name)
            figures += [
                Figure(f"sizes: plan, {of}", kib(stage.scene.plan(name)), "KiB"),
                Figure(f"sizes: Job, {of}", kib(stage.scene.job_of(name)), "KiB"),
            ]
        stage.operator.kill()
        before = etcd_bytes(stage)
        clone(stage, stage.scene.plan(f"of-{SHARDS[0]}"))
        grown = (etcd_bytes(stage) - before) / CLONES / KIB
        stage.operator.start()
        stage.api.create(PLANS.format(NAMESPACE), scanplan("next"))
        stage.scene.started("next")
        return [
            *figures,
            Figure(f"sizes: etcd for each of {CLONES} settled plans, 1 endpoint", grown, "KiB"),
            Figure("sizes: operator before the first plan", idle, "MiB"),
            Figure(
                f"sizes: operator that has started on {CLONES} settled plans", resident_mib(stage.operator.pid), "MiB"
            ),
        ]


def clone(stage: Stage, plan: dict[str, Any]) -> None:
    """Make many of a settled plan, each by the two writes that create it and settle it."""
    path = PLANS.format(NAMESPACE)
    for number in range(CLONES):
        name = f"clone-{number}"
        stage.api.create(path, {**scanplan(name), "spec": plan["spec"]})
        stage.api.patch(f"{path}/{name}/status", {"status": plan["status"]})


def etcd_bytes(stage: Stage) -> float:
    """The size of etcd's file; old revisions are in it until they are compacted."""
    lines = stage.scene.kubectl("get", "--raw", "/metrics")
    sizes = re.findall(r"^apiserver_storage_size_bytes\{.*\} (\S+)$", lines, re.MULTILINE)
    return sum(map(float, sizes))


def claim() -> list[Figure]:
    """The vulnerable application scanned with all templates of the scanner image: files and findings."""
    doubles = tests.doubles.build()
    with web_application(doubles.webapp) as application, tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "plan.yaml"
        spec = {"endpoints": [application.url], "templates": ["http/"]}
        manifest.write_text(yaml.safe_dump({**scanplan("sized"), "spec": spec}))
        subprocess.run(
            [
                *(sys.executable, "-m", "scanplan", "run", manifest, "--directory", folder, "--output", "json"),
                *("--nuclei", doubles.nuclei, "--templates", STARTER_TEMPLATES, "--allow-target", "127.0.0.0/8"),
            ],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        files = [path for path in Path(folder, "ui_projects").rglob("*") if path.is_file()]
        outputs = [path for path in files if path.name == OUTPUT]
        merged = next(path.stat().st_size for path in outputs if "shards" not in path.parts)
        findings = len(outputs[0].read_bytes().splitlines())
        copies = sum(path.stat().st_size for path in outputs) / merged
        rest = sum(path.stat().st_size for path in files if path not in outputs)
        return [
            Figure("sizes: a finding of the demo's, by Nuclei's stand-in", merged / findings / KIB, "KiB"),
            Figure("sizes: copies of each finding", copies, "×"),
            Figure(f"sizes: all other files of a run with {findings} findings", rest / KIB, "KiB"),
        ]


def kib(manifest: dict[str, Any]) -> float:
    return len(json.dumps(manifest, separators=(",", ":"), ensure_ascii=False).encode()) / KIB
