"""Sightings that attempts leave: the history is the same as without them, whatever somebody else has put in their place."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from scanplan.api import layout
from scanplan.api.documents.words import Outcome
from scanplan.core.planning import shards
from scanplan.findings import history as lives
from scanplan.runner.artifacts import divided, durable, findings, publish
from scanplan.runner.artifacts.merging import history, sightings
from tests.unit.runner.documents import finding

from .test_history import TWO, Run

FIRST = [finding("t", at=f"http://a.example/{letter}") for letter in "abcdef"]
SECOND = [*FIRST[2:], finding("u", severity="critical"), finding("u", severity="low"), finding("t", severity=" High ")]


@pytest.fixture(autouse=True)
def left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts leave their sightings however few they are, and merges read them."""
    monkeypatch.setattr(sightings, "LEAST", 0)
    monkeypatch.setattr(history, "READ_ALL", 0)


def scanned(folder: Path) -> Run:
    """Two scans, of which the second is not merged yet."""
    run = Run(folder)
    run.scan(*FIRST)
    run.begin()
    run.publish(0, *SECOND)
    return run


@pytest.fixture
def expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The history that is made from the findings."""
    with monkeypatch.context() as patched:
        patched.setattr(sightings, "LEAST", 1_000)
        run = scanned(tmp_path / "plain")
        run.merge()
    assert not list(run.folder.rglob(layout.SIGHTINGS))
    return run.content


def file_of(run: Run) -> Path:
    (path,) = run.place.rglob(layout.SIGHTINGS)
    return path


def write(path: Path, content: bytes, digest: str | None = None) -> None:
    """Put other sightings there, and say so in the attempt's record: how long they are, and their digest where there is one."""
    path.write_bytes(content)
    record = path.with_name(layout.SHARD_RECORD)
    told = msgspec.json.decode(record.read_bytes())
    for file in told["files"]:
        if file["name"] == path.name:
            file["bytes"] = len(content)
            file["sha256"] = digest or file["sha256"]
    record.write_bytes(msgspec.json.encode(told))


def lines_changed(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        write(path, b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return act


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replaced(old: bytes, new: bytes) -> Callable[[Path], None]:
    return lines_changed(lambda lines: [line.replace(old, new) for line in lines])


def more_severe(lines: list[bytes]) -> list[bytes]:
    """The first sighting, told as critical."""
    head, first, *rest = lines
    changed = first.replace(b'"severity":"high"', b'"severity":"critical"')
    return [head, changed[:32] + b"0" + changed[33:], *rest]


UNTRUE: dict[str, Callable[[Path], None]] = {
    "is gone": Path.unlink,
    "is a link": a_link,
    "is a pipe": a_pipe,
    "is empty": lambda path: write(path, b""),
    "is not as long as the record says": lambda path: os.truncate(path, path.stat().st_size - 30),
    "is cut": lambda path: write(path, path.read_bytes()[:-30]),
    "is no text": lambda path: write(path, b"\xff\x00\n" * 99),
    "is one endless line": lambda path: os.truncate(path, 1 << 30),
    "is by another version": lines_changed(lambda lines: [b'"0.0.0"\n', *lines[1:]]),
    "leaves one out": lines_changed(lambda lines: lines[:3] + lines[4:]),
    "has one more": lines_changed(
        lambda lines: [*lines, b"f" * 32 + lines[-1][32:].replace(lines[-1][:32], b"f" * 32)]
    ),
    "is out of order": lines_changed(lambda lines: [lines[0], *lines[:0:-1]]),
    "has another severity": lines_changed(more_severe),
    "has another rank": lines_changed(lambda lines: [line[:32] + b"5" + line[33:] for line in lines]),
    "has another identity": lines_changed(lambda lines: [lines[0], *(b"0" * 32 + line[32:] for line in lines[1:])]),
    "has a member more": replaced(b'"template":', b'"state":"resolved","template":'),
    "has a member twice": replaced(b'"template":', b'"name":"other","template":'),
    "is spaced": replaced(b'"template":', b'"template": '),
    "nests": replaced(b'"name":"t"', b'"name":' + b"[" * 5_000),
}


@pytest.mark.parametrize("how", UNTRUE)
def test_untrue_sightings_change_no_history(
    tmp_path: Path, expected: bytes, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Lost otherwise: a finding that the artifacts have, and that no list, gate or message ever names."""
    run = scanned(tmp_path / "run")
    UNTRUE[how](file_of(run))
    with caplog.at_level(logging.WARNING):
        run.merge()
    assert run.content == expected
    assert "is made from all findings" in caplog.text
    assert not [path for path in run.place.iterdir() if path.name.startswith(".")]


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no records": lambda record: record[:20],
    "a rank that is none": lambda record: record[:32] + b"9" + record[33:],
    "no JSON": lambda record: record[:33] + b"\xff" * 9,
}


@pytest.mark.parametrize("what", FORGED)
def test_sightings_that_their_record_vouches_for_break_no_merge(tmp_path: Path, expected: bytes, what: str) -> None:
    """Lost otherwise: the merge of all shards, when somebody has changed one attempt's files and its record alike."""
    run = scanned(tmp_path / "run")
    path = file_of(run)
    version, *records = path.read_bytes().splitlines()
    content = b"".join(line + b"\n" for line in (version, *map(FORGED[what], records)))
    write(path, content, hashlib.sha256(content).hexdigest())
    run.merge()
    assert run.content == expected


def test_sightings_are_read_in_place_of_the_findings(
    tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: minutes of each merge of a million findings."""
    run = scanned(tmp_path / "run")
    monkeypatch.setattr(lives, "sighting", None)
    assert run.merge().new.total == 2
    assert run.content == expected


def test_a_merge_of_few_findings_believes_no_sightings(
    tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "READ_ALL", 100)
    run = scanned(tmp_path / "run")
    lines_changed(lambda lines: lines[:1])(file_of(run))
    run.merge()
    assert run.content == expected


@pytest.mark.parametrize("most", [0, 1, 2])
def test_shards_with_and_without_sightings_make_one_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Lost otherwise: open files of a task with thousands of shards, or the findings of those beyond a limit."""
    contents = set()
    for number in (most, 256):
        monkeypatch.setattr(history, "MOST_SIGHTINGS", number)
        run = Run(tmp_path / str(number), TWO, 2)
        run.begin()
        run.publish(0, *FIRST)
        run.publish(1, *SECOND)
        run.merge()
        contents.add(run.content)
    assert len(contents) == 1


def test_a_shard_of_several_attempts_is_read_as_it_is_merged(tmp_path: Path) -> None:
    """Only a complete attempt leaves sightings, and those of one attempt say nothing of the others."""
    run = Run(tmp_path)
    run.begin()
    run.publish(0, *FIRST, outcome=Outcome.PARTIAL)
    assert not list(run.place.rglob(layout.SIGHTINGS))
    run.publish(0, *SECOND)
    assert file_of(run).parent.name == "attempt-2"
    assert run.merge().new.total == 8


def test_a_claim_without_room_costs_the_sightings_alone(
    tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a whole scan, for a file that only saves time."""
    written = durable.CheckedFile.write

    def full(self: durable.CheckedFile, lines: bytes) -> None:
        if self.path.name == layout.SIGHTINGS:
            raise OSError(28, "No space left on device")
        written(self, lines)

    monkeypatch.setattr(durable.CheckedFile, "write", full)
    run = scanned(tmp_path / "run")
    assert not list(run.place.rglob(layout.SIGHTINGS))
    run.merge()
    assert run.content == expected


def test_the_record_lists_the_sightings(tmp_path: Path) -> None:
    """A replayed shard is only taken over where all of its files are whole."""
    run = scanned(tmp_path / "run")
    (endpoints,) = shards.cut(run.task.endpoints, 1)
    shard = divided.shard_folder(run.folder, run.task, endpoints)
    (record,) = publish.published(shard)
    assert [file.name for file in record.files if file.name == layout.SIGHTINGS]
    assert publish.intact(shard, record)
    file_of(run).write_bytes(b"")
    assert not publish.intact(shard, record)


@pytest.mark.parametrize("severity", ["high", "HIGH", " high\n", "grave", "", "Info"])
def test_all_counts_read_a_severity_alike(severity: str) -> None:
    """Lost otherwise: the status' counts of a severity, and those of its history, tell different numbers."""
    line = finding(severity=severity)
    seen = lives.sighting(line)
    assert seen is not None
    assert findings.severity_of(line) == seen.severity.value
