"""Any record of a run may be anything, since whoever may write to the run can change it: nothing that reads one fails at it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanplan.api import layout
from scanplan.api.documents.records import ScanMetadata
from scanplan.api.documents.report import ShardReport
from scanplan.api.documents.words import Outcome
from scanplan.api.errors import ClaimError, TemporaryError
from scanplan.cli.output.failure import Failure
from scanplan.cli.result_source import ResultSource
from scanplan.client import artifacts
from scanplan.client.compat import nuclei_integration
from scanplan.core.planning import keys, shards
from scanplan.findings import fingerprint
from scanplan.report import page, sarif, spreadsheet
from scanplan.runner.artifacts import divided, durable, publish, retention, run_record
from scanplan.runner.artifacts.merging import merge
from scanplan.runner.collect import collect
from tests.unit.runner.artifacts.merging.test_merge import published
from tests.unit.runner.documents import document, finding

TASK = document(endpoints=("http://a.example", "http://b.example"), shards=2)
NAMES = [
    layout.RUN_RECORD, layout.TASK_RECORD, layout.SCOPE, layout.METADATA, layout.SHARD_RECORD, layout.STEPS, artifacts.RECORD,
]  # fmt: skip
VALUES: list[Any] = [
    None,
    True,
    "",
    "x",
    "../../theirs",
    "/etc",
    "a\x00b",
    "x" * 5_000,
    -1,
    2**50,
    2**63,
    10**300,
    1.5,
    -0.0,
    [],
    [None],
    [2**200],
    {},
    {"a": {}},
    [[[[[[]]]]]],
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-99-99",
]
CONTENTS = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"NaN",
    b'{"attempt":NaN}',
    b'{"x":' + b"[" * 100_000,
    b'{"runId":"\xff"}',
    b"\x00" * 4_096,
    b'{"runId":"\\ud800"}',
]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A claim with one run, merged, of two shards; the second took two attempts."""
    claim = tmp_path_factory.mktemp("claim")
    run = claim / layout.run_directory(TASK.run_id)
    run.mkdir(parents=True)
    run_record.enter(run, TASK, 0.0)
    published(run, TASK, 0, finding("a"))
    published(run, TASK, 1, finding("b"), outcome=Outcome.PARTIAL)
    published(run, TASK, 1, finding("b"), finding("c"))
    assert merge.merge(run, TASK) is not None
    (run / artifacts.RECORD).write_text("{}")
    step = {"plan": "p", "span": [0, 1, 0, 1], "findingsBytes": 1, "requests": 1, "contacts": {"a": {"answered": 1}}}
    step |= {"sent": {"t": "1"}, "questions": "0", "skipped": [], "version": "", "templatesLoaded": 1, "loaded": []}
    step |= {"notLoaded": {}, "notSent": {}, "matched": []}
    for attempt in run.glob("tasks/*/shards/*/attempt-*"):
        (attempt / layout.STEPS).write_bytes(msgspec.json.encode(step) + b"\n")
    return claim


@pytest.fixture
def claim(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "claim", symlinks=True))


def run_of(claim: Path) -> Path:
    return claim / layout.run_directory(TASK.run_id)


def records_of(claim: Path, name: str) -> list[Path]:
    found = sorted(run_of(claim).rglob(name))
    assert found, name
    return found


def read_all(claim: Path, scratch: Path) -> None:
    """All that reads the records of a run; none may raise but for the errors that its users are told of."""
    run = run_of(claim)
    scratch.mkdir()
    published_before = artifacts.recovered(claim, f"scan-{keys.key_digest(TASK.key)}")
    if published_before is not None:
        msgspec.json.encode(published_before)
    artifacts.newest_task(claim, TASK.run_id)
    artifacts.record(run, {"a": "b"})
    with contextlib.ExitStack() as resources, contextlib.suppress(Failure):
        result = ResultSource(scratch, None, claim, resources).find(TASK.run_id)
        report(result.scan)
    now = time.time() + 1e7
    retention.prune(claim, retention.Policy(number=1, age_seconds=1e9, total_bytes=1 << 40), fail, now=now)
    for endpoints in shards.cut(TASK.endpoints, TASK.shards):
        folder = divided.shard_folder(run, TASK, endpoints)
        publish.complete(folder, not_before=0.0)
        publish.published(folder, not_before=0.0)
    with contextlib.suppress(ClaimError):  # a run that says that it is another project's
        assert_well_formed(collect(TASK, run))
        with contextlib.suppress(TemporaryError):  # the list of endpoints is gone
            assert_well_formed(collect(msgspec.structs.replace(TASK, endpoints=(), templates=()), run))
        run_record.enter(run, TASK, 0.0)
    merge.merge(run, TASK, partial=True)


def report(described: ScanMetadata) -> None:
    for pieces in (page.render(described, iter(()), "1"), sarif.render(described, iter(()), "1")):
        assert b"".join(pieces)
    assert list(spreadsheet.render(iter(())))


def fail(run_id: str, error: OSError) -> None:
    pytest.fail(f"{run_id}: {error}")


def assert_well_formed(made: ShardReport) -> None:
    """The operator can read the report."""
    msgspec.json.decode(msgspec.json.encode(made), type=ShardReport)


def fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all members, however deep."""
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from fields(each, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    place = copy
    for part in path[:-1]:
        place = place[part]
    if new is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return copy


@pytest.mark.parametrize("name", NAMES[:-1])
def test_no_member_of_a_record_ends_a_reader(claim: Path, name: str, tmp_path: Path) -> None:
    """Lost otherwise: a run's result, the pruning of a whole claim, or a command, by one odd number in one file."""
    originals = {path: path.read_bytes() for path in records_of(claim, name)}
    path, original = next(iter(originals.items()))
    read: Any = json.loads(original)
    changes = [(place, value) for place in fields(read) for value in (..., *VALUES)]
    step = 2 * (len(changes) // 600) + 1  # of a large record some values for each member
    for number, (place, value) in enumerate(changes[::step]):
        for each, content in originals.items():
            each.write_bytes(content)
        path.write_bytes(json.dumps(changed(read, place, value)).encode())
        try:
            read_all(claim, tmp_path / f"scratch-{number}")
        except Exception as error:
            pytest.fail(f"{name}: {place} = {value!r:.60}: {error!r}")
        shutil.rmtree(tmp_path / f"scratch-{number}")


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", NAMES)
def test_no_content_of_a_record_ends_a_reader(claim: Path, name: str, content: bytes, tmp_path: Path) -> None:
    for path in records_of(claim, name):
        path.write_bytes(content)
    read_all(claim, tmp_path / "scratch")


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def holes(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def folder(path: Path) -> None:
    (path / "inside").mkdir(parents=True)


def nothing(_: Path) -> None:
    pass


@pytest.mark.parametrize("put", [nothing, link, dangling, loop, os.mkfifo, folder, holes])
@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_in_a_records_place_ends_no_reader(
    claim: Path, name: str, put: Callable[[Path], None], tmp_path: Path
) -> None:
    for path in records_of(claim, name):
        path.unlink()
        put(path)
    read_all(claim, tmp_path / "scratch")


@pytest.mark.parametrize("put", [nothing, link, dangling, loop, os.mkfifo, folder])
@pytest.mark.parametrize("name", [layout.FINDINGS, publish.GROWING, publish._BEGUN, publish._RESERVE])
@pytest.mark.parametrize("sealed", [True, False])
def test_whatever_is_in_the_findings_place_ends_no_merge(
    claim: Path, name: str, put: Callable[[Path], None], sealed: bool
) -> None:
    """Lost otherwise: the findings of all other attempts and shards."""
    run = run_of(claim)
    endpoints = shards.cut(TASK.endpoints, TASK.shards)[0]
    attempt = publish.folder(divided.shard_folder(run, TASK, endpoints), 1)
    with contextlib.suppress(FileNotFoundError):
        (attempt / name).unlink()
    put(attempt / name)
    if not sealed:
        (attempt / layout.SHARD_RECORD).unlink()
    shutil.rmtree(run_record.task_folder(run, TASK) / layout.METADATA, ignore_errors=True)
    (run_record.task_folder(run, TASK) / layout.METADATA).unlink()
    made = collect(TASK, run)
    assert made.merged is not None
    assert made.merged.findings.total >= 2


def test_an_attempt_is_known_by_its_folder(claim: Path) -> None:
    """Lost otherwise: a record that counts another attempt's findings twice, or those of none."""
    path = records_of(claim, layout.SHARD_RECORD)[0]
    record = json.loads(path.read_bytes())
    for number in (0, 2, 10**9):
        path.write_text(json.dumps({**record, "attempt": number}))
        assert publish.read(path.parent.parent, 1) is None
    path.write_text(json.dumps(record))
    assert publish.read(path.parent.parent, 1) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not read")
def test_records_that_may_not_be_read_end_no_reader(pristine: Path) -> None:
    place = Path(tempfile.mkdtemp())
    try:
        claim = Path(shutil.copytree(pristine, place / "claim", symlinks=True))
        for path in (place, *place.rglob("*")):
            os.chown(path, 65532, 65532, follow_symlinks=False)
        for name in NAMES:
            for path in records_of(claim, name):
                path.chmod(0)
        os.seteuid(65532)
        read_all(claim, place / "scratch")
    finally:
        os.seteuid(0)
        shutil.rmtree(place)


@pytest.mark.parametrize(
    "target", ["../theirs", "../theirs/tasks/x", "/etc", "tasks/../../theirs", "tasks/..", "..", "tasks", "tasks/x/y"]
)
def test_the_newest_tasks_link_leads_to_no_other_run(claim: Path, target: str) -> None:
    """Lost otherwise: another run's findings, read as those of this one by whoever follows the run's link."""
    run = run_of(claim)
    for place in (run.parent / "theirs/tasks/x", run.parent / "theirs", run / "tasks/x/y", Path("/etc")):
        if place != Path("/etc"):
            place.mkdir(parents=True, exist_ok=True)
            (place / layout.FINDINGS).write_bytes(finding("theirs") + b"\n")
    latest = run / layout.LATEST / layout.FINDINGS
    assert len(nuclei_integration.to_internal_findings(latest)) == 3
    (run / layout.LATEST).unlink()
    (run / layout.LATEST).symlink_to(target)
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        nuclei_integration.to_internal_findings(latest)


@pytest.mark.parametrize(
    "line",
    [
        b'{"template-id":"t","info":{"classification":{"cvss-score":%s}}}' % number
        for number in (b"1e308", b"9" * 400, b"-1", b"true", b'"x"', b"[]")
    ]
    + [b'{"template-id":"t","extracted-results":' + b"[" * depth + b"]" * depth + b"}" for depth in (100, 800, 990)]
    + [b'{"template-id":"t","meta":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}" for depth in (100, 800, 990)],
)
def test_no_finding_ends_a_reader(line: bytes) -> None:
    assert len(fingerprint.of(line)) == fingerprint.DIGEST_BYTES
    nuclei_integration.parse(line)


def test_a_record_of_a_length_without_sense_is_not_read(tmp_path: Path) -> None:
    """Lost otherwise: the memory of whatever reads it."""
    holes(tmp_path / "record")
    with pytest.raises(FileNotFoundError):
        durable.read_record(tmp_path / "record")
