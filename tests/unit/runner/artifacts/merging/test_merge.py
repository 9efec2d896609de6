"""The merge: no finding lost, none doubled, the same bytes whoever merges and however often."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.report import FindingCounts, MergedResult, ScannerVersion, TaskError
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import DiscoveryReport, ErrorClass, Outcome, PlanReference
from scanplan.api.errors import ClaimError, TemporaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning import shards
from scanplan.runner import collect
from scanplan.runner.artifacts import divided, durable, publish, run_record
from scanplan.runner.artifacts.merging import history, merge
from tests.unit.runner.documents import document, finding

ONE_BEFORE = document(key="scan:acme:nightly:0a:0b:0")
TWO = document(endpoints=("http://a.example", "http://b.example"), shards=2)


def published(run: Path, task: TaskDocument, index: int, *lines: bytes, outcome: Outcome = Outcome.COMPLETE) -> None:
    """Scan a shard, without Nuclei."""
    endpoints = shards.cut(task.endpoints, task.shards)[index]
    begun = records.begun(task.key, index, len(endpoints), "2026-11-24T06:00:00.000Z")
    attempt = publish.begin(divided.shard_folder(run, task, endpoints), begun)
    attempt.findings.feed(b"".join(line + b"\n" for line in lines))
    error = TaskError(error_class=ErrorClass.TEMPORARY, reason=Reason.INTERRUPTED, message="x")
    attempt.publish(
        msgspec.structs.replace(
            begun,
            attempt=attempt.number,
            outcome=outcome,
            error=None if outcome is Outcome.COMPLETE else error,
            findings=attempt.findings.counts,
            endpoints_scanned=len(endpoints) if outcome is Outcome.COMPLETE else 0,
            scanner=ScannerVersion(nuclei_version="v3", templates_digest="d", templates_loaded=1),
            finished_at=f"2026-11-24T06:0{attempt.number}:00.000Z",
            duration_ms=1000,
        )
    )


def merged(run: Path, task: TaskDocument, *, partial: bool = False) -> MergedResult:
    result = merge.merge(run, task, partial=partial)
    assert result is not None
    return result


def content(run: Path, task: TaskDocument) -> bytes:
    return (run_record.task_folder(run, task) / layout.FINDINGS).read_bytes()


def test_the_last_shard_merges_in_order_of_shards(tmp_path: Path) -> None:
    run_record.enter(tmp_path, TWO, 0.0)
    published(tmp_path, TWO, 1, finding("b1", severity="low"))
    assert merge.merge(tmp_path, TWO) is None
    published(tmp_path, TWO, 0, finding("a1"), finding("a2", severity="critical"))
    result = merged(tmp_path, TWO)
    assert content(tmp_path, TWO) == b"".join(
        line + b"\n" for line in (finding("a1"), finding("a2", severity="critical"), finding("b1", severity="low"))
    )
    assert result.complete
    assert result.findings == FindingCounts(critical=1, high=1, low=1)
    assert result.path == f"ui_projects/nightly/{run_record.task_folder(tmp_path, TWO).relative_to(tmp_path)}"


def test_every_listed_file_has_its_digest(tmp_path: Path) -> None:
    published(tmp_path, TWO, 0, finding())
    published(tmp_path, TWO, 1, finding())
    result = merged(tmp_path, TWO)
    for file in result.files:
        there = (run_record.task_folder(tmp_path, TWO) / file.name).read_bytes()
        assert (len(there), hashlib.sha256(there).hexdigest()) == (file.bytes, file.sha256)
    metadata = run_record.metadata(run_record.task_folder(tmp_path, TWO))
    assert metadata is not None
    assert (metadata.key, metadata.project_id, metadata.run_id, metadata.plan) == (TWO.key, "acme", "nightly", TWO.plan)
    assert metadata.scanner.nuclei_version == "v3"
    assert metadata.duration_ms == 2000
    assert [file.name for file in result.files] == [layout.FINDINGS, layout.HISTORY, layout.REPORT, layout.METADATA]
    assert metadata.files == result.files[:3]


def test_attempts_of_a_shard_are_united_without_doubles_or_gaps(tmp_path: Path) -> None:
    task = document(endpoints=("http://a.example",))
    twice = finding("twice")  # Nuclei itself reported it twice: that stays
    published(tmp_path, task, 0, finding("early"), finding("both"), outcome=Outcome.PARTIAL)
    published(tmp_path, task, 0, finding("both", timestamp="later"), twice, outcome=Outcome.PARTIAL)
    published(tmp_path, task, 0, twice, twice, finding("both", timestamp="latest"), finding("late", severity="info"))
    result = merged(tmp_path, task)
    names = [msgspec.json.decode(line)["template-id"] for line in content(tmp_path, task).splitlines()]
    assert names == ["early", "both", "twice", "twice", "late"]
    assert result.findings == FindingCounts(high=4, info=1)


def test_merging_again_changes_nothing(tmp_path: Path) -> None:
    published(tmp_path, TWO, 0, finding("a"))
    published(tmp_path, TWO, 1, finding("b"))
    first = merged(tmp_path, TWO)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert merged(tmp_path, TWO) == first
    assert merged(tmp_path, TWO, partial=True) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


@pytest.mark.parametrize("lost", [layout.FINDINGS, layout.HISTORY, layout.REPORT, layout.METADATA])
def test_a_merger_killed_half_way_is_made_good_by_the_next(tmp_path: Path, lost: str) -> None:
    published(tmp_path, TWO, 0, finding("a"))
    published(tmp_path, TWO, 1, finding("b"))
    first = merged(tmp_path, TWO)
    (run_record.task_folder(tmp_path, TWO) / lost).unlink()
    assert merged(tmp_path, TWO) == first


def test_what_killed_processes_have_left_goes_with_the_next_merge(tmp_path: Path) -> None:
    """Lost otherwise: the room of a copy of all findings, for each merge that was ever killed."""
    for task in (ONE_BEFORE, TWO):
        run_record.enter(tmp_path, task, 0.0)
    left = [
        tmp_path / f".run.json.{durable.unique()}",
        *(
            run_record.task_folder(tmp_path, task) / f".{name}.{durable.unique()}"
            for task in (ONE_BEFORE, TWO)
            for name in ("merging", layout.HISTORY, layout.REPORT, layout.METADATA, "sorting")
        ),
    ]
    living = run_record.task_folder(tmp_path, TWO) / f".merging.{durable.unique()}"
    folder = run_record.task_folder(tmp_path, TWO) / f".{layout.REPORT}.{durable.unique()}"
    foreign = run_record.task_folder(tmp_path, TWO) / ".mine"
    for path in (*left, living, foreign):
        path.write_bytes(b"x")
    folder.mkdir()
    for path in (*left, folder, foreign):
        os.utime(path, (time.time() - 601, time.time() - 601))
    published(tmp_path, TWO, 0, finding())
    published(tmp_path, TWO, 1)
    merged(tmp_path, TWO)
    assert [path for path in left if path.exists()] == []
    assert all(path.exists() for path in (living, folder, foreign))


def test_a_link_leads_to_nothing_that_is_removed(tmp_path: Path) -> None:
    """Lost otherwise: files of another run."""
    (tmp_path / "other").mkdir()
    (tmp_path / "run/tasks").mkdir(parents=True)
    theirs = tmp_path / "other" / f".merging.{durable.unique()}"
    theirs.write_bytes(b"x")
    os.utime(theirs, (0, 0))
    (tmp_path / "run/tasks/x").symlink_to(tmp_path / "other")
    durable.remove_abandoned(tmp_path / "run/tasks/x", time.time())
    assert theirs.exists()


@pytest.mark.parametrize("end", [KeyboardInterrupt, MemoryError])
def test_a_merge_that_is_ended_leaves_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    published(tmp_path, TWO, 0, finding())
    published(tmp_path, TWO, 1)

    def ended(*_: object) -> None:
        raise end

    monkeypatch.setattr(history.HistoryWriter, "write", ended)
    with pytest.raises(end):
        merge.merge(tmp_path, TWO)
    assert [path for path in tmp_path.rglob(".*") if path.is_file()] == []


def _merge_in_a_process(run: Path) -> bytes:
    return msgspec.json.encode(merge.merge(run, TWO))


def test_mergers_at_the_same_time_agree(tmp_path: Path) -> None:
    lines = [finding(f"t{number}") for number in range(2000)]
    published(tmp_path, TWO, 0, *lines[:900], outcome=Outcome.PARTIAL)
    published(tmp_path, TWO, 0, *lines[500:])
    published(tmp_path, TWO, 1, *lines)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        results = set(pool.map(_merge_in_a_process, [tmp_path] * 9, chunksize=1))
    (result,) = results
    report = (run_record.task_folder(tmp_path, TWO) / layout.REPORT).read_bytes()
    for published_bytes in (content(tmp_path, TWO), report):
        assert hashlib.sha256(published_bytes).hexdigest().encode() in result
    assert content(tmp_path, TWO).count(b"\n") == 4000
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_the_order_of_attempts_on_the_disk_does_not_matter(tmp_path: Path) -> None:
    """Two claims with the same attempts have the same merge, whatever came first."""
    ways = []
    for name, order in (("one", [0, 1]), ("two", [1, 0])):
        for index in order:
            published(tmp_path / name, TWO, index, finding(f"t{index}"))
        merged(tmp_path / name, TWO)
        ways.append(
            (
                content(tmp_path / name, TWO),
                (run_record.task_folder(tmp_path / name, TWO) / layout.METADATA).read_bytes(),
            )
        )
    assert ways[0] == ways[1]


def test_the_collector_takes_what_is_there_and_says_that_it_is_partial(tmp_path: Path) -> None:
    three = document(endpoints=("http://a.example", "http://b.example", "http://c.example"), shards=3)
    published(tmp_path, three, 0, finding("a"))
    endpoints = shards.cut(three.endpoints, 3)[1]
    killed = publish.begin(
        divided.shard_folder(tmp_path, three, endpoints), records.begun(three.key, 1, 1, "2026-11-24T06:00:00Z")
    )
    killed.findings.feed(finding("b") + b"\n" + finding("torn")[:20])
    report = collect.collect(three, tmp_path)
    assert report.outcome is Outcome.PARTIAL
    assert report.merged is not None
    assert not report.merged.complete
    assert (report.merged.shards, report.merged.findings.total, report.endpoints_scanned) == (2, 2, 1)
    assert content(tmp_path, three) == finding("a") + b"\n" + finding("b") + b"\n"
    assert collect.collect(three, tmp_path).merged == report.merged


def test_the_collector_of_a_job_that_never_ran_leaves_an_empty_result(tmp_path: Path) -> None:
    report = collect.collect(msgspec.structs.replace(TWO, endpoints=()), tmp_path / "new")
    assert report.merged is not None
    assert (report.merged.complete, report.merged.shards, report.merged.findings.total) == (False, 0, 0)
    assert content(tmp_path / "new", TWO) == b""


DISCOVERED = DiscoveryReport(found=2, left_out=1, examples=("Ingress a: no host",))


@pytest.mark.parametrize("task", [TWO, msgspec.structs.replace(TWO, confidential=True, discovery=DISCOVERED)])
def test_the_collector_needs_no_list_but_that_of_the_attempts(tmp_path: Path, task: TaskDocument) -> None:
    """Lost otherwise: findings of a plan whose ConfigMap was edited, or whose Ingresses changed, since its scan began."""
    bare = TaskDocument(
        key=task.key, project_id=task.project_id, run_id=task.run_id, plan=task.plan, endpoints=(), templates=(),
        confidential=task.confidential, replay_not_before=task.replay_not_before,
    )  # fmt: skip
    results: list[Any] = []
    for place, handed in ((tmp_path / "with", task), (tmp_path / "without", bare)):
        place.mkdir()
        run_record.enter(place, task, 0.0)
        published(place, task, 0, finding("a"))
        results.append(collect.collect(handed, place))
        folder = run_record.task_folder(place, task)
        results.append(msgspec.json.decode((folder / layout.METADATA).read_bytes()) | {"files": ()})
    assert results[0].findings == results[2].findings
    assert results[1] == results[3], "also what the metadata says of shards that never began"


def test_the_collector_takes_the_list_of_the_newest_job(tmp_path: Path) -> None:
    """Lost otherwise: findings of a Job that was made again with other shards."""
    one = msgspec.structs.replace(TWO, shards=1)
    run_record.enter(tmp_path, TWO, 0.0)
    run_record.enter(tmp_path, one, 1.0)
    published(tmp_path, one, 0, finding("a"), finding("b"))
    report = collect.collect(msgspec.structs.replace(TWO, endpoints=(), shards=1), tmp_path)
    assert (report.outcome, report.findings.total) == (Outcome.COMPLETE, 2)


def test_a_lost_list_is_said_and_no_empty_result_published(tmp_path: Path) -> None:
    run_record.enter(tmp_path, TWO, 0.0)
    published(tmp_path, TWO, 0, finding("a"))
    (run_record.task_folder(tmp_path, TWO) / layout.SCOPE).unlink()
    with pytest.raises(TemporaryError) as error:
        collect.collect(msgspec.structs.replace(TWO, endpoints=()), tmp_path)
    assert layout.SCOPE in error.value.message
    assert not (run_record.task_folder(tmp_path, TWO) / layout.FINDINGS).exists()


def test_a_partial_merge_becomes_complete_when_the_rest_is_there(tmp_path: Path) -> None:
    published(tmp_path, TWO, 0, finding("a"))
    collect.collect(TWO, tmp_path)
    published(tmp_path, TWO, 1, finding("b"))
    report = collect.collect(TWO, tmp_path)
    assert report.outcome is Outcome.COMPLETE
    assert content(tmp_path, TWO).count(b"\n") == 2


def test_a_run_knows_its_tasks_in_order_and_links_the_newest(tmp_path: Path) -> None:
    older, newer = document(key="scan:acme:nightly:1:1:1"), document(key="scan:acme:nightly:2:2:2")
    run_record.enter(tmp_path, older, 1000.0)
    run_record.enter(tmp_path, newer, 2000.0)
    run_record.enter(tmp_path, older, 3000.0)
    for task in (newer, older):  # the older one is finished last
        published(tmp_path, task, 0, finding())
        merged(tmp_path, task)
    record = run_record.read(tmp_path)
    assert record is not None
    assert [(task.key, task.complete) for task in record.tasks] == [(older.key, True), (newer.key, True)]
    link = tmp_path / layout.LATEST
    assert link.is_symlink()
    assert link.resolve() == run_record.task_folder(tmp_path, newer).resolve()
    assert record.tasks[1].nuclei_output is not None
    assert (tmp_path / record.tasks[1].nuclei_output).read_bytes() == finding() + b"\n"


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP, errno.EIO])
@pytest.mark.parametrize("call", ["symlink", "replace"])
def test_row_13_a_volume_without_links_only_lacks_the_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    replace = os.replace

    def refuse(source: str, target: str, *_more: object, **_options: object) -> None:
        if call == "symlink" or str(target).endswith(f"/{layout.LATEST}"):
            raise OSError(number, os.strerror(number))
        replace(source, target)

    task = document()
    run_record.enter(tmp_path, task, 1000.0)
    published(tmp_path, task, 0, finding())
    monkeypatch.setattr(os, call, refuse)
    assert merged(tmp_path, task).complete
    assert not (tmp_path / layout.LATEST).exists()
    assert not list(tmp_path.glob(f".{layout.LATEST}*"))


def test_a_task_whose_first_attempt_was_killed_while_it_entered_gets_into_the_record(tmp_path: Path) -> None:
    run_record.enter(tmp_path, TWO, 0.0)
    (tmp_path / layout.RUN_RECORD).unlink()
    run_record.enter(tmp_path, TWO, 1.0)
    record = run_record.read(tmp_path)
    assert record is not None
    assert [task.key for task in record.tasks] == [TWO.key]


def test_artifacts_of_the_first_version_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / layout.LATEST).mkdir()
    (tmp_path / layout.LATEST / layout.FINDINGS).write_text("old")
    published(tmp_path, document(), 0, finding())
    assert collect.collect(document(), tmp_path).merged is not None
    assert (tmp_path / layout.LATEST / layout.FINDINGS).read_text() == "old"


def test_a_run_belongs_to_one_project(tmp_path: Path) -> None:
    run_record.enter(tmp_path, TWO, 0.0)
    with pytest.raises(ClaimError) as caught:
        run_record.enter(tmp_path, document(project_id="globex", key="scan:globex:nightly:1:1:1"), 1.0)
    assert caught.value.reason is Reason.RUN_ID_CONFLICT
    assert "acme" in caught.value.message
    record = run_record.read(tmp_path)
    assert record is not None
    assert len(record.tasks) == 1


def _enter(run_and_number: tuple[Path, int]) -> None:
    run, number = run_and_number
    task = document(key=f"scan:acme:nightly:{number}:0:0", plan=PlanReference(namespace="default", name=f"p{number}"))
    run_record.enter(run, task, float(number))


def test_tasks_that_enter_a_run_at_the_same_time_are_all_in_its_record(tmp_path: Path) -> None:
    numbers = [*range(0, 24, 2), *range(23, 0, -2)]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(_enter, [(tmp_path, number) for number in numbers], chunksize=1)
    record = run_record.read(tmp_path)
    assert record is not None
    assert [task.plan.name for task in record.tasks] == [f"p{number}" for number in range(24)]
