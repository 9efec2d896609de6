"""`scanplan results` and `scanplan diff`: what pipelines go by, and what people must not overlook."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from scanplan.api import layout
from scanplan.cli import result_source
from scanplan.cli.main import app
from scanplan.cli.output.failure import NotFound
from scanplan.client.cluster import cluster as clusters
from scanplan.client.cluster import reader
from scanplan.core.planning import keys
from scanplan.report import sarif
from tests.unit.cli import folder
from tests.unit.cli.output.test_terminal import unread
from tests.unit.report import events

HIGH = events.event(**{"matched-at": "https://app.example.com/high", "info": {"severity": "high", "name": "High one"}})
MEDIUM = events.event()
LOW = events.event(**{"matched-at": "https://app.example.com/low", "info": {"severity": "low"}})


def scanplan(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run `nightly` with two results: medium and low, then high and medium."""
    folder.write(tmp_path, "nightly", [MEDIUM, LOW], [MEDIUM, HIGH])
    return tmp_path


def test_the_table_has_the_most_severe_first_and_counts_on_standard_error(root: Path) -> None:
    answer = scanplan("results", "nightly", "--directory", root)
    assert answer.exit_code == 0
    lines = answer.stdout.splitlines()
    assert lines[1].startswith("high")
    assert lines[2].startswith("medium")
    assert "2 findings: 1 high, 1 medium" in answer.stderr


def test_every_format_holds_every_finding(root: Path) -> None:
    formats = {
        name: scanplan("results", "nightly", "--directory", root, "-o", name)
        for name in ("json", "ndjson", "sarif", "csv", "html")
    }
    assert all(answer.exit_code == 0 for answer in formats.values())
    assert [json.loads(line) for line in formats["ndjson"].stdout.splitlines()] == [MEDIUM, HIGH]
    assert json.loads(formats["json"].stdout)["findings"] == [MEDIUM, HIGH]
    assert len(json.loads(formats["sarif"].stdout)["runs"][0]["results"]) == 2
    assert len(list(csv.reader(formats["csv"].stdout.splitlines()))) == 3
    assert formats["html"].stdout.count('class="finding"') == 2


def test_a_file_gets_what_standard_output_would_have_got(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.ndjson"
    answer = scanplan("results", "nightly", "--directory", root, "-o", "ndjson", "-f", file)
    assert answer.stdout == ""
    assert file.read_bytes() == b"".join(events.lines([MEDIUM, HIGH]))


@pytest.mark.parametrize(
    ("wanted", "names"),
    [("high", ["high"]), ("high,low", ["high"]), ("HIGH, medium", ["medium", "high"]), ("info", [])],
)
def test_only_the_severities_that_were_asked_for(root: Path, wanted: str, names: list[str]) -> None:
    answer = scanplan("results", "nightly", "--directory", root, "-o", "ndjson", "--severity", wanted)
    assert [json.loads(line)["info"]["severity"] for line in answer.stdout.splitlines()] == names


@pytest.mark.parametrize(("threshold", "code"), [("critical", 0), ("high", 1), ("medium", 1), ("info", 1)])
def test_a_pipeline_stops_on_what_it_says_and_on_nothing_else(root: Path, threshold: str, code: int) -> None:
    assert scanplan("results", "nightly", "--directory", root, "--fail-on", threshold).exit_code == code


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("results nightly --fail-on high", 1),
        ("results nightly --fail-on high -o ndjson", 1),
        ("results nightly --fail-on critical -o csv", 0),
        ("diff nightly~1 nightly --fail-on high", 1),
    ],
)
def test_a_pipeline_stops_whoever_reads_what_was_found(tmp_path: Path, words: str, code: int) -> None:
    """Lost otherwise: `results --fail-on high | head`, which passes with findings."""
    many = [events.event(**{"matched-at": f"https://app.example.com/{number}"}) for number in range(500)]
    folder.write(tmp_path, "nightly", [MEDIUM], [*many, HIGH])
    assert unread(["-m", "scanplan", *words.split(), "--directory", str(tmp_path)]) == code


def test_a_pipeline_stops_on_findings_that_it_does_not_show(root: Path) -> None:
    arguments = ("--directory", root, "--severity", "low", "--fail-on", "high")
    assert scanplan("results", "nightly", *arguments).exit_code == 1


@pytest.mark.parametrize(
    "words", ["results partial", "results partial --new", "diff partial~1 partial", "diff partial~1 partial -o json"]
)
def test_an_incomplete_scan_never_passes_a_pipeline(tmp_path: Path, words: str) -> None:
    """Lost otherwise: a finding of a shard that was not scanned, behind a green pipeline."""
    folder.write(tmp_path, "partial", [], [LOW], complete=False, shards=[events.failed(0, "OutOfMemory", "raise it")])
    gate = (*words.split(), "--directory", tmp_path, "--fail-on")
    answer = scanplan(*gate, "high")
    assert answer.exit_code == 69
    assert "that --fail-on names was found, but the scan" in answer.stderr
    assert scanplan(*gate, "low").exit_code == 1
    assert scanplan(*words.removesuffix(" --new").split(), "--directory", tmp_path).exit_code == 0


def test_an_earlier_scan_may_be_incomplete(tmp_path: Path) -> None:
    """What it did not see counts as new, so nothing passes unseen."""
    folder.write(tmp_path, "partial", [LOW], complete=False, shards=[events.failed(0, "OutOfMemory", "raise it")])
    folder.write(tmp_path, "whole", [LOW])
    assert scanplan("diff", "partial", "whole", "--directory", tmp_path, "--fail-on", "high").exit_code == 0


def test_what_was_tampered_with_is_no_result(root: Path) -> None:
    findings = folder.tasks(root / "ui_projects/nightly")[1] / "nuclei_output.ndjson"
    findings.write_bytes(findings.read_bytes().replace(b"high", b"info"))
    answer = scanplan("results", "nightly", "--directory", root)
    assert answer.exit_code == 65
    assert answer.stdout == ""
    assert "is not what the scan has published" in answer.stderr


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("nightly~2", 66, "2 results"),
        ("other", 66, "run.json"),
        ("../nightly", 64, "names no run"),
        ("a/b", 64, "names no run"),
    ],
)
def test_a_run_that_is_not_there_is_said_so(root: Path, name: str, code: int, words: str) -> None:
    answer = scanplan("results", name, "--directory", root)
    assert answer.exit_code == code
    assert words in answer.stderr


def test_a_report_marks_what_is_new_since_the_run_before(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    answer = scanplan("results", "nightly", "--directory", root, "-o", "html", "-f", file)
    assert answer.exit_code == 0
    assert file.read_text().count('data-new=""') == 1


def test_the_report_that_the_scan_has_left_is_the_one_that_everybody_gets(tmp_path: Path) -> None:
    """Lost otherwise: two readers of one scan, one of whom sees what is new and the other doesn't."""
    run = folder.write(tmp_path, "nightly", [MEDIUM], [MEDIUM, HIGH], report=b"<!doctype html>left")
    html = ("results", "nightly", "--directory", tmp_path, "-o", "html")
    answer = scanplan(*html, "-f", tmp_path / "r.html", "--fail-on", "high")
    assert (answer.exit_code, (tmp_path / "r.html").read_bytes()) == (1, b"<!doctype html>left")
    assert "2 findings" in answer.stderr
    assert 'class="finding"' in scanplan(*html, "--severity", "high").stdout
    assert 'data-new=""' in scanplan(*html, "--severity", "high").stdout
    (folder.tasks(run)[1] / "report.html").write_bytes(b"<!doctype html>other")
    assert scanplan(*html).exit_code == 65


def test_a_report_of_some_severities_says_that_it_is_not_all(root: Path) -> None:
    some = scanplan("results", "nightly", "--directory", root, "-o", "html", "--severity", "critical").stdout
    assert "Only findings of these severities are on this page: critical." in some
    assert "Only findings" not in scanplan("results", "nightly", "--directory", root, "-o", "html").stdout


def test_hostile_findings_draw_nothing_on_the_terminal(tmp_path: Path) -> None:
    folder.write(tmp_path, "hostile", events.hostile())
    answer = scanplan("results", "hostile", "--directory", tmp_path)
    assert "\x1b" not in answer.stdout
    assert "\u202e" not in answer.stdout
    assert len(answer.stdout.splitlines()) == 1 + len(events.hostile())


def test_a_difference_names_what_is_new_and_what_is_gone(root: Path) -> None:
    answer = scanplan("diff", "nightly~1", "nightly", "--directory", root)
    assert answer.exit_code == 0
    assert [line.split()[:3] for line in answer.stdout.splitlines()[1:]] == [
        ["+", "new", "high"],
        ["-", "resolved", "low"],
    ]
    assert "1 new, 0 reopened, 1 resolved, 0 not seen, 1 unchanged" in answer.stderr


def test_a_difference_as_json(root: Path) -> None:
    told: dict[str, Any] = json.loads(
        scanplan("diff", "nightly~1", "nightly", "--directory", root, "-o", "json").stdout
    )
    assert [finding["matchedAt"] for finding in told["new"]] == ["https://app.example.com/high"]
    assert [finding["severity"] for finding in told["resolved"]] == ["low"]
    assert told["unchanged"] == 1


@pytest.mark.parametrize(("earlier", "later", "code"), [("nightly~1", "nightly", 1), ("nightly", "nightly~1", 0)])
def test_a_pipeline_can_stop_on_new_findings_only(root: Path, earlier: str, later: str, code: int) -> None:
    assert scanplan("diff", earlier, later, "--directory", root, "--fail-on", "high").exit_code == code


def test_scans_that_looked_for_different_things_are_compared_with_a_warning(tmp_path: Path) -> None:
    folder.write(tmp_path, "nightly", [MEDIUM], [], templates=["dns/"])
    assert "different templates" in scanplan("diff", "nightly~1", "nightly", "--directory", tmp_path).stderr


def test_what_two_runs_without_a_common_history_do_not_share_was_not_seen(tmp_path: Path) -> None:
    """Called fixed otherwise: what the other run has never looked for."""
    folder.write(tmp_path, "one", [MEDIUM, HIGH])
    folder.write(tmp_path, "two", [MEDIUM])
    answer = scanplan("diff", "one", "two", "--directory", tmp_path)
    assert "0 new, 0 reopened, 0 resolved, 1 not seen, 1 unchanged" in answer.stderr


def test_what_came_back_stops_a_pipeline_as_what_is_new(tmp_path: Path) -> None:
    folder.write(tmp_path, "nightly", [HIGH], [], [HIGH])
    answer = scanplan("diff", "nightly~1", "nightly", "--directory", tmp_path, "--fail-on", "high")
    assert answer.exit_code == 1
    assert "1 reopened" in answer.stderr


def test_a_result_without_a_history_is_compared_by_its_findings(tmp_path: Path) -> None:
    run = folder.write(tmp_path, "nightly", [MEDIUM], [MEDIUM, HIGH])
    for task in folder.tasks(run):
        metadata = json.loads((task / "scan_metadata.json").read_bytes())
        metadata["files"] = [file for file in metadata["files"] if file["name"] != "history.ndjson"]
        (task / "scan_metadata.json").write_text(json.dumps(metadata))
    assert "1 new" in scanplan("diff", "nightly~1", "nightly", "--directory", tmp_path).stderr


@pytest.mark.parametrize(
    ("state", "names"),
    [("open", ["high", "medium"]), ("new", ["high"]), ("resolved", ["low"]), ("all", ["high", "medium", "low"])],
)
def test_findings_over_time(root: Path, state: str, names: list[str]) -> None:
    answer = scanplan("findings", "nightly", "--directory", root, "--state", state, "-o", "json")
    items = json.loads(answer.stdout)["items"]
    assert [item["severity"] for item in items] == names
    assert all(item["firstSeen"] <= item["lastSeen"] for item in items)
    table = scanplan("findings", "nightly", "--directory", root, "--state", state)
    assert len(table.stdout.splitlines()) == 1 + len(names)


def test_sarif_says_what_is_new_and_on_demand_what_is_gone(root: Path) -> None:
    def states(*options: str) -> list[str]:
        answer = scanplan("results", "nightly", "--directory", root, "-o", "sarif", *options)
        return sorted(result["baselineState"] for result in json.loads(answer.stdout)["runs"][0]["results"])

    assert states() == ["new", "unchanged"]
    assert states("--resolved") == ["absent", "new", "unchanged"]


@pytest.mark.parametrize(("severity", "count"), [("low", 3), ("high,low", 5)])
def test_sarif_has_room_for_the_severities_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, severity: str, count: int
) -> None:
    """Lost otherwise: findings of a file that has room for them, whose alerts GitHub closes."""
    monkeypatch.setattr(sarif, "MAX_RESULTS", 5)
    high = [{**HIGH, "matched-at": f"https://app.example.com/h{number}"} for number in range(6)]
    low = [{**LOW, "matched-at": f"https://app.example.com/l{number}"} for number in range(3)]
    folder.write(tmp_path, "nightly", [*high, *low])
    answer = scanplan("results", "nightly", "--directory", tmp_path, "-o", "sarif", "--severity", severity)
    (run,) = json.loads(answer.stdout)["runs"]
    assert len(run["results"]) == count
    assert ("left out" in json.dumps(run["invocations"])) is (severity != "low")


def test_a_first_scan_has_no_baseline(tmp_path: Path) -> None:
    folder.write(tmp_path, "nightly", [HIGH])
    (result,) = json.loads(scanplan("results", "nightly", "--directory", tmp_path, "-o", "sarif").stdout)["runs"][0][
        "results"
    ]
    assert "baselineState" not in result


def test_a_spreadsheet_says_since_when_a_finding_is_open(root: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(scanplan("results", "nightly", "--directory", root, "-o", "csv").stdout)))
    told = {row["severity"]: (row["state"], row["first_seen"][:10], row["times_seen"]) for row in rows}
    assert told == {"high": ("new", "2026-11-21", "1"), "medium": ("open", "2026-11-20", "2")}


def plan(
    name: str, phase: str, *, result: int | None = None, found: bool = False, generation: int = 1
) -> dict[str, Any]:
    """A plan of the run `nightly`.

    Args:
        result: the place of its task in the run; None: it has not begun.
        found: whether its result is published.
        generation: of its spec; the operator has seen the first.
    """
    status: dict[str, Any] = {"observedGeneration": 1, "phase": phase}
    if result is not None:
        path = layout.run_directory("nightly") / layout.task_directory(keys.key_digest(f"scan:acme:nightly:{result}"))
        status["artifacts"] = {"claimName": "claim", "path": str(path), "complete": found}
    if found:
        status["findings"] = {"total": 1}
    metadata = {"name": name, "namespace": "team-a", "generation": generation}
    return {
        "metadata": {**metadata, "creationTimestamp": f"2026-11-2{name[-1]}T06:00:00Z"},
        "spec": {"runId": "nightly"},
        "status": status,
    }


@pytest.fixture
def on_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command on a cluster with these plans, whose claim is `tmp_path`."""

    class Cluster:
        namespace = "team-a"

        def __init__(self, plans: tuple[dict[str, Any], ...]) -> None:
            self._plans = plans

        def named(self, _: object, name: str) -> dict[str, Any]:
            for each in self._plans:
                if each["metadata"]["name"] == name:
                    return each
            raise NotFound(f"there is no ScanPlan {name!r}")

        def listed(self, kind: Any, **_: object) -> Iterator[dict[str, Any]]:
            yield from self._plans if kind.kind == "ScanPlan" else ()

    @contextmanager
    def opened(*_: object) -> Iterator[result_source.Folder]:
        yield result_source.Folder(tmp_path)

    def run(*plans: dict[str, Any], words: str) -> Result:
        monkeypatch.setattr(clusters, "connect", lambda *_: Cluster(plans))
        return scanplan(*words.split())

    monkeypatch.setattr(reader, "opened", opened)
    return run


FIRST = plan("nightly-0", "Completed", result=0, found=True)


@pytest.mark.parametrize(
    ("plans", "name", "code", "words"),
    [
        ((FIRST, plan("nightly-1", "Queued")), "nightly", 0, ""),
        ((FIRST, plan("nightly-1", "Pending")), "nightly", 0, ""),
        ((FIRST, plan("nightly-1", "Failed")), "nightly", 0, ""),
        ((FIRST, plan("nightly-1", "Running", result=1)), "nightly", 0, ""),
        ((plan("nightly-1", "Queued"),), "nightly", 75, "nightly has no result yet: it is Queued"),
        ((plan("nightly-0", "Failed"), plan("nightly-1", "Pending")), "nightly", 75, "it is Pending"),
        ((plan("nightly-1", "Failed"),), "nightly", 66, "nightly has no result: it is Failed"),
        ((plan("nightly-1", "Queued"),), "nightly-1", 75, "it is Queued"),
        ((plan("nightly-1", "Queued"),), "nightly-1~1", 75, "nightly-1~1 can't be read yet: nightly-1 is Queued"),
        ((plan("nightly-1", "Running", result=1),), "nightly-1", 75, "it is Running"),
        ((plan("nightly-1", "Suspended"),), "nightly-1", 75, "it is Suspended"),
        ((plan("nightly-1", "Cancelled", result=1),), "nightly-1", 66, "it is Cancelled"),
        ((plan("nightly-0", "Completed", result=0, found=True, generation=2),), "nightly-0", 75, "it is Pending"),
        ((plan("nightly-0", "Failed", generation=2),), "nightly-0", 75, "it is Pending"),
        ((FIRST,), "other", 66, "there is no ScanPlan"),
    ],
)
def test_a_scan_that_goes_on_is_told_from_one_that_has_no_result(
    on_a_cluster: Any, tmp_path: Path, plans: tuple[dict[str, Any], ...], name: str, code: int, words: str
) -> None:
    """Lost otherwise: last night's result while a run waits, or a gate that judges a plan by its result before an edit."""
    folder.write(tmp_path, "nightly", [LOW])
    answer = on_a_cluster(*plans, words=f"results {name} -o ndjson")
    assert (answer.exit_code, words in answer.stderr) == (code, True)
    assert answer.stdout == ("" if code else b"".join(events.lines([LOW])).decode())


def test_a_run_whose_first_scan_goes_on_has_no_result_yet(on_a_cluster: Any, tmp_path: Path) -> None:
    scan = plan("nightly-1", "Running", result=0)
    assert on_a_cluster(scan, words="results nightly").exit_code == 75
    (tmp_path / layout.run_directory("nightly")).mkdir(parents=True)
    folder.write(tmp_path, "nightly")
    assert on_a_cluster(scan, words="results nightly").exit_code == 75
    assert on_a_cluster(plan("nightly-1", "Failed", result=0), words="results nightly").exit_code == 66


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("nightly", "high"),
        ("nightly~1", "medium"),
        ("nightly~2", "low"),
        ("nightly~3", None),
        ("nightly-0", "low"),
        ("nightly-0~1", None),
        ("nightly-1", "medium"),
        ("nightly-1~1", "low"),
        ("nightly-1~2", None),
        ("nightly-2~1", "medium"),
        ("nightly-2~2", "low"),
        ("nightly-3~1", "high"),
        ("nightly-3~3", "low"),
        ("nightly-3~4", None),
    ],
)
def test_the_result_before_is_that_before_the_plans_own(
    on_a_cluster: Any, tmp_path: Path, name: str, severity: str | None
) -> None:
    """Lost otherwise: `diff nightly-1~1 nightly-1` in a run that went on since, which compares a result with itself."""
    folder.write(tmp_path, "nightly", [LOW], [MEDIUM], [HIGH])
    runs = [plan(f"nightly-{number}", "Completed", result=number, found=True) for number in range(3)]
    answer = on_a_cluster(*runs, plan("nightly-3", "Running", result=3), words=f"results {name} -o ndjson")
    assert answer.exit_code == (0 if severity else 66)
    assert [json.loads(line)["info"]["severity"] for line in answer.stdout.splitlines()] == [severity] * bool(severity)


def test_what_came_before_a_result_that_was_removed_is_not_guessed(on_a_cluster: Any, tmp_path: Path) -> None:
    """Lost otherwise: a gate, which compares with a result that is newer than the plan's own."""
    folder.write(tmp_path, "nightly", [LOW], [HIGH])
    removed = plan("nightly-7", "Completed", result=7, found=True)
    answer = on_a_cluster(removed, words="results nightly-7~1")
    assert (answer.exit_code, "the result of nightly-7 was removed" in answer.stderr) == (66, True)
    failed = plan("nightly-7", "Failed", result=7)
    assert on_a_cluster(failed, words="results nightly-7~1 -o ndjson").exit_code == 0, "it has no result of its own"


def test_a_plan_of_a_run_is_compared_with_the_one_before(on_a_cluster: Any, tmp_path: Path) -> None:
    folder.write(tmp_path, "nightly", [LOW], [HIGH], [])
    runs = [plan(f"nightly-{number}", "Completed", result=number, found=True) for number in range(3)]
    answer = on_a_cluster(*runs, words="diff nightly-1~1 nightly-1 --fail-on high")
    assert (answer.exit_code, "1 new" in answer.stderr) == (1, True)
