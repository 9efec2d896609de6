"""A plan whose endpoints are in a file on its claim: what reads it is a pod, through a mount that shows nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from scanplan.client.templates import image
from scanplan.client.templates.content import Content
from tests.cluster import Cluster
from tests.e2e.stage import EXPOSED, Stage, templates
from tests.fixtures.node import OWN_TEMPLATES

pytestmark = pytest.mark.e2e

HOSTS = ("app", "app-b", "app-c")
_WRITE = """
import pathlib, sys
path = pathlib.Path('/claim/endpoints') / sys.argv[1]
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(sys.argv[2])
"""
_LINK = "import os; os.makedirs('/claim/endpoints', exist_ok=True); os.symlink('/etc', '/claim/endpoints/link')"


def put(stage: Stage, path: str, *lines: str) -> dict[str, Any]:
    """Write a file of endpoints to the claim; returns its entry in `endpointsFrom`."""
    content = "".join(f"{line}\n" for line in lines)
    stage.inside("shelf", _WRITE, path, content)
    return entry(path, content, len(lines))


def entry(path: str, content: str, count: int) -> dict[str, Any]:
    return {"claimFile": {"path": path, "sha256": hashlib.sha256(content.encode()).hexdigest(), "endpoints": count}}


def plan(stage: Stage, name: str, source: dict[str, Any], **spec: Any) -> None:
    stage.apply(stage.plan(name, **{"endpoints": [], "endpointsFrom": [source], **spec}))


def test_a_file_is_scanned_once_by_its_shards_and_the_status_counts_it(stage: Stage) -> None:
    stage.web_application(*HOSTS[1:])
    endpoints = [stage.endpoint(host) for host in HOSTS]
    wrong = ["ftp://c.example", "http://169.254.169.254/latest/meta-data"]
    source = put(stage, "acme/hosts.txt", "# all of them", *endpoints, endpoints[0], *wrong)
    plan(stage, "of-a-file", source, sharding={"maxEndpointsPerShard": 2, "parallelism": 2})
    status = stage.ends("of-a-file", "Completed")
    assert status["shards"]["succeeded"] == 4
    assert status["endpointCount"] == status["endpointsScanned"] == 3
    file = status["endpointsFile"]
    assert (file["refused"], file["duplicates"]) == (2, 1)
    assert {example.partition(":")[0].partition(" is in")[0] for example in file["examples"]} == {"line 6", "line 7"}
    assert templates(stage.findings(status)) == sorted([*EXPOSED] * 3)
    for host in HOSTS:
        assert set(stage.requests(host).values()) == {1}, f"{host} was asked for something twice"


def test_a_file_that_is_not_there_or_another_one_ends_the_scan_with_what_to_do(stage: Stage) -> None:
    """A scan that tries again and again, or one of another list, helps nobody."""
    stage.inside("shelf", _LINK)
    plan(stage, "missing", entry("acme/nowhere.txt", "", 10))
    plan(stage, "changed", put(stage, "changed.txt", "a.example") | entry("changed.txt", "b.example\n", 10))
    plan(stage, "linked", entry("link/hosts", "", 10), deadlineSeconds=30, timeoutSeconds=10)
    assert stage.ends("missing", "Failed")["error"]["reason"] == "InputUnavailable"
    status = stage.ends("changed", "Failed")
    assert (status["error"]["reason"], status["attempts"]) == ("InputsChanged", 1)
    stage.ends("linked", "Failed")
    assert not [path for path in stage.files(stage.run("linked")) if path.endswith("/shard.json")], "no pod has started"


def test_a_file_of_an_image_is_scanned(stage: Stage, running: Cluster, tmp_path: Path) -> None:
    """Lost otherwise: lists that are versioned, signed and pinned like any other image."""
    text = f"{stage.endpoint('app')}\n"
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/hosts.txt").write_text(text)
    reference = f"{OWN_TEMPLATES}:lists"
    files = Content(root=tmp_path / "lists", files=(tmp_path / "lists/hosts.txt",), entries=(), broken=())
    made = image.write(files, tmp_path / "layout", reference=reference)
    with (tmp_path / "lists.tar").open("wb") as archive:
        image.archive(made, archive)
    running.load_image(tmp_path / "lists.tar")
    file = entry("hosts.txt", text, 1)["claimFile"]
    plan(stage, "of-an-image", {"imageFile": {"reference": reference, "pullPolicy": "Never", **file}})
    status = stage.ends("of-an-image", "Completed")
    assert status["endpointCount"] == status["endpointsScanned"] == 1
    assert set(templates(stage.findings(status))) == EXPOSED
