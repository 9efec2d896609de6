"""Pushing images: lost otherwise is a chart that names images which no registry has, or a scanner that finds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.images import push
from tests.images.store import ImageError

DIGESTS = {name: f"sha256:{number:064x}" for number, name in enumerate(push.NAMES)}


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose builder has pushed everything."""
    monkeypatch.setattr(push, "_has_buildx", lambda: True)
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
    monkeypatch.setattr(push, "_has_buildx", lambda: False)
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
