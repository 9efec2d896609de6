"""An image of templates: the same files have one digest on each machine, so that a pinned digest can be made again."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from scanplan.client.cluster.failure import Failure
from scanplan.client.templates import content, image
from scanplan.runner.nuclei.choosing import index
from tests.unit.client.templates import files

DIGEST = "sha256:a538ec7ad2037983e0b5d7bdd28a99c6f4233627fe59570f873239c33fbb9985"


def made(source: Path, layout: Path, **named: str) -> image.Image:
    return image.write(content.of(source), layout, **named)


def archived(of: image.Image) -> bytes:
    file = io.BytesIO()
    image.archive(of, file)
    return file.getvalue()


def test_the_same_files_are_the_same_bytes(tmp_path: Path) -> None:
    """Whenever, wherever, and in whichever order they were written, by whom and with which rights."""
    first = made(files.folder(tmp_path / "a"), tmp_path / "first", release="v1")
    other = files.folder(tmp_path / "b")
    for path in sorted(other.rglob("*"), reverse=True):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    second = made(other, tmp_path / "second", release="v1")
    assert (first.digest, archived(first)) == (second.digest, archived(second))
    assert first.digest == DIGEST, "the bytes differ from those of other versions and machines"


def test_other_files_or_another_release_are_another_image(tmp_path: Path) -> None:
    folder = files.folder(tmp_path / "a")
    digests = {made(folder, tmp_path / name, release=name).digest for name in ("v1", "v2")}
    digests.add(made(folder, tmp_path / "named", release="v1", reference="r.example/n:t").digest)
    assert len(digests) == 2, "a name is no part of the digest"
    (folder / "LICENSE.md").write_text("other\n")
    assert made(folder, tmp_path / "edited", release="v1").digest not in digests


def test_the_layer_holds_the_files_their_index_and_nothing_of_the_machine(tmp_path: Path) -> None:
    found = made(files.folder(tmp_path / "a"), tmp_path / "layout")
    top = json.loads(found.blob(found.digest).read_text())
    assert [each["platform"]["architecture"] for each in top["manifests"]] == ["amd64", "arm64"]
    manifests = [json.loads(found.blob(each["digest"]).read_text()) for each in top["manifests"]]
    (layer,) = {each["layers"][0]["digest"] for each in manifests}
    with tarfile.open(found.blob(layer)) as tar:
        members = tar.getmembers()
    names = [member.name for member in members if member.isfile()]
    assert names == [
        "LICENSE.md",
        "dns/two.yaml",
        "helpers/words.txt",
        "http/cves/one.yaml",
        "profiles/default.yml",
        index.NAME,
    ]
    assert {(member.uid, member.gid, member.mtime, member.uname) for member in members} == {(0, 0, 0, "")}
    assert {member.mode for member in members} == {0o644, 0o755}


def test_an_archive_is_read_back(tmp_path: Path) -> None:
    first = made(files.folder(tmp_path / "a"), tmp_path / "first", reference="r.example/n:t")
    (tmp_path / "image.tar").write_bytes(archived(first))
    second = image.opened(tmp_path / "image.tar", tmp_path / "second")
    assert (second.digest, sorted(second.blobs)) == (first.digest, sorted(first.blobs))


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    data = archived(made(files.folder(tmp_path / "a"), tmp_path / "first"))
    for damaged, code in ((data.replace(b"A template", b"B template"), os.EX_DATAERR), (b"none", os.EX_DATAERR)):
        (tmp_path / "image.tar").write_bytes(damaged)
        with pytest.raises(Failure, match="is no archive of an image") as caught:
            image.opened(tmp_path / "image.tar", tmp_path / f"out-{len(damaged)}")
        assert caught.value.code == code
    with pytest.raises(Failure, match="No such file"):
        image.opened(tmp_path / "none.tar", tmp_path / "nowhere")
