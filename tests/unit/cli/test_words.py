"""Small rules that several commands go by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.cli import plans, quotas
from scanplan.cli.commands import artifacts, exception, export, notify, schedule, submit, templates
from scanplan.cli.main import app
from scanplan.cli.output import advice, progress
from scanplan.cli.output.lazy import LazyCommands
from scanplan.client.cluster import reader

WELL = {
    Reason.PENDING,
    Reason.STARTED,
    Reason.RUNNING,
    Reason.RETRYING,
    Reason.QUEUED,
    Reason.SUSPENDED,
    Reason.CANCELLED,
    Reason.COMPLETED,
    Reason.COLLECTING,
    Reason.RESULT_REUSED,
    Reason.NO_FINDINGS,
    Reason.FINDINGS,
    Reason.FIELDS_CHANGED,
    Reason.ALL_REACHABLE,
    Reason.ALL_RUN,
    Reason.SOME_NOT_RUN,
    Reason.SOME_BLOCKED,
    Reason.SOME_SKIPPED,
    Reason.SOME_THROTTLED,
    Reason.SOME_UNREACHABLE,
    Reason.SPEC_EDITED,
}
"""Reasons that call for nothing, or for something that has a phase of its own in `explain`."""


def plan(**members: Any) -> dict[str, Any]:
    metadata = {"name": "nightly", "namespace": "team-a", "uid": "u", "generation": 2, **members.pop("metadata", {})}
    return {"metadata": metadata, "spec": {}, **members}


OF_SCHEDULES = {
    Reason.SCHEDULED,
    Reason.INVALID_SCHEDULE,
    Reason.RUN_REJECTED,
    Reason.RUN_FAILED,
    Reason.NO_RUN_YET,
    Reason.START_MISSED,
    Reason.START_SKIPPED,
    Reason.TEMPLATES_CHANGED,
}
OF_EXCEPTIONS = {
    Reason.IN_FORCE,
    Reason.NO_RESULT_YET,
    Reason.UNUSED,
    Reason.TOO_WIDE,
    Reason.EXPIRED,
    Reason.EXPIRES_TOO_LATE,
}
OF_NOTIFIERS = {
    Reason.RECEIVER_FOUND,
    Reason.DELIVERED,
    Reason.SECRET_UNAVAILABLE,
    Reason.RECEIVER_INVALID,
    Reason.RECEIVER_DENIED,
    Reason.RECEIVER_UNREACHABLE,
    Reason.RECEIVER_REFUSED,
}
"""Reasons that no plan has, as those before."""
OF_EXPORTS = {
    Reason.EXPORTING,
    Reason.EXPORTED,
    Reason.EXPORT_FAILED,
    Reason.RESULT_INCOMPLETE,
    Reason.RESULT_ELSEWHERE,
    Reason.ARTIFACTS_CHANGED,
}
"""Reasons that stop no plan: `scanplan export retry` is the advice for all of them."""


def test_every_reason_that_stops_a_plan_has_its_advice() -> None:
    assert set(advice.ADVICE) == set(Reason) - WELL - OF_SCHEDULES - OF_EXCEPTIONS - OF_NOTIFIERS - OF_EXPORTS
    assert advice.of("OutOfMemory", "nightly")[-1].endswith("scanplan rerun nightly")
    assert advice.of("AReasonOfLater", "nightly") == []


def test_only_what_is_used_up_is_told_of_a_quota() -> None:
    hard = {"pods": "2", "requests.cpu": "1", "count/jobs.batch": "5"}
    quota = {"status": {"hard": hard, "used": {"pods": "2", "requests.cpu": "900m"}}}
    assert quotas.used_up(quota) == [("pods", "2", "2")]


def test_a_status_of_an_earlier_generation_is_not_taken_for_an_end() -> None:
    ready = {"type": "Ready", "status": "True", "reason": "Completed", "message": "14 findings"}
    conditions = [{**ready, "lastTransitionTime": "2026-11-24T06:00:00Z"}]
    ended = {"phase": "Completed", "conditions": conditions, "progress": "1/1"}
    stale = plan(status={**ended, "observedGeneration": 1})
    assert plans.phase(stale) is Phase.PENDING
    assert plans.message(stale) == ""
    assert plans.shards(stale) == "-"
    assert plans.phase(plan(status={**ended, "observedGeneration": 2})) is Phase.COMPLETED
    assert plans.phase(plan()) is Phase.PENDING


@pytest.mark.parametrize(
    ("metadata", "keeper"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, "Flux"),
        ({}, ""),
    ],
)
def test_who_would_set_a_change_back_is_known(metadata: dict[str, Any], keeper: str) -> None:
    assert plans.keeper(plan(metadata=metadata)) == keeper


@pytest.mark.parametrize("line", [b"", b"{", b"panic: x", b'{"event":"progress"}', b"\xff", b'{"time":1}'])
def test_a_log_line_that_is_no_event_is_none(line: bytes) -> None:
    assert progress.event_of(line) is None


def test_a_reader_is_restricted_temporary_and_owned_by_its_plan() -> None:
    made = reader.manifest(plan(spec={"podTemplate": {"nodeSelector": {"disk": "ssd"}}}), "claim", "image")
    spec, container = made["spec"], made["spec"]["containers"][0]
    assert spec["securityContext"]["runAsNonRoot"]
    assert not spec["automountServiceAccountToken"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert spec["activeDeadlineSeconds"] == reader.DEADLINE_SECONDS
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "disk": "ssd"}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u"


def test_a_reader_has_the_labels_of_scan_pods_but_is_none() -> None:
    """Lost otherwise: readers that a policy refuses, or that a NetworkPolicy, a Job or Kueue takes for a scan pod."""
    reserved = {
        "scanplan.dev/task": "t",
        "app.kubernetes.io/component": "scanner",
        "job-name": "j",
        "kueue.x-k8s.io/queue-name": "q",
    }
    template = {
        "labels": {"team": "red", **reserved},
        "annotations": {"sidecar.istio.io/inject": "false", "scanplan.dev/task": "{}"},
    }
    metadata = reader.manifest(plan(spec={"podTemplate": template}), "claim", "image")["metadata"]
    assert metadata["labels"] == {
        "team": "red",
        "app.kubernetes.io/name": "scanplan",
        "app.kubernetes.io/component": "reader",
        "scanplan.dev/claim": "claim",
    }
    assert metadata["annotations"] == {"sidecar.istio.io/inject": "false"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("kind: ConfigMap\nmetadata: {name: x}", "holds a ConfigMap"),
        ("[1]", "holds a list"),
        ("kind: ScanPlan\nmetadata: {}", "metadata has no name"),
        ("", "holds no ScanPlan"),
        ("a: [", "is no YAML: line 1, column 5: expected"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_before_anything_is_sent(content: str, words: str) -> None:
    answer = CliRunner().invoke(app, ["submit", "-f", "-", "--kubeconfig", "/nonexistent"], input=content)
    assert answer.exit_code == 65
    assert words in answer.stderr


@pytest.mark.parametrize("arguments", [["submit"], ["submit", "x", "-e", "h"], ["submit", "x", "-f", "-"]])
def test_a_plan_that_is_not_whole_is_refused_before_anything_is_sent(arguments: list[str]) -> None:
    answer = CliRunner().invoke(app, [*arguments, "--kubeconfig", "/nonexistent"])
    assert answer.exit_code == 64
    assert "try: " in answer.stderr


@pytest.mark.parametrize(
    "command", ["get", "watch", "doctor", "explain x", "results x", "diff x y", "artifacts list x", "logs x"]
)
def test_without_a_cluster_every_command_says_so_and_what_to_do(command: str) -> None:
    answer = CliRunner().invoke(app, [*command.split(), "--kubeconfig", "/nonexistent"])
    assert answer.exit_code == 69
    assert answer.stderr.startswith("error: no cluster: ")
    assert "try: --kubeconfig FILE, or set KUBECONFIG" in answer.stderr


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("submit nightly -e https://app.example.com", 64, "a plan needs templates (-t, -tags, -id, -w or -tp)"),
        ("submit -f /nonexistent.yaml", 66, "/nonexistent.yaml: No such file or directory"),
        ("results nightly --severity high,sever", 64, "'sever': there is no such severity"),
        ("run FILE", 65, "is not a ScanPlan manifest: it says no kind"),
        ("prune DIR --max-age 5x", 64, "--max-age '5x' can't be read"),
        ("prune DIR --max-size 5x", 64, "try: a number and one of Ki, Mi, Gi, Ti: 20Gi"),
        ("reslts nightly", 2, "Did you mean 'results'"),
        ("logs a b", 2, "unexpected extra argument(s) (b)"),
    ],
)
def test_a_wrong_command_is_told_what_is_wrong_with_it(command: str, code: int, words: str, tmp_path: Path) -> None:
    file = tmp_path / "words"
    file.write_text("no plan")
    named = {"FILE": str(file), "DIR": str(tmp_path)}
    answer = CliRunner().invoke(app, [named.get(word, word) for word in command.split()])
    assert answer.exit_code == code
    assert words in answer.stderr


def whole() -> LazyCommands:
    """The program with all of its commands."""
    program = get_command(app)
    assert isinstance(program, LazyCommands)
    program.import_all()
    return program


COMMANDS = {
    " ".join(filter(None, (group, name))): command
    for group, commands in {
        "": whole(),
        "artifacts": get_command(artifacts.app),
        "schedule": get_command(schedule.app),
        "notify": get_command(notify.app),
        "export": get_command(export.app),
        "exception": get_command(exception.app),
        "templates": get_command(templates.app),
    }.items()
    for name, command in getattr(commands, "commands", {}).items()
    if name not in {"artifacts", "schedule", "notify", "export", "exception", "templates"}
}
OWN_WAYS = {"version", "crd", "reference", "operator"}
"""Commands that fail in no way of their own."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_reads_as_its_neighbours_does(command: str) -> None:
    answer = CliRunner().invoke(app, [*command.split(), "-h"], env={"COLUMNS": "100"})
    assert answer.exit_code == 0
    assert f" {command} [OPTIONS]" in answer.stdout.splitlines()[0]
    assert not re.search(r"\{|<(str|list|int|path|file|dir)", answer.stdout), "Typer's own notation"
    assert "Exit codes: " in " ".join(answer.stdout.split()) or command in OWN_WAYS


def test_the_list_of_commands_cuts_no_sentence() -> None:
    answer = CliRunner().invoke(app, ["-h"], env={"COLUMNS": "80"})
    listed = answer.stdout.partition("Scans:")[2]
    assert "..." not in listed
    assert [line for line in listed.splitlines() if line.endswith(":")] == ["Results:", "Cluster:", "About:"]
    assert all(f"\n  {name.split()[0]} " in listed for name in COMMANDS)


def test_managers_of_a_plan_are_named_for_whoever_is_refused() -> None:
    entries = [{"manager": "argocd-controller"}, {"manager": "scanplan-operator", "subresource": "status"}]
    assert submit.managers({"metadata": {"managedFields": entries}}) == "argocd-controller"
