"""What does not load is named before it is in an image; else a scan leaves it out, and nobody looks for it there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanplan.api.documents.task import TemplateFilter
from scanplan.client.cluster.failure import Failure
from scanplan.client.templates import content, image
from scanplan.runner.nuclei.choosing import index, selecting, templates
from scanplan.runner.nuclei.choosing.selecting import Choice
from tests.unit.client.templates import files

BROKEN = [
    ("id: broken\ninfo:\n  name: [\n", "line 4: "),
    ("id: broken\ninfo: {name: !!bool x}\n", "it is no YAML mapping"),
    (files.template("a--b"), "its id 'a--b' is not made of"),
    (files.template("a b"), "its id 'a b' is not made of"),
    (files.template("one"), "its id one is that of http/cves/one.yaml too"),
    (files.template("x").replace("id: x\n", ""), "it has no id"),
    (files.template("x").replace("  author: tests\n", ""), "info has no author"),
    (files.template("x").replace("  author: tests\n", "").replace("  name: A template\n", ""), "no name and no author"),
    ("id: x\ninfo: {name: n, author: a}\n", "it has no requests"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_what_does_not_load_is_named_with_its_reason(text: str, words: str, tmp_path: Path) -> None:
    folder = files.folder(tmp_path / "folder")
    (folder / "zzz.yaml").write_text(text)
    found = content.of(folder)
    assert [(each.path, words in each.reason) for each in found.broken] == [("zzz.yaml", True)], found.broken
    kept = found.without_broken()
    assert "zzz.yaml" not in [path.name for path in kept.files]
    assert [each.id for each in kept.entries] == ["two", "one"]


def test_a_suffix_that_nuclei_does_not_take_is_told(tmp_path: Path) -> None:
    folder = files.folder(tmp_path / "folder")
    (folder / "http/three.yml").write_text(files.template("three"))
    (broken,) = content.of(folder).broken
    assert (broken.path, "not .yml" in broken.reason) == ("http/three.yml", True)


def test_all_that_lies_beside_templates_comes_along(tmp_path: Path) -> None:
    found = content.of(files.folder(tmp_path / "folder"))
    assert [str(path.relative_to(found.root)) for path in found.files] == [
        "LICENSE.md",
        "dns/two.yaml",
        "helpers/words.txt",
        "http/cves/one.yaml",
        "profiles/default.yml",
    ]
    assert found.broken == ()


def test_a_folder_without_templates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(Failure, match="holds no template"):
        content.of(tmp_path)


@pytest.mark.parametrize("refused", ["own", "own/t.yaml"])
def test_what_can_not_be_read_is_told(refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: templates that no image has, and no scan looks for."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/t.yaml").write_text("id: t")
    scandir, read = os.scandir, Path.read_bytes

    def refuses(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def refusing(path: Any) -> Any:
            if str(path) == str(tmp_path / refused):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return call(path)

        return refusing

    monkeypatch.setattr(os, "scandir", refuses(scandir))
    monkeypatch.setattr(Path, "read_bytes", refuses(read))
    with pytest.raises(Failure, match=f"{refused} can't be read: Permission denied"):
        content.of(tmp_path)


def test_a_nuclei_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="can't be run"):
        content.validated(content.of(files.folder(tmp_path / "folder")), str(tmp_path / "nuclei"))


# the index


def test_the_index_answers_as_the_files_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice by the index that differs from one by the files would be another scan than the plan's author saw."""
    folder = files.folder(tmp_path / "folder")
    (folder / "http/odd.yaml").write_text(
        'id: "odd"\ninfo: {name: n, author: [Me, You], severity: HIGH, tags: [A, b]}\n'
        'http: [{method: GET, path: ["{{BaseURL}}"], payloads: {p: helpers/words.txt}}]\n'
    )
    choices = [selecting.ALL, *(Choice(each, TemplateFilter()) for each in FILTERS)]
    plain = [templates.select([], (), [folder], choice) for choice in choices]
    image.folder(content.of(folder), tmp_path / "indexed")
    monkeypatch.setattr(selecting, "facts", lambda *_: pytest.fail("a file was parsed"))
    indexed = [templates.select([], (), [tmp_path / "indexed"], choice) for choice in choices]
    for with_index, without in zip(indexed, plain, strict=True):
        assert [(each.id, each.requests) for each in with_index.templates] == [
            (each.id, each.requests) for each in without.templates
        ]
        assert (with_index.digest, with_index.filtered) == (without.digest, without.filtered)


FILTERS = (TemplateFilter(tags=("a", "two")), TemplateFilter(authors=("me", "tests")), TemplateFilter(ids=("o*",)))


def test_an_index_of_other_files_says_nothing(tmp_path: Path) -> None:
    """A template that was edited after the build of the image is chosen by what it says now."""
    image.folder(content.of(files.folder(tmp_path / "folder")), tmp_path / "image")
    (tmp_path / "image/http/cves/one.yaml").write_text(files.template("three"))
    found = templates.select([], (), [tmp_path / "image"], Choice(TemplateFilter(tags=("three",)), TemplateFilter()))
    assert [each.id for each in found.templates] == ["three"]


@pytest.mark.parametrize("broken", [b"\xff\n", b"{}\n", b"[" * 10_000, b"nothing\n"])
def test_an_index_that_can_not_be_read_says_nothing(broken: bytes, tmp_path: Path) -> None:
    image.folder(content.of(files.folder(tmp_path / "folder")), tmp_path / "image")
    (tmp_path / "image" / index.NAME).write_bytes(broken)
    assert len(templates.select([], (), [tmp_path / "image"]).templates) == 2
