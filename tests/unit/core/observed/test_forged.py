"""Jobs, pods and reports that somebody has forged: whatever they say, a plan is decided upon, and its status can be written."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanplan.api import labels
from scanplan.api.documents.report import ArtifactFile, decode_report
from scanplan.api.documents.words import encode
from scanplan.core.observed.jobs import JobCondition, job_view
from scanplan.core.observed.pods import pod_view
from scanplan.core.observed.workloads import workload_view
from scanplan.core.planning.sources import Kind, Reference
from scanplan.core.reconcile.decision import Act, NeedInputs, Write
from tests.unit.core.objects import INPUTS, complete, job, merged, plan, report, running_status, succeeded, task
from tests.unit.core.reconcile.test_reconcile import decide
from tests.unit.core.test_observed import JOB, POD

FUZZ = settings(max_examples=150, suppress_health_check=list(HealthCheck))
INT64 = 1 << 63
ODD = [
    "", " ", "-1", "+1", "1e9", "0x10", "9" * 400, "9" * 5_000, "\u0661", "NaN", "2", "0-99999999999", "5-2", "a-b", ",,-", "1--2",
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59",
    "2026-11-24T06:00:00", "20261124T060000Z", "2026-W48-2T00Z", "2999-12-31T23:59:59-23:59", "\ud800", "\0", "x" * 70_000,
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(ODD), st.text(max_size=40), st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
)
ANNOTATIONS = (
    labels.TASK_KEY, labels.CREATOR, labels.ENDPOINT_COUNT, labels.NEXT_RUN_DIGEST, labels.FIRST_SEEN, labels.DOCUMENT_PARTS,
    f"{labels.PIN_PREFIX}plan-1", labels.PIN_PREFIX,
)  # fmt: skip
CLAIM = Reference(Kind.CLAIM, "results")
READ = {**INPUTS, CLAIM: INPUTS[Reference(Kind.CLAIM, "scanplan-artifacts")]}
"""With the claim of the Job of the sample."""
LABELS = (labels.MANAGED_BY, labels.COMPONENT, labels.TASK, labels.KUEUE_QUEUE)
OURS = task()


def forged_job(annotations: dict[str, str], marks: dict[str, str], failed: str) -> dict[str, Any]:
    body = copy.deepcopy(JOB)
    body["metadata"].update(name=OURS.job_name, namespace="team")
    body["metadata"]["annotations"].update(
        {labels.TASK_KEY: OURS.key, f"{labels.PIN_PREFIX}plan-1": plan().input_digest}
    )
    body["metadata"]["annotations"].update(annotations)
    body["metadata"]["labels"].update(marks)
    body["status"]["failedIndexes"] = failed
    return body


@FUZZ
@given(
    annotations=st.dictionaries(st.sampled_from(ANNOTATIONS), TEXTS, max_size=4),
    marks=st.dictionaries(st.sampled_from(LABELS), TEXTS, max_size=2),
    failed=TEXTS,
    started=st.booleans(),
)
def test_no_job_stops_the_decision_about_a_plan(
    annotations: dict[str, str], marks: dict[str, str], failed: str, started: bool
) -> None:
    """Lost otherwise: every plan that meets the Job, which is tried for ever and never gets a status."""
    seen = job_view(forged_job(annotations, marks, failed))
    assert seen.failed_indexes <= seen.completions
    decision = decide(plan(running_status() if started else None), seen, inputs=READ, pods=())
    assert isinstance(decision, Act | Write)
    writable(decision)


@pytest.mark.parametrize("value", ODD)
def test_no_first_seen_overflows(value: str) -> None:
    """Lost otherwise: the same, by one annotation: an hour before the year 1 there is no time."""
    seen = job_view(forged_job({labels.FIRST_SEEN: value, labels.DOCUMENT_PARTS: "2"}, {}, ""))
    assert isinstance(decide(plan(), seen, inputs=READ), Act | Write)


def test_the_document_of_a_job_is_made_with_the_claim_of_the_job() -> None:
    """Lost otherwise: a plan whose Job has another claim, forged or by an older default: it is tried for ever."""
    seen = job_view(forged_job({labels.DOCUMENT_PARTS: "2"}, {}, ""))
    decision = decide(plan(), seen, inputs=INPUTS)
    assert isinstance(decision, NeedInputs)
    assert CLAIM in decision.references
    assert isinstance(decide(plan(), seen, inputs=READ), Act)


def merge(whole: Any, part: Any) -> Any:
    """A copy of an object with the fields of another one."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return {name: merge(whole.get(name), part.get(name, whole.get(name))) for name in {**whole, **part}}
    return copy.deepcopy(part)


VOLUMES = [
    {"name": "claim", "persistentVolumeClaim": {"claimName": "results"}},
    {"name": "task", "projected": {"sources": [{"secret": {"name": "task-0"}}]}},
]
FULL: dict[str, dict[str, Any]] = {
    "Job": merge(
        JOB,
        {
            "metadata": {"managedFields": [{"manager": "kubectl"}]},
            "spec": {"template": {"spec": {"volumes": VOLUMES}}},
        },
    ),
    "Pod": POD,
    "waiting Pod": merge(
        POD, {"status": {"containerStatuses": [{"name": "scanner", "state": {"waiting": {"reason": "ErrImagePull"}}}]}}
    ),
    "Workload": {
        "metadata": {},
        "spec": {"active": True},
        "status": {"conditions": [{"type": "QuotaReserved", "status": "False", "message": "no quota"}]},
    },
}
VIEWS: dict[str, Callable[[dict[str, Any]], object]] = {
    "Job": job_view,
    "Pod": pod_view,
    "waiting Pod": pod_view,
    "Workload": workload_view,
}
Path = tuple[str | int, ...]


def containers(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of all lists and maps within an object; the metadata has its names, and is always there."""
    if path not in {(), ("metadata",)}:
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, dict | list):
            yield from containers(inner, (*path, key))


def broken(kind: str, path: Path, other: Any) -> dict[str, Any]:
    """An object with something else in place of a list or map."""
    body = copy.deepcopy(FULL[kind])
    holder: Any = body
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = other
    return body


@pytest.mark.parametrize("other", [None, "text", 7, [], {}, [None], ["text"]], ids=repr)
@pytest.mark.parametrize("kind", FULL)
def test_no_list_or_map_stops_the_view_of_an_object(kind: str, other: Any) -> None:
    """Lost otherwise: the operator of all teams. The API server answers null for an empty list that its type can't leave out."""
    for path in containers(FULL[kind]):
        VIEWS[kind](broken(kind, path, other))


NUMBERS = st.one_of(st.sampled_from([-1, 0, INT64 - 1, INT64, 10**30, 10**400, 1 << 50]), st.integers())
JSON = st.recursive(
    NUMBERS | TEXTS.filter(lambda text: "\ud800" not in text) | st.none() | st.booleans() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
GOOD = msgspec.json.decode(encode(report(merged=merged())))


@st.composite
def forged_reports(draw: st.DrawFn) -> str:
    """A good report with some of its values replaced, at any depth."""
    body = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        place: Any = body
        while isinstance(place, dict) and place:
            name = draw(st.sampled_from(sorted(place)))
            if not isinstance(place[name], dict) or draw(st.booleans()):
                place[name] = draw(JSON)
                break
            place = place[name]
    return json.dumps(body)


@FUZZ
@given(
    message=forged_reports(),
    index=TEXTS,
    collector=st.booleans(),
    ended=st.sampled_from(["complete", "failed", "failure_target"]),
)
def test_no_report_makes_a_status_that_cant_be_written(message: str, index: str, collector: bool, ended: str) -> None:
    """Lost otherwise: a plan that has ended, and that no status can say so of."""
    body = copy.deepcopy(POD)
    body["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] = index
    body["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] = "job-1"
    if collector:
        body["metadata"]["labels"][labels.COMPONENT] = labels.COMPONENT_COLLECTOR
    state = {"terminated": {"exitCode": 0, "message": message}}
    body["status"]["containerStatuses"] = [{"name": "scanner", "state": state}]
    condition = JobCondition("Reason", "message", None)
    over = replace(
        job(),
        complete=condition if ended == "complete" else None,
        failed=condition if ended == "failed" else None,
        failure_target=condition if ended == "failure_target" else None,
    )
    decision = decide(plan(running_status()), over, pods=(pod_view(body),))
    assert isinstance(decision, Act | Write)
    writable(decision)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\n", "a\x1b[2J", "x" * 300])
def test_no_report_names_a_file_elsewhere(name: str) -> None:
    """Lost otherwise: the files of the API's own pod, which copies artifacts by these names."""
    good = report(merged=merged(files=(ArtifactFile(name="f", bytes=1, sha256="0" * 64),)))
    text = encode(good).decode()
    assert decode_report(text)
    assert decode_report(text.replace('"name":"f"', f'"name":{json.dumps(name)}')) is None


@pytest.mark.parametrize("collector", [False, True])
def test_no_report_leads_to_the_artifacts_of_another_run(collector: bool) -> None:
    """Lost otherwise: who may make pods points his plan, and its readers, at another team's results on the claim."""
    forged = merged(path="ui_projects/other/tasks/0123456789abcdef0123")
    pods = tuple(succeeded(index, forged, collector=collector) for index in (0, 1))
    decision = decide(plan(running_status()), complete(), pods=pods)
    written = decision.status.document() if isinstance(decision, Write) and decision.status else {}
    assert "findings" not in written
    assert "other" not in json.dumps(written)


def writable(decision: Act | Write) -> None:
    """The API server takes the status: numbers of 64 bits, and text."""
    if isinstance(decision, Write) and decision.status is not None:
        document = decision.status.document()
        msgspec.json.encode(document)
        assert all(abs(number) < INT64 for number in numbers(document))


def numbers(value: Any) -> list[int]:
    if isinstance(value, dict | list):
        children = value.values() if isinstance(value, dict) else value
        return [number for child in children for number in numbers(child)]
    return [value] if isinstance(value, int) else []
