"""Attempts on the claim: what a crash, a second writer or a full disk must not break."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.records import ShardRecord
from scanplan.api.documents.report import FindingCounts
from scanplan.api.documents.words import Outcome
from scanplan.api.errors import TemporaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.artifacts import durable, publish
from tests.unit.runner.documents import DOCUMENT, finding

BEGUN = records.begun(DOCUMENT.key, 0, 1, "2026-11-24T06:00:00.000Z")


def attempt_with(shard: Path, *lines: bytes) -> publish.Attempt:
    attempt = publish.begin(shard, BEGUN)
    attempt.findings.feed(b"".join(line + b"\n" for line in lines))
    return attempt


def finished(attempt: publish.Attempt, outcome: Outcome, at: str = "2026-11-24T06:01:00.000Z") -> ShardRecord:
    record = msgspec.structs.replace(
        BEGUN, attempt=attempt.number, outcome=outcome, findings=attempt.findings.counts, finished_at=at
    )
    return attempt.publish(record)


def test_attempts_are_counted_up_and_never_share_a_folder(tmp_path: Path) -> None:
    for _ in range(3):
        finished(attempt_with(tmp_path, finding()), Outcome.PARTIAL)
    assert publish.numbers(tmp_path) == [1, 2, 3]
    assert [record.attempt for record in publish.published(tmp_path)] == [1, 2, 3]


def test_a_published_attempt_lists_its_files_and_is_intact(tmp_path: Path) -> None:
    record = finished(attempt_with(tmp_path, finding(), b"rubbish"), Outcome.COMPLETE)
    assert {file.name for file in record.files} == {layout.FINDINGS, layout.SCANNER_LOG, layout.MALFORMED}
    assert publish.read(tmp_path, 1) == record
    assert publish.intact(tmp_path, record)
    with (publish.folder(tmp_path, 1) / layout.FINDINGS).open("ab") as file:
        file.write(b"x")
    assert not publish.intact(tmp_path, record)
    (publish.folder(tmp_path, 1) / layout.FINDINGS).unlink()
    assert not publish.intact(tmp_path, record)


def test_nothing_is_visible_before_it_is_published(tmp_path: Path) -> None:
    attempt_with(tmp_path, finding())
    assert publish.published(tmp_path) == []
    assert not (publish.folder(tmp_path, 1) / layout.FINDINGS).exists()


def test_the_next_attempt_seals_what_a_killed_one_left(tmp_path: Path) -> None:
    attempt_with(tmp_path, finding("a"), finding("b", severity="low"))
    with (publish.folder(tmp_path, 1) / publish.GROWING).open("ab") as file:
        file.write(finding("torn")[:30])
    publish.begin(tmp_path, BEGUN)
    record = publish.read(tmp_path, 1)
    assert record is not None
    assert record.outcome is Outcome.PARTIAL
    assert record.findings == FindingCounts(high=1, low=1)
    assert record.error is not None
    assert record.error.reason is Reason.SCANNER_KILLED
    assert publish.intact(tmp_path, record)
    content = (publish.folder(tmp_path, 1) / layout.FINDINGS).read_bytes()
    assert content == finding("a") + b"\n" + finding("b", severity="low") + b"\n"


@pytest.mark.parametrize("step", ["folder", "reserve", "growing", "linked"])
def test_an_attempt_killed_at_any_step_is_sealed(tmp_path: Path, step: str) -> None:
    folder = publish.folder(tmp_path, 1)
    folder.mkdir(parents=True)
    if step != "folder":
        (folder / ".reserve").write_bytes(b"\0")
    if step in {"growing", "linked"}:
        (folder / publish.GROWING).write_bytes(finding() + b"\n")
    if step == "linked":
        (folder / layout.FINDINGS).write_bytes(finding() + b"\n")
    for _ in range(2):
        publish.seal(tmp_path, 1, BEGUN)
    record = publish.read(tmp_path, 1)
    assert record is not None
    assert record.findings.total == (1 if step in {"growing", "linked"} else 0)
    assert publish.intact(tmp_path, record)
    assert {path.name for path in folder.iterdir()} == {layout.FINDINGS, layout.SHARD_RECORD}


def killed(shard: Path, began: str, last_write: str) -> None:
    """The first attempt, killed in the past."""
    attempt = attempt_with(shard, finding())
    attempt.abandon()
    for name, moment in ((".begun", began), (publish.GROWING, last_write)):
        os.utime(attempt.folder / name, (records.seconds(moment),) * 2)


def test_a_killed_attempt_has_the_times_of_its_own_work(tmp_path: Path) -> None:
    """Wrong otherwise: rates and begin of every scan with a kill."""
    killed(tmp_path, "2026-11-24T06:00:00.000Z", "2026-11-24T06:05:00.250Z")
    publish.begin(tmp_path, BEGUN)
    record = publish.read(tmp_path, 1)
    assert record is not None
    assert (record.started_at, record.finished_at) == ("2026-11-24T06:00:00.000Z", "2026-11-24T06:05:00.250Z")
    assert record.duration_ms == 300_250


def test_a_killed_attempt_of_an_older_run_is_not_of_this_one(tmp_path: Path) -> None:
    """Lost otherwise: today's findings, where steps of last week count as done."""
    killed(tmp_path, "2026-11-17T06:00:00.000Z", "2026-11-17T06:05:00.000Z")
    publish.begin(tmp_path, BEGUN)
    assert publish.published(tmp_path)
    assert publish.published(tmp_path, not_before=records.seconds("2026-11-24T05:00:00Z")) == []


@pytest.mark.parametrize("crash", ["publish_once", "create"])
def test_sealing_that_was_killed_finds_the_same_times_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: str
) -> None:
    killed(tmp_path, "2026-11-24T06:00:00.000Z", "2026-11-24T06:05:00.000Z")
    done = getattr(durable, crash)

    def kill(*arguments: Any) -> None:
        if crash == "publish_once":
            done(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(durable, crash, kill)
    with pytest.raises(KeyboardInterrupt):
        publish.seal(tmp_path, 1, BEGUN)
    monkeypatch.undo()
    copy = publish.folder(tmp_path, 1) / f".sealing.{durable.unique()}"
    copy.write_bytes(finding())  # a SIGKILL leaves it
    publish.seal(tmp_path, 1, BEGUN)
    record = publish.read(tmp_path, 1)
    assert record is not None
    assert (record.started_at, record.finished_at) == ("2026-11-24T06:00:00.000Z", "2026-11-24T06:05:00.000Z")
    assert not copy.exists()


def test_an_attempt_that_was_killed_as_it_published_has_the_time_of_its_last_write(tmp_path: Path) -> None:
    killed(tmp_path, "2026-11-24T06:00:00.000Z", "2026-11-24T06:05:00.000Z")
    (publish.folder(tmp_path, 1) / publish.GROWING).rename(publish.folder(tmp_path, 1) / layout.FINDINGS)
    publish.seal(tmp_path, 1, BEGUN)
    record = publish.read(tmp_path, 1)
    assert record is not None
    assert record.finished_at == "2026-11-24T06:05:00.000Z"


@pytest.mark.parametrize("moment", [-(2.0**31), 2.0**33])
def test_a_forged_time_is_no_time_of_the_future(tmp_path: Path, moment: float) -> None:
    attempt_with(tmp_path, finding()).abandon()
    for name in (".begun", publish.GROWING):
        os.utime(publish.folder(tmp_path, 1) / name, (moment, moment))
    publish.seal(tmp_path, 1, BEGUN)
    record = publish.read(tmp_path, 1)
    assert record is not None
    assert 0 <= records.seconds(record.finished_at) <= time.time()


def test_an_attempt_that_was_given_up_but_lives_changes_nothing_any_more(tmp_path: Path) -> None:
    zombie = attempt_with(tmp_path, finding("a"))
    publish.seal(tmp_path, 1, BEGUN)
    before = publish.read(tmp_path, 1)
    zombie.findings.feed(finding("late") + b"\n")
    with pytest.raises(TemporaryError):
        finished(zombie, Outcome.COMPLETE)
    assert publish.read(tmp_path, 1) == before
    assert before is not None
    assert publish.intact(tmp_path, before)


def test_the_result_of_a_shard_is_fixed_by_its_first_complete_attempt(tmp_path: Path) -> None:
    finished(attempt_with(tmp_path, finding("a")), Outcome.PARTIAL)
    finished(attempt_with(tmp_path, finding("a")), Outcome.COMPLETE)
    finished(attempt_with(tmp_path, finding("a")), Outcome.COMPLETE)
    assert [record.attempt for record in publish.contributing(tmp_path)] == [1, 2]
    complete = publish.complete(tmp_path)
    assert complete is not None
    assert complete.attempt == 2


def test_attempts_before_the_window_dont_count(tmp_path: Path) -> None:
    finished(attempt_with(tmp_path), Outcome.COMPLETE, at="2026-11-24T06:00:00.000Z")
    finished(attempt_with(tmp_path), Outcome.COMPLETE, at="2026-11-24T08:00:00.000Z")
    window = records.seconds("2026-11-24T07:00:00Z")
    assert [record.attempt for record in publish.contributing(tmp_path, not_before=window)] == [2]
    assert publish.complete(tmp_path, not_before=records.seconds("2026-11-24T09:00:00+00:00")) is None


@pytest.mark.parametrize(
    ("since", "counted"),
    [("2026-11-24T05:00:00Z", [2, 3]), ("2026-11-24T03:00:00Z", [1, 2, 3]), ("2026-11-24T07:30:00Z", [3]), (None, [3])],
)
def test_a_complete_attempt_counts_with_all_that_it_went_on_after(
    tmp_path: Path, since: str | None, counted: list[int]
) -> None:
    """Lost otherwise: the findings of its steps that an earlier attempt had saved, which a history then calls resolved."""
    finished(attempt_with(tmp_path), Outcome.PARTIAL, at="2026-11-24T04:00:00.000Z")
    finished(attempt_with(tmp_path), Outcome.PARTIAL, at="2026-11-24T06:00:00.000Z")
    last = attempt_with(tmp_path)
    ended = msgspec.structs.replace(BEGUN, attempt=last.number, outcome=Outcome.COMPLETE, goes_on_since=since)
    last.publish(msgspec.structs.replace(ended, finished_at="2026-11-24T08:00:00.000Z"))
    found = publish.contributing(tmp_path, not_before=records.seconds("2026-11-24T07:00:00Z"))
    assert [record.attempt for record in found] == counted
    assert publish.contributing(tmp_path, not_before=records.seconds("2026-11-24T09:00:00Z")) == []


def test_a_full_disk_can_still_say_so(tmp_path: Path) -> None:
    attempt = attempt_with(tmp_path)
    reserve = publish.folder(tmp_path, 1) / ".reserve"
    assert reserve.stat().st_blocks * 512 >= 64 << 10
    finished(attempt, Outcome.PARTIAL)
    assert not reserve.exists()


@pytest.mark.parametrize(
    ("number", "starting", "reason"),
    [
        (errno.ENOSPC, True, Reason.DISK_FULL),
        (errno.EDQUOT, False, Reason.DISK_FULL),
        (errno.EACCES, True, Reason.CLAIM_NOT_WRITABLE),
        (errno.EROFS, True, Reason.CLAIM_NOT_WRITABLE),
        (errno.EPERM, True, Reason.CLAIM_NOT_WRITABLE),
        (errno.EROFS, False, Reason.STORAGE_ERROR),
        (errno.EIO, False, Reason.STORAGE_ERROR),
        (errno.ESTALE, True, Reason.STORAGE_ERROR),
    ],
)
def test_what_an_error_of_the_claim_means(number: int, starting: bool, reason: Reason) -> None:
    error = durable.storage_error(OSError(number, os.strerror(number), "/run/x"), starting=starting)
    assert error.reason is reason
    assert "/run/x" in error.message


def test_a_file_system_without_hard_links_still_publishes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert durable.create(tmp_path / "x", b"first")
    assert not durable.create(tmp_path / "x", b"second")
    assert (tmp_path / "x").read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_link_that_nfs_made_and_then_refused_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def twice(source: str, target: str, **folders: Any) -> None:
        link(source, target, **folders)
        link(source, target, **folders)

    monkeypatch.setattr(os, "link", twice)
    assert durable.create(tmp_path / "x", b"first")
    monkeypatch.undo()
    assert not durable.create(tmp_path / "x", b"second")
    assert (tmp_path / "x").read_bytes() == b"first"


def test_a_failed_write_leaves_whole_lines_and_the_right_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = durable.CheckedFile(tmp_path / "x")
    file.write(b"one\n")
    write, calls = os.write, iter([6, 0])

    def filling(descriptor: int, content: memoryview) -> int:
        if room := next(calls):
            return write(descriptor, content[:room])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", filling)
    with pytest.raises(OSError, match="No space"):
        file.write(b"two\nthree\nfour\n")
    monkeypatch.undo()
    assert (tmp_path / "x").read_bytes() == b"one\ntwo\n"
    file.write(b"five\n")
    file.close()
    assert file.artifact("x") == publish.artifact(tmp_path / "x")
