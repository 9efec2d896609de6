"""Pushing images: lost otherwise is a chart that names images which no registry has, or a scanner that finds nothing."""

from __future__ import annotations

import json
import platform
import re
import shutil
from pathlib import Path

import pytest

from tests.images import push
from tests.images.store import ImageError

DIGESTS = {name: f"sha256:{number:064x}" for number, name in enumerate(push.NAMES)}


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose builder has pushed everything."""
    monkeypatch.setattr(push, "_buildx_platforms", lambda: ["linux/amd64"])
    monkeypatch.setattr(push, "_by_buildx", lambda _registry, _platforms: DIGESTS)


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize(
    "registry", ["registry.example.com", "registry.example.com:5000/team/scanplan", "[::1]:5000/a"]
)
def test_values_name_each_image_by_its_digest(registry: str, tmp_path: Path) -> None:
    path = tmp_path / "build" / "values.yaml"
    references = push.push(registry, values=path)
    assert references == {name: f"{registry}/{name}@{digest}" for name, digest in DIGESTS.items()}
    values = json.loads(path.read_text())
    images = {"operator": values["image"], "scanner": values["scanner"]["image"], "worker": values["worker"]["image"]}
    assert images == {name: {"repository": f"{registry}/{name}", "digest": DIGESTS[name]} for name in push.NAMES}


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize(
    "registry", ["", "https://registry.example.com", "a b", "-x", "registry.example.com/", "a;b", "host/Upper"]
)
def test_what_is_no_registry_is_refused_before_anything_is_built(registry: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is no registry"):
        push.push(registry, values=tmp_path / "values.yaml")
    assert not (tmp_path / "values.yaml").exists()


def test_the_stand_in_for_nuclei_never_reaches_a_registry_unasked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would scan real clusters, and find nothing."""
    monkeypatch.setattr(push, "_buildx_platforms", list)
    monkeypatch.delenv("NUCLEI_BIN", raising=False)
    with pytest.raises(ImageError, match="NUCLEI_BIN"):
        push.push("registry.example.com", values=tmp_path / "values.yaml")


@pytest.mark.parametrize(
    ("registry", "plain"),
    [
        ("127.0.0.1:5000", True),
        ("127.0.0.1", True),
        ("localhost:5000/a", True),
        ("[::1]:5000/a", True),
        ("registry.example.com", False),
        ("registry.example.com:5000", False),
        ("10.0.0.1:5000", False),
        ("localhost.example.com", False),
    ],
)
def test_only_this_machines_registry_is_spoken_to_without_tls(registry: str, plain: bool) -> None:
    assert push.is_plain(registry) is plain


CHOSEN = [
    ("", ["linux/amd64", "linux/arm64", "linux/riscv64"], "linux/amd64,linux/arm64"),
    ("", ["linux/amd64", "linux/amd64/v2"], "linux/amd64"),
    ("linux/arm64", ["linux/amd64", "linux/arm64"], "linux/arm64"),
    ("linux/riscv64, linux/amd64", ["linux/amd64", "linux/riscv64"], "linux/riscv64,linux/amd64"),
]


@pytest.mark.parametrize(("asked", "able", "expected"), CHOSEN)
def test_images_are_built_for_what_is_asked_or_can_be_built(asked: str, able: list[str], expected: str) -> None:
    assert push.chosen(asked, able, "the builder") == expected


@pytest.mark.parametrize(
    ("asked", "able", "words"),
    [
        ("linux/arm64", ["linux/amd64"], "can't build for linux/arm64, only for linux/amd64. Use Docker's buildx"),
        ("linux/amd64,linux/s390x", ["linux/amd64"], "linux/s390x"),
        ("", ["linux/riscv64"], "PLATFORMS"),
    ],
)
def test_an_architecture_that_can_not_be_built_is_an_error(asked: str, able: list[str], words: str) -> None:
    """Lost otherwise: pods on ARM nodes that end in ImagePullBackOff, or exec format error."""
    with pytest.raises(ImageError, match=re.escape(words)):
        push.chosen(asked, able, "the builder")


def test_buildah_refuses_another_machines_architecture_before_it_builds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(push, "_buildx_platforms", list)
    monkeypatch.setattr(push, "_by_buildah", lambda *_: pytest.fail("it was built"))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(ImageError, match=r"buildah, .* can't build for linux/arm64, only for linux/amd64"):
        push.push("registry.example.com", "linux/amd64,linux/arm64", values=tmp_path / "values.yaml")


INSPECTED = """Name:          default
Driver:        docker
Nodes:
Name:             default
Status:           running
Platforms:        linux/amd64*, linux/amd64/v2, linux/arm64
"""


def test_what_dockers_builder_can_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/docker")
    monkeypatch.setattr(push, "ask", lambda _: INSPECTED)
    assert push._buildx_platforms() == ["linux/amd64", "linux/amd64/v2", "linux/arm64"]
