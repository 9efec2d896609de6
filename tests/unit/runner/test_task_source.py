"""A task document must arrive whole, or be refused."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import encode
from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.manifests.pod import EXCEPTIONS_FILE
from scanplan.findings.exceptions import Handed, Match, ScanException, handed
from scanplan.runner import task_source
from tests.unit.runner.documents import document


def parts(folder: Path, size: int, endpoints: int = 2000) -> TaskDocument:
    large = document(endpoints=tuple(f"http://host-{number}.example/{number * 7919}" for number in range(endpoints)))
    packed = gzip.compress(encode(large))
    for number, start in enumerate(range(0, len(packed), size)):
        (folder / f"task.json.gz.{number:02d}").write_bytes(packed[start : start + size])
    return large


def test_a_small_document_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_bytes(encode(document()))
    assert task_source.read(tmp_path) == document()


def test_a_large_one_is_joined_from_its_parts(tmp_path: Path) -> None:
    large = parts(tmp_path, 1000)
    assert len(list(tmp_path.iterdir())) > 10
    assert task_source.read(tmp_path) == large


@pytest.mark.parametrize("missing", ["task.json.gz.00", "task.json.gz.03", "last"])
def test_a_missing_part_is_noticed(tmp_path: Path, missing: str) -> None:
    parts(tmp_path, 1000)
    (sorted(tmp_path.iterdir())[-1] if missing == "last" else tmp_path / missing).unlink()
    with pytest.raises(NucleiBinaryError) as caught:
        task_source.read(tmp_path)
    assert caught.value.reason is Reason.TASK_DOCUMENT_INVALID


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", encode(document()).replace(b'"key"', b'"kez"')])
def test_what_is_no_document_of_this_version_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "task.json").write_bytes(content)
    with pytest.raises(NucleiBinaryError) as caught:
        task_source.read(tmp_path)
    assert caught.value.reason is Reason.TASK_DOCUMENT_INVALID


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_source, "MAX_DOCUMENT_BYTES", 1000)
    parts(tmp_path, 1000)
    with pytest.raises(NucleiBinaryError, match="larger than"):
        task_source.read(tmp_path)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(NucleiBinaryError, match="neither"):
        task_source.read(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"time": 5}', b'{"time": "2026-11-27T14:00:00Z", "exceptions": [{}]}']
)
def test_exceptions_that_cannot_be_read_fail_no_scan(tmp_path: Path, content: bytes) -> None:
    """Lost otherwise: findings that are safe, for the sake of how they are counted."""
    assert task_source.exceptions(tmp_path) is None
    (tmp_path / EXCEPTIONS_FILE).write_bytes(content)
    assert task_source.exceptions(tmp_path) is None


def test_exceptions_are_read_as_they_were_handed(tmp_path: Path) -> None:
    end = datetime(2027, 1, 1, tzinfo=UTC)
    one = ScanException(name="x", match=Match(hosts=("a",)), expires_at=end, status="Mitigated")
    (tmp_path / EXCEPTIONS_FILE).write_text(handed([one], 0, end))
    assert task_source.exceptions(tmp_path) == Handed(time=end, exceptions=(one,))
