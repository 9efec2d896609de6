"""The history that a merge leaves: one story over all scans of a run, whoever merges, and whatever was killed meanwhile."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import msgspec
import pytest

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.records import ShardCoverage
from scanplan.api.documents.report import FindingCounts, HistoryCounts, MergedResult, ScannerVersion
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import Age, Outcome
from scanplan.core.planning import shards
from scanplan.findings import history
from scanplan.findings.exceptions import Handed
from scanplan.findings.history import Entry
from scanplan.runner import collect
from scanplan.runner.artifacts import divided, publish, run_record
from scanplan.runner.artifacts.merging import history as artifacts_history
from scanplan.runner.artifacts.merging import merge, sightings, sorting
from tests.unit.runner.documents import document, finding


@pytest.fixture(autouse=True, params=["all findings are read", "attempts leave sightings"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge of few findings, or what one of very many does."""
    if request.param == "attempts leave sightings":
        monkeypatch.setattr(sightings, "LEAST", -1)
        monkeypatch.setattr(artifacts_history, "READ_ALL", -1)


ONE = ("http://a.example",)
TWO = ("http://a.example", "http://b.example")


class Run:
    """One run whose tasks are scanned one after the other, without Nuclei."""

    def __init__(self, folder: Path, endpoints: tuple[str, ...] = ONE, shard_count: int = 1) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.endpoints = endpoints
        self.shards = shard_count
        self.number = 0
        self.task = document()
        self.exceptions: Handed | None = None
        """Those of the namespace, from the next merge on."""

    def begin(self, number: int | None = None) -> TaskDocument:
        """A new task, a day after the one before."""
        self.number = number or self.number + 1
        self.task = document(endpoints=self.endpoints, shards=self.shards, key=f"scan:acme:nightly:0a:0b:{self.number}")
        run_record.enter(self.folder, self.task, float(self.number))
        return self.task

    def publish(
        self,
        shard: int,
        *lines: bytes,
        outcome: Outcome = Outcome.COMPLETE,
        ran: tuple[str, ...] | None = ("t", "u"),
        trusted: str = "1",
        excluded: tuple[str, ...] = (),
    ) -> None:
        """An attempt at a shard, with what it ran."""
        endpoints = shards.cut(self.task.endpoints, self.shards)[shard]
        moment = f"2026-11-{self.number:02}T06:00:00.000Z"
        begun = records.begun(self.task.key, shard, len(endpoints), moment)
        attempt = publish.begin(divided.shard_folder(self.folder, self.task, endpoints), begun)
        attempt.findings.feed(b"".join(line + b"\n" for line in lines))
        if outcome is Outcome.COMPLETE and ran is not None:
            attempt.coverage = ShardCoverage(trusted=trusted, templates=ran, excluded_matchers=excluded)
        attempt.publish(
            msgspec.structs.replace(
                begun,
                attempt=attempt.number,
                outcome=outcome,
                findings=attempt.findings.counts,
                scanner=ScannerVersion(nuclei_version="v3", templates_digest="d", templates_loaded=1),
            )
        )

    def scan(
        self,
        *lines: bytes,
        ran: tuple[str, ...] | None = ("t", "u"),
        trusted: str = "1",
        excluded: tuple[str, ...] = (),
    ) -> HistoryCounts:
        """A whole scan of one shard."""
        self.begin()
        self.publish(0, *lines, ran=ran, trusted=trusted, excluded=excluded)
        return self.merge()

    def merge(self) -> HistoryCounts:
        result = merge.merge(self.folder, self.task, scan_exceptions=self.exceptions)
        assert result is not None
        self.suppressed = result.exceptions.suppressed.total if result.exceptions else 0
        return counts(result)

    @property
    def place(self) -> Path:
        return run_record.task_folder(self.folder, self.task)

    @property
    def content(self) -> bytes:
        return (self.place / layout.HISTORY).read_bytes()

    @property
    def entries(self) -> list[Entry]:
        return list(history.entries(self.content.splitlines(keepends=True)))

    @property
    def states(self) -> dict[str, str]:
        """State by template."""
        return {entry.template: entry.state.value for entry in self.entries}


def counts(result: MergedResult) -> HistoryCounts:
    assert result.history is not None
    return result.history


def test_the_scans_of_a_run_have_one_history(tmp_path: Path) -> None:
    run = Run(tmp_path)
    first = run.scan(finding("t"), finding("u", severity="low"))
    assert (first.since, first.new, first.open) == ("", FindingCounts(high=1, low=1), FindingCounts(high=1, low=1))
    second = run.scan(finding("t", timestamp="later"))
    assert second.since == "2026-11-01T06:00:00.000Z"
    assert (second.new, second.resolved, second.open) == (FindingCounts(), FindingCounts(low=1), FindingCounts(high=1))
    third = run.scan(finding("t"), finding("u", severity="low"))
    assert (third.resolved, third.reopened) == (FindingCounts(), FindingCounts(low=1))
    stays, back = sorted(run.entries, key=lambda entry: entry.template)
    assert (stays.state, stays.first_seen[8:10], stays.last_seen[8:10], stays.times_seen) == ("open", "01", "03", 3)
    assert (back.state, back.first_seen[8:10], back.times_seen, back.reopened) == ("reopened", "01", 2, 1)


NO_EVIDENCE = {
    "the template was not run": {"ran": ("u",)},
    "the target did not answer": {"trusted": "0"},
    "an older version has scanned": {"ran": None},
    "its findings were left out": {"excluded": ("t:*",)},
}


@pytest.mark.parametrize("case", NO_EVIDENCE)
def test_what_was_not_looked_for_stays_open(tmp_path: Path, case: str) -> None:
    """Closed otherwise: a weakness that is still there, because a template was missing for one night."""
    run = Run(tmp_path)
    run.scan(finding("t"))
    changed = run.scan(**NO_EVIDENCE[case])  # type: ignore[arg-type]
    assert changed.resolved.total == 0
    assert changed.open.total == 1
    assert run.states == {"t": "open"}
    assert run.entries[0].last_seen == "2026-11-01T06:00:00.000Z"
    assert run.scan().resolved.total == 1


def test_a_partial_result_resolves_nothing_and_is_no_history_to_go_on_from(tmp_path: Path) -> None:
    run = Run(tmp_path, TWO, 2)
    run.begin()
    run.publish(0, finding("t", at="http://a.example/x"))
    run.publish(1, finding("u", at="http://b.example/x", url="http://b.example"))
    run.merge()
    run.begin()
    run.publish(0)
    partial = collect.collect(run.task, tmp_path).merged
    assert partial is not None
    assert (counts(partial).resolved.total, counts(partial).open.total) == (0, 2)
    run.begin()
    run.publish(0)
    run.publish(1, finding("u", at="http://b.example/x", url="http://b.example"))
    assert run.merge().since == "2026-11-01T06:00:00.000Z"
    assert {entry.template: entry.times_seen for entry in run.entries} == {"t": 1, "u": 2}


def test_a_scan_that_published_nothing_makes_no_finding_younger(tmp_path: Path) -> None:
    """Wrong otherwise: all open findings are a week old at most, on the status and in every count by age."""
    run = Run(tmp_path)
    run.scan(finding("t"))
    task = document(endpoints=ONE, shards=1, key="scan:acme:nightly:0a:0b:later")
    run_record.enter(tmp_path, task, records.seconds("2026-12-15T06:00:00Z"))
    merged = collect.collect(task, tmp_path).merged
    assert merged is not None
    assert counts(merged).open_by_age == {Age.QUARTER: FindingCounts(high=1)}


def test_a_finding_of_one_shard_is_resolved_by_that_shard_alone(tmp_path: Path) -> None:
    run = Run(tmp_path, TWO, 2)
    run.begin()
    for shard, host in enumerate(("a", "b")):
        run.publish(
            shard, finding("t", at=f"http://{host}.example/x", host=f"{host}.example", url=f"http://{host}.example")
        )
    run.merge()
    run.begin()
    run.publish(0)
    run.publish(1, trusted="0")
    assert run.merge().resolved.total == 1
    assert sorted((entry.host, entry.state.value) for entry in run.entries) == [
        ("a.example", "resolved"),
        ("b.example", "open"),
    ]


def test_a_result_without_a_history_is_taken_in(tmp_path: Path) -> None:
    """Everything otherwise looks new on the day of the upgrade."""
    run = Run(tmp_path)
    run.scan(finding("t"), finding("t", at="http://a.example/y"))
    _forget_history(run)
    changed = run.scan(finding("t"))
    assert (changed.new.total, changed.resolved.total) == (0, 1)
    assert {entry.first_seen[8:10] for entry in run.entries} == {"01"}


def _forget_history(run: Run) -> None:
    """Make the newest result one of an older version."""
    (run.place / layout.HISTORY).unlink()
    metadata = run_record.metadata(run.place)
    assert metadata is not None
    files = tuple(file for file in metadata.files if file.name != layout.HISTORY)
    older = msgspec.structs.replace(metadata, files=files, history=None)
    (run.place / layout.METADATA).write_bytes(records.readable(older))


def test_a_history_that_is_gone_begins_anew(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.scan(finding("t"))
    run.begin()
    (run_record.task_folder(tmp_path, document(key="scan:acme:nightly:0a:0b:1")) / layout.HISTORY).unlink()
    run.publish(0, finding("t"))
    changed = run.merge()
    assert (changed.since, changed.new.total) == ("", 1)


def test_each_finding_counts_once_however_many_records_it_has(tmp_path: Path) -> None:
    run = Run(tmp_path)
    changed = run.scan(*(finding("t", at=f"http://a.example/orders/{number}") for number in range(5)))
    assert changed.new.total == 1
    assert len(run.entries) == 1


def test_a_renamed_template_goes_on_with_its_findings(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.scan(finding("old"), ran=("old",))
    renamed = {"name": "x", "severity": "high", "metadata": {"aliases": ["old"]}}
    changed = run.scan(finding("new", info=renamed), ran=("new", "old"))
    assert (changed.new.total, changed.resolved.total) == (0, 0)
    assert [(entry.template, entry.times_seen) for entry in run.entries] == [("new", 2)]
    assert run.scan(ran=("new", "old")).resolved.total == 1


@pytest.mark.parametrize("size", [1, 2_000, 1 << 20])
def test_more_than_memory_holds_makes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    lines = [finding("t", at=f"http://a.example/{number:x}x", severity="low") for number in range(300)]
    plain = Run(tmp_path / "plain")
    plain.scan(*lines[:200])
    plain.scan(*lines[100:])
    monkeypatch.setattr(sorting, "PART_BYTES", size)
    parted = Run(tmp_path / "parted")
    parted.scan(*lines[:200])
    assert parted.scan(*lines[100:]).new.total == 100
    assert parted.content == plain.content
    assert not [path for path in parted.place.iterdir() if path.name.startswith(".")]


def test_the_order_of_findings_and_shards_does_not_matter(tmp_path: Path) -> None:
    lines = [finding("t", at=f"http://a.example/{letter}") for letter in "abcdef"]
    contents = set()
    for name, order in (("one", lines), ("two", lines[::-1])):
        run = Run(tmp_path / name)
        run.scan(*order)
        run.scan(*(line for line in order if line != lines[0]))
        contents.add(run.content)
    assert len(contents) == 1


def _merge_in_a_process(folder: Path) -> bytes:
    task = document(endpoints=ONE, shards=1, key="scan:acme:nightly:0a:0b:2")
    return msgspec.json.encode(merge.merge(folder, task))


def test_mergers_at_the_same_time_agree(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.scan(*(finding("t", at=f"http://a.example/x{letter}") for letter in "abcdef"))
    run.begin()
    run.publish(0, *(finding("t", at=f"http://a.example/x{letter}") for letter in "defghi"))
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        (result,) = set(pool.map(_merge_in_a_process, [tmp_path] * 6, chunksize=1))
    changed = counts(msgspec.json.decode(result, type=MergedResult))
    assert (changed.new.total, changed.resolved.total, changed.open.total) == (3, 3, 6)


def test_a_merger_killed_at_any_file_is_made_good(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.scan(finding("t"), finding("u"))
    run.begin()
    run.publish(0, finding("t"), finding("v"))
    expected = run.merge()
    content = run.content
    for name in (layout.FINDINGS, layout.HISTORY, layout.REPORT, layout.METADATA):
        (run.place / name).unlink()
        assert run.merge() == expected, name
        assert run.content == content, name
    (run.place / layout.HISTORY).write_bytes(b"cut")
    assert run.merge() == expected
    assert run.content == content


@pytest.mark.parametrize(
    "forged", [b"", b"\n\n", b"x" * (history.MOST_LINE_BYTES * 3), b'{"identity":"' + b"f" * 32 + b'"}\n'], ids=len
)
def test_a_forged_history_costs_no_scan(tmp_path: Path, forged: bytes) -> None:
    run = Run(tmp_path)
    run.scan(finding("t"))
    (run.place / layout.HISTORY).write_bytes(forged)
    assert run.scan(finding("t"), finding("u")).open.total == 2
    assert len(run.entries) == 2


@pytest.mark.parametrize("forged", [b"", b"{}", b'{"trusted":"zz","templates":[]}', b"[" * 2_000], ids=len)
def test_a_forged_coverage_resolves_nothing(tmp_path: Path, forged: bytes) -> None:
    run = Run(tmp_path)
    run.scan(finding("t"))
    run.begin()
    run.publish(0)
    (path,) = run.place.rglob(layout.COVERAGE)
    path.write_bytes(forged)
    assert run.merge().resolved.total == 0


def test_a_link_in_place_of_a_history_is_not_followed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.scan(finding("t"))
    outside = tmp_path / "outside"
    outside.write_bytes(run.content)
    (run.place / layout.HISTORY).unlink()
    (run.place / layout.HISTORY).symlink_to(outside)
    assert run.scan(finding("t")).since == ""
