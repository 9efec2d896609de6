"""`scanplan exception` and exceptions in `results` and `diff`: what is written, what counts, and what pipelines go by."""

from __future__ import annotations

import contextlib
import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from scanplan.api.documents.words import LOCAL_NAMESPACE
from scanplan.api.v1alpha1.scanexception import ScanExceptionSpec
from scanplan.cli import result_source
from scanplan.cli.commands import exception
from scanplan.cli.main import app
from scanplan.cli.output.failure import Failure
from scanplan.findings import fingerprint
from scanplan.findings.identity import identity
from scanplan.report import sarif
from tests.unit.cli import folder
from tests.unit.report import events

HIGH = events.event(**{"matched-at": "https://app.example.com/high", "info": {"severity": "high", "name": "High one"}})
MEDIUM = events.event(**{"template-id": "other", "matcher-name": "body"})
NOW = datetime.now(UTC)
EXCEPTION = "kind: ScanException\nmetadata: {name: x}"


def scanplan(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def line_of(event: dict[str, Any]) -> bytes:
    return events.lines([event])[0]


def written(path: Path, days: float = 9, namespace: str | None = None, **match: Any) -> Path:
    """A file with an exception, and something else, as a folder in Git has it."""
    spec = {"match": match, "reason": "a test", "expiresAt": (NOW + timedelta(days=days)).isoformat(), "owner": "red"}
    metadata = {"name": "x"} | ({} if namespace is None else {"namespace": namespace})
    mine = {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanException", "metadata": metadata, "spec": spec}
    path.write_text(yaml.safe_dump_all([{"kind": "ConfigMap", "metadata": {"name": "y"}}, mine]))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run `nightly` with two results: medium, then medium and high."""
    folder.write(tmp_path, "nightly", [MEDIUM], [MEDIUM, HIGH], report=b"the scan's own")
    return tmp_path


@pytest.fixture
def accepted(root: Path) -> tuple[object, ...]:
    """Options with which the high finding is accepted."""
    return "--directory", root, "--exceptions", written(root / "x.yaml", templates=["git-config"])


@pytest.mark.parametrize(
    ("days", "match", "code"),
    [
        (9, {"templates": ["git-config"]}, 0),
        (9, {"hosts": ["app.example.com"]}, 0),
        (9, {"fingerprints": [fingerprint.of(line_of(HIGH)).hex()]}, 0),
        (9, {"fingerprints": [identity(line_of(HIGH))]}, 0),
        (9, {"templates": ["other"]}, 1),
        (-0.01, {"templates": ["git-config"]}, 1),
        (400, {"templates": ["git-config"]}, 1),
    ],
    ids=str,
)
def test_a_pipeline_stops_on_what_is_left_after_exceptions(
    root: Path, days: float, match: dict[str, Any], code: int
) -> None:
    """Lost otherwise: gates that people switch off, or gates that an old decision keeps open."""
    file = written(root / "x.yaml", days, **match)
    for command in (("results", "nightly"), ("diff", "nightly~1", "nightly")):
        answer = scanplan(*command, "--directory", root, "--exceptions", file, "--fail-on", "high")
        assert answer.exit_code == code, command


@pytest.mark.parametrize(
    ("namespace", "code"), [("team-a", 0), (None, 0), ("", 0), ("team-b", 1), ("team", 1)], ids=str
)
def test_a_pipeline_goes_by_decisions_of_its_own_namespace(root: Path, namespace: str | None, code: int) -> None:
    """Lost otherwise: a gate that another team's decision opens, since both are in one folder in Git."""
    written(root / "x.yaml", namespace=namespace, templates=["git-config"])
    where = ("--directory", root, "--exceptions", root, "--fail-on", "high")
    for command in (("results", "nightly"), ("results", "nightly", "--new"), ("diff", "nightly~1", "nightly")):
        answer = scanplan(*command, *where)
        assert answer.exit_code == code, command
        assert ("1 exceptions in the files are of other namespaces than team-a" in answer.stderr) == bool(code)


def test_each_of_two_results_has_the_exceptions_of_its_namespace(root: Path) -> None:
    mine, other = (written(root / f"{team}.yaml", namespace=team, templates=["other"]) for team in ("team-a", "team-b"))
    source = result_source.ResultSource(root, None, root, contextlib.ExitStack(), [mine, other])
    assert [bool(source._suppressed(team)) for team in ("team-a", "team-b", "team-c")] == [True, True, False]


@pytest.mark.parametrize("namespace", ["team-b", None])
def test_a_result_of_no_cluster_has_the_exceptions_of_all_files(tmp_path: Path, namespace: str | None) -> None:
    """Lost otherwise: every decision about a scan of a queue, or of `scanplan run`, whose plan has no namespace."""
    folder.write(tmp_path, "nightly", [MEDIUM, HIGH], plan={"namespace": LOCAL_NAMESPACE, "name": "nightly"})
    file = written(tmp_path / "x.yaml", namespace=namespace, templates=["git-config"])
    where = ("--directory", tmp_path, "--exceptions", file)
    assert scanplan("results", "nightly", *where, "--fail-on", "high").exit_code == 0


@pytest.mark.parametrize("output", ["table", "json", "ndjson", "sarif", "csv", "html"])
def test_every_format_stops_a_pipeline_for_the_same_findings(accepted: tuple[object, ...], output: str) -> None:
    arguments = ("results", "nightly", *accepted, "-o", output)
    assert scanplan(*arguments, "--fail-on", "high").exit_code == 0
    assert scanplan(*arguments, "--fail-on", "medium").exit_code == 1


def test_what_each_format_says_of_an_accepted_finding(accepted: tuple[object, ...]) -> None:
    """Nothing is hidden; only what is uploaded as alerts goes without."""
    formats = {
        name: scanplan("results", "nightly", *accepted, "-o", name).stdout
        for name in ("table", "json", "ndjson", "sarif", "csv", "html")
    }
    until = (NOW + timedelta(days=9)).strftime("%Y-%m-%d")
    assert f"AcceptedRisk until {until}" in " ".join(formats["table"].split())
    told = [each.get("suppressed") for each in json.loads(formats["json"])["findings"]]
    assert told[0] is None
    assert (told[1]["exception"], told[1]["reason"]) == ("x", "a test")
    assert [json.loads(each) for each in formats["ndjson"].splitlines()] == [MEDIUM, HIGH]
    (left,) = json.loads(formats["sarif"])["runs"][0]["results"]
    assert left["ruleId"] == "other"
    rows = list(csv.DictReader(formats["csv"].splitlines()))
    assert [row["suppressed_by"] for row in rows] == ["", "x"]
    assert rows[1]["suppressed_until"] == until
    assert formats["html"].count('data-suppressed=""') == 1
    assert "the scan's own" not in formats["html"]


def test_sarif_has_them_marked_where_it_is_asked_for(accepted: tuple[object, ...]) -> None:
    answer = scanplan("results", "nightly", *accepted, "-o", "sarif", "--include-suppressed")
    found = json.loads(answer.stdout)["runs"][0]["results"]
    assert ["suppressions" in each for each in found] == [False, True]
    (suppression,) = found[1]["suppressions"]
    assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
    assert suppression["justification"] == "AcceptedRisk: a test"
    assert scanplan("results", "nightly", *accepted, "-o", "csv", "--include-suppressed").exit_code == 64


def test_what_is_told_of_a_findings_life_has_its_exception_too(accepted: tuple[object, ...]) -> None:
    """Lost otherwise: a list of new findings in which nobody sees what is decided already."""
    until = (NOW + timedelta(days=9)).strftime("%Y-%m-%d")
    for command in (("findings", "nightly"), ("diff", "nightly~1", "nightly")):
        answer = scanplan(*command, *accepted, "-o", "json")
        body = json.loads(answer.stdout)
        told = {each["template"]: each.get("suppressed") for each in body.get("items") or body["new"]}
        assert told["git-config"]["exception"] == "x", command
        assert told["git-config"]["expiresAt"].startswith(until)
        assert told.get("other") is None
        assert f"AcceptedRisk until {until}" in " ".join(scanplan(*command, *accepted).stdout.split()), command


def test_what_is_resolved_is_left_out_of_alerts_by_the_same_rule(tmp_path: Path) -> None:
    folder.write(tmp_path, "nightly", [MEDIUM, HIGH], [])
    file = written(tmp_path / "x.yaml", templates=["git-config"])
    where = ("results", "nightly", "--directory", tmp_path, "--exceptions", file, "-o", "sarif", "--resolved")

    def alerts(*options: str) -> dict[str, bool]:
        (run,) = json.loads(scanplan(*where, *options).stdout)["runs"]
        assert all(each["baselineState"] == "absent" for each in run["results"])
        return {each["ruleId"]: "suppressions" in each for each in run["results"]}

    assert alerts() == {"other": False}
    assert alerts("--include-suppressed") == {"other": False, "git-config": True}


def test_an_accepted_alert_has_its_baseline_and_its_suppression(accepted: tuple[object, ...]) -> None:
    answer = scanplan("results", "nightly", *accepted, "-o", "sarif", "--include-suppressed")
    (run,) = json.loads(answer.stdout)["runs"]
    told = {each["ruleId"]: (each["baselineState"], "suppressions" in each) for each in run["results"]}
    assert told == {"other": ("unchanged", False), "git-config": ("new", True)}


def test_the_scans_own_report_is_kept_where_nothing_was_decided(root: Path) -> None:
    answer = scanplan("results", "nightly", "--directory", root, "-o", "html")
    assert answer.stdout == "the scan's own"


def test_a_report_with_decisions_of_then_is_made_anew(tmp_path: Path) -> None:
    """Lost otherwise: an accepted mark in a report of today, though the exception has expired since."""
    folder.write(tmp_path, "nightly", [HIGH], report=b"accepted then", exceptions={"time": "2026-11-24T06:00:00Z"})
    answer = scanplan("results", "nightly", "--directory", tmp_path, "-o", "html")
    assert "accepted then" not in answer.stdout
    assert "data-suppressed" not in answer.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is no YAML"),
        ("kind: ScanException", "metadata has no name"),
        ("kind: ScanException\nmetadata: {name: 20261128}", "metadata.name is no text"),
        ("kind: ScanException\nmetadata: [x]", "metadata has no name"),
        (f"{EXCEPTION}\nspec: {{match: {{templates: [a]}}, reason: r, expiresAt: 2027-02-30T00:00:00Z}}", "expiresAt"),
        (f"{EXCEPTION}\nspec: {{match: {{templates: [a]}}, reason: r, expiresAt: 2027-02-03}}", "expiresAt"),
        (f"{EXCEPTION}\nspec: {{match: {{templates: [a]}}, reason: r, expiresAt: 2027-02-03T00:00:00}}", "time zone"),
        ("kind: ScanException\nmetadata: {name: x}\nspec: {match: {templates: [a]}, reason: r}", "expiresAt"),
        (
            "kind: ScanException\nmetadata: {name: x}\nspec: {match: {template: [a]}, reason: r, expiresAt: '2027-01-01'}",
            "did you mean templates?",
        ),
        ("kind: ScanException\nmetadata: {name: x}\nspec: {reason: r, expiresAt: '2027-01-01T00:00:00Z'}", "match"),
    ],
)
def test_a_file_that_is_wrong_is_an_error_and_not_an_empty_list(root: Path, text: str, words: str) -> None:
    """Lost otherwise: a gate that opens or closes because of a missing bracket."""
    file = root / "wrong.yaml"
    file.write_text(text)
    answer = scanplan("results", "nightly", "--directory", root, "--exceptions", file)
    assert answer.exit_code == 65
    assert words in answer.stderr


def test_a_time_that_is_not_quoted_is_one(root: Path) -> None:
    """As for kubectl, which reads it as text."""
    file = written(root / "x.yaml", templates=["git-config"])
    end = (NOW + timedelta(days=9)).isoformat()
    file.write_text(file.read_text().replace(f"'{end}'", end))
    assert f"expiresAt: {end}" in file.read_text()
    where = ("--directory", root, "--exceptions", file, "--fail-on", "high")
    assert scanplan("results", "nightly", *where).exit_code == 0


@pytest.mark.parametrize("options", [(), ("-n", "shop")])
def test_an_exception_from_a_result_of_no_cluster_has_the_namespace_that_is_asked_for(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Lost otherwise: the decision, in a namespace that does not exist."""
    folder.write(tmp_path, "nightly", [HIGH], plan={"namespace": LOCAL_NAMESPACE, "name": "nightly"})
    shown = scanplan("results", "nightly", "--directory", tmp_path).stdout
    short = next(row.split()[-1] for row in shown.splitlines() if row.startswith("high"))
    chosen = ("--run", "nightly", "--directory", tmp_path, "--reason", "known", "--expires", "9d")
    answer = scanplan("exception", "create", short, *chosen, *options)
    assert answer.exit_code == 0, answer.stderr
    assert yaml.safe_load(answer.stdout)["metadata"].get("namespace") == (options[-1] if options else None)


def test_an_exception_is_written_from_a_finding_and_matches_it(root: Path) -> None:
    """The way that people take: see it, accept it, review it, and the gate is open."""
    shown = scanplan("results", "nightly", "--directory", root).stdout
    short = next(row.split()[-1] for row in shown.splitlines() if row.startswith("high"))
    answer = scanplan(
        "exception", "create", short, "--run", "nightly", "--directory", root,
        "--reason", "behind: the VPN", "--expires", "90d", "--owner", "red", "--status", "Mitigated",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.stderr
    body = yaml.safe_load(answer.stdout)
    ScanExceptionSpec.model_validate(body["spec"])
    assert body["spec"]["match"] == {
        "templates": ["git-config"],
        "hosts": ["app.example.com:443"],
        "paths": ["/high"],
    }
    assert body["metadata"]["namespace"] == "team-a"
    assert body["metadata"]["name"].startswith("git-config-app-example-com-")
    file = root / "made.yaml"
    file.write_text(answer.stdout)
    gate = ("results", "nightly", "--directory", root, "--exceptions", file, "--fail-on")
    assert scanplan(*gate, "high").exit_code == 0
    assert scanplan(*gate, "medium").exit_code == 1


@pytest.mark.parametrize(
    "event",
    [
        *events.hostile()[:12],
        events.event(**{"host": "2001:db8::1", "matched-at": "[2001:db8::1]:22"}),
        events.event(**{"matched-at": "https://app.example.com/a%20b/1234567/x;jsessionid=ab12?c=d"}),
        events.event(**{"matched-at": "app.example.com:22", "type": "tcp"}),
        events.event(**{"host": None, "matched-at": None, "template-id": None}),
    ],
    ids=lambda event: str(event.get("matched-at"))[:40],
)
def test_whatever_a_host_says_the_exception_is_valid_and_matches_it(tmp_path: Path, event: dict[str, Any]) -> None:
    """Lost otherwise: YAML that a scanned host has written a part of, or an exception that matches nothing."""
    folder.write(tmp_path, "nightly", [event])
    mark = identity(line_of(event))
    answer = scanplan(
        "exception", "create", mark, "--run", "nightly", "--directory", tmp_path, "--reason", "r", "--expires", "1w"
    )
    assert answer.exit_code == 0, answer.stderr
    (body,) = list(yaml.safe_load_all(answer.stdout))
    ScanExceptionSpec.model_validate(body["spec"])
    file = tmp_path / "made.yaml"
    file.write_text(answer.stdout)
    left = scanplan("results", "nightly", "--directory", tmp_path, "--exceptions", file, "-o", "sarif").stdout
    assert json.loads(left)["runs"][0]["results"] == []


def test_accepted_findings_take_no_room_in_sarif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: open findings, whose alerts GitHub closes."""
    monkeypatch.setattr(sarif, "MAX_RESULTS", 5)
    accepted = [{**HIGH, "matched-at": f"https://app.example.com/{number}"} for number in range(6)]
    folder.write(tmp_path, "nightly", [*accepted, MEDIUM])
    file = written(tmp_path / "x.yaml", templates=["git-config"])
    where = ("results", "nightly", "--directory", tmp_path, "--exceptions", file, "-o", "sarif")
    (run,) = json.loads(scanplan(*where).stdout)["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["other"]
    assert "left out" not in json.dumps(run["invocations"])
    (run,) = json.loads(scanplan(*where, "--include-suppressed").stdout)["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["git-config"] * 5


@pytest.mark.parametrize(
    ("mark", "code", "words"),
    [
        ("abc", 64, "at least 6 characters"),
        ("not hex", 64, "no fingerprint"),
        ("0123456789", 66, "has no finding"),
    ],
)
def test_what_is_no_finding_is_said(root: Path, mark: str, code: int, words: str) -> None:
    answer = scanplan(
        "exception", "create", mark, "--run", "nightly", "--directory", root, "--reason", "r", "--expires", "1w"
    )
    assert answer.exit_code == code
    assert words in answer.stderr


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("90d", 90),
        ("12w", 84),
        ("365d", 365),
        ("366d", None),
        ("0d", None),
        ("soon", None),
        ("-1d", None),
        ("1y", None),
    ],
)
def test_ends(text: str, days: int | None) -> None:
    if days is None:
        with pytest.raises(Failure):
            exception.parsed_end(text, NOW)
    else:
        assert exception.parsed_end(text, NOW) == NOW + timedelta(days=days)


def test_an_end_may_be_a_day_or_a_time() -> None:
    day = (NOW + timedelta(days=9)).date()
    assert exception.parsed_end(str(day), NOW) == datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert exception.parsed_end(f"{day}T12:00:00+02:00", NOW).utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    ("days", "ready", "observed", "state"),
    [
        (9, ("True", "InForce"), 1, "InForce"),
        (9, ("True", "Unused"), 1, "Unused"),
        (9, ("True", "TooWide"), 1, "TooWide"),
        (-1, ("True", "InForce"), 1, "Expired"),
        (9, ("False", "ExpiresTooLate"), 1, "Refused"),
        (9, ("True", "Unused"), 0, "New"),
        (9, ("True", "AReasonOfLater"), 1, "New"),
    ],
)
def test_states_are_by_the_clock_of_now(days: float, ready: tuple[str, str], observed: int, state: str) -> None:
    """Lost otherwise: a list that says in force, because the operator was down when it ended."""
    condition = {"type": "Ready", "status": ready[0], "reason": ready[1], "message": "", "lastTransitionTime": "t"}
    end = (NOW + timedelta(days=days)).isoformat()
    body = {
        "metadata": {"name": "x", "generation": 1},
        "spec": {"match": {"templates": ["a"]}, "expiresAt": end},
        "status": {"observedGeneration": observed, "conditions": [condition]},
    }
    assert exception.state_of(body, NOW).value == state


OTHER = {"templates": ["unrelated"]}
NEW = ([MEDIUM], [MEDIUM, HIGH])


@pytest.mark.parametrize(
    ("scans", "match", "code"),
    [
        (NEW, OTHER, 1),
        (([MEDIUM, HIGH], [MEDIUM], [MEDIUM, HIGH]), OTHER, 1),
        (([MEDIUM, HIGH], [MEDIUM, HIGH]), OTHER, 0),
        (([MEDIUM, HIGH], [MEDIUM]), OTHER, 0),
        (NEW, {"templates": ["git-config"]}, 0),
        (([], [MEDIUM, HIGH]), {"templates": ["git-config"]}, 1),
    ],
    ids=["new", "came back", "known", "resolved", "accepted", "another one is new"],
)
@pytest.mark.parametrize("output", ["table", "html", "sarif"])
def test_a_gate_for_new_findings_goes_by_the_runs_history(
    tmp_path: Path, scans: tuple[list[dict[str, Any]], ...], match: dict[str, Any], code: int, output: str
) -> None:
    """Lost otherwise: a pipeline that stops for what was there before it, or lets in what came back."""
    folder.write(tmp_path, "nightly", *scans, report=b"the scan's own")
    where = ("results", "nightly", "--directory", tmp_path, "--exceptions", written(tmp_path / "x.yaml", **match))
    assert scanplan(*where, "-o", output, "--fail-on", "medium", "--new").exit_code == code


def test_new_without_a_history_is_an_error_and_not_an_open_gate(tmp_path: Path) -> None:
    folder.write(tmp_path, "nightly", [HIGH], histories=False)
    where = ("results", "nightly", "--directory", tmp_path)
    answer = scanplan(*where, "--fail-on", "high", "--new")
    assert answer.exit_code == 69
    assert "no history" in answer.stderr
    assert scanplan(*where, "--new").exit_code == 64


def test_a_history_that_somebody_has_changed_opens_no_gate(tmp_path: Path) -> None:
    """Lost otherwise: the gate, to whoever can write to the claim."""
    run = folder.write(tmp_path, "nightly", [MEDIUM, HIGH], [MEDIUM, HIGH])
    (folder.tasks(run)[-1] / "history.ndjson").write_bytes(b"")
    answer = scanplan("results", "nightly", "--directory", tmp_path, "--fail-on", "high", "--new")
    assert answer.exit_code == 65


RENAMED = events.event(
    **{"template-id": "renamed", "info": {"severity": "high", "metadata": {"aliases": ["git-config"]}}}
)
MOVED = events.event(**{"matched-at": "https://other.example.com/login", "info": {"severity": "high"}})
TWICE = [events.event(**{"extracted-results": [text], "info": {"severity": "high"}}) for text in ("one", "two")]


@pytest.mark.parametrize(
    ("found", "match", "code"),
    [
        ([RENAMED], {"templates": ["git-config"]}, 0),
        ([MOVED], {"hosts": ["app.example.com"]}, 0),
        ([MOVED], {"hosts": ["other.example.com"]}, 1),
        (TWICE, {"fingerprints": [fingerprint.of(line_of(each)).hex() for each in TWICE]}, 0),
        (TWICE, {"fingerprints": [fingerprint.of(line_of(TWICE[0])).hex()]}, 1),
        (TWICE, {"fingerprints": [fingerprint.of(line_of(TWICE[1])).hex()]}, 1),
    ],
    ids=["renamed", "redirected", "by its other host", "both records", "the first record", "the second record"],
)
def test_all_gates_agree_on_what_is_decided(
    tmp_path: Path, found: list[dict[str, Any]], match: dict[str, Any], code: int
) -> None:
    """A history has one line for several records. Lost otherwise: a gate that passes what nobody has decided about."""
    folder.write(tmp_path, "nightly", [MEDIUM], [MEDIUM, *found])
    where = ("--directory", tmp_path, "--exceptions", written(tmp_path / "x.yaml", **match), "--fail-on", "high")
    gates = (("results", "nightly"), ("results", "nightly", "--new"), ("diff", "nightly~1", "nightly"))
    assert {gate: scanplan(*gate, *where).exit_code for gate in gates} == dict.fromkeys(gates, code)
