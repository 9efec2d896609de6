"""What a plan names has changed, or is gone, since its scan began: the scan goes on as it was, and what it found is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scanplan.api import labels
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.core.discovery.reading import Found
from scanplan.core.discovery.selection import Kind as Discovered
from scanplan.core.discovery.selection import Selection
from scanplan.core.manifests import jobs
from scanplan.core.observed.jobs import JobView
from scanplan.core.planning.sources import Input, Inputs, Kind, Reference
from scanplan.core.planning.task import Plan
from scanplan.core.reconcile.decision import NeedInputs, Write
from scanplan.core.status import statuses
from tests.unit.core.objects import (
    CLAIM,
    INPUTS,
    ago,
    complete,
    condition,
    failed,
    job,
    merged,
    plan,
    pod,
    report,
    succeeded,
    task,
)
from tests.unit.core.reconcile.test_reconcile import decide, deleted, made, written

INGRESSES = Selection(Discovered.INGRESS, "team", f"{labels.SCAN}=true", paths=False)
LIST = Reference(Kind.CONFIG_MAP, "list")
HIDDEN = Reference(Kind.SECRET, "hidden", labels.USE_ENDPOINTS)
OWN = Reference(Kind.CONFIG_MAP, "own")
USE = {labels.USE: labels.USE_ENDPOINTS}
A, B = Found("http://a.example", "Ingress team/a"), Found("http://b.example", "Ingress team/b")
PLANS: dict[str, tuple[dict[str, Any], Inputs, Inputs]] = {
    "discovered": (
        {"endpoints": [], "endpointsFrom": [{"ingresses": {}}]},
        {INGRESSES: Input(found=(A,))},
        {INGRESSES: Input(found=(A, B))},
    ),
    "of a ConfigMap": (
        {"endpoints": [], "endpointsFrom": [{"configMapKeyRef": {"name": "list", "key": "hosts"}}]},
        {LIST: Input(files={"hosts": b"a.example"})},
        {LIST: Input(files={"hosts": b"b.example"})},
    ),
    "of a Secret": (
        {"endpoints": [], "endpointsFrom": [{"secretKeyRef": {"name": "hidden", "key": "hosts"}}]},
        {HIDDEN: Input(files={"hosts": b"a.example"}, labels=USE)},
        {HIDDEN: Input(files={"hosts": b"b.example"}, labels=USE)},
    ),
    "templates": (
        {"templatesFrom": [{"configMap": {"name": "own"}}]},
        {OWN: Input(files={"a.yaml": b"1"})},
        {OWN: Input(files={"a.yaml": b"2"})},
    ),
}
KINDS = pytest.mark.parametrize("kind", PLANS)
NOW_THERE = pytest.mark.parametrize("now_there", ["changed", "gone"])


class Begun:
    """A plan whose scan began with other inputs than there are now."""

    def __init__(self, kind: str, **spec: Any) -> None:
        self.fields, before, after = PLANS[kind]
        unbegun = plan(**self.fields)
        self.task = task(unbegun, inputs={**INPUTS, **before})
        self.inputs: dict[str, Inputs] = {
            "unchanged": {**INPUTS, **before},
            "changed": {**INPUTS, **after},
            "gone": {**INPUTS, **{each: Input(problem="there is none") for each in after}},
        }
        self.pins = ((unbegun.uid, unbegun.input_digest),)
        running = statuses.of_running(unbegun, self.of(job()), Phase.RUNNING, Reason.RUNNING, "scanning", ago(60))
        self.plan: Plan = plan(running.document(), **self.fields, **spec)

    def of(self, other: JobView, name: str = "", **changes: Any) -> JobView:
        """The same Job, of this plan's task."""
        return replace(other, name=name or self.task.job_name, key=self.task.key, pins=self.pins, **changes)

    def collector(self, other: JobView) -> JobView:
        return self.of(other, jobs.collector_name(self.task.job_name), collector=True, uid="collector")

    def merged(self) -> Any:
        return merged(complete=False, path=statuses.artifacts_path(self.plan, self.task.key))


@KINDS
@pytest.mark.parametrize("cancel", [False, True], ids=["failed", "cancelled"])
def test_what_was_found_is_collected_without_the_inputs(kind: str, cancel: bool) -> None:
    """Lost otherwise: what a failed or cancelled scan has found, because an Ingress was added since it began."""
    begun = Begun(kind, cancel=cancel)
    ended = () if cancel else (begun.of(failed(succeeded=0)),)
    assert decide(begun.plan, *ended, pods=(), inputs=None) == NeedInputs((CLAIM,)), "no more than its claim is read"
    manifest = made(decide(begun.plan, *ended, pods=(), inputs=INPUTS))
    assert manifest["metadata"]["name"] == jobs.collector_name(begun.task.job_name)
    assert manifest["metadata"]["annotations"][labels.TASK_KEY] == begun.task.key
    found = succeeded(0, begun.merged(), collector=True, job_uid="collector")
    status = written(decide(begun.plan, *ended, begun.collector(complete()), pods=(found,), inputs=None))
    assert (status["phase"], status["findings"]["total"]) == ("Cancelled" if cancel else "Failed", 3)


@KINDS
def test_a_lost_job_is_not_made_otherwise_and_what_it_found_is_kept(kind: str) -> None:
    """Lost otherwise: what a scan has found whose Job somebody has deleted, after an Ingress was added."""
    begun = Begun(kind)
    assert (
        made(decide(begun.plan, pods=(), inputs=begun.inputs["unchanged"]))["metadata"]["name"] == begun.task.job_name
    )
    changed = begun.inputs["changed"]
    assert made(decide(begun.plan, pods=(), inputs=changed))["metadata"]["name"].endswith("-collect")
    assert condition(written(decide(begun.plan, begun.collector(job()), pods=(), inputs=changed)), "Ready") == (
        "False", "WaitingForPods",
    )  # fmt: skip
    found = succeeded(0, begun.merged(), collector=True, job_uid="collector")
    status = written(decide(begun.plan, begun.collector(complete()), pods=(found,), inputs=changed))
    assert (status["phase"], status["error"]["reason"]) == ("Failed", "InputsChanged")
    assert (status["findings"]["total"], status["artifacts"]["complete"]) == (3, False)
    assert status["completionTime"]
    settled = plan(status, **begun.fields)
    assert decide(settled, pods=(), inputs=changed) == Write(), "it has ended, and no second collector is made"


@KINDS
def test_a_lost_job_whose_inputs_are_gone_waits_for_them(kind: str) -> None:
    begun = Begun(kind)
    decision = decide(begun.plan, pods=(), inputs=begun.inputs["gone"])
    assert written(decision)["error"]["reason"] == "InputUnavailable"
    assert isinstance(decision, Write)
    assert decision.requeue_after


@KINDS
@NOW_THERE
def test_a_scan_that_cannot_go_on_after_kills_is_collected(kind: str, now_there: str) -> None:
    """Lost otherwise: all that it found. Its Job was deleted to be made again, and could not be made again."""
    begun = Begun(kind)
    ended = begun.of(failed("BackoffLimitExceeded", succeeded=0, failed_at=frozenset({0}), completions=1))
    killed = pod(0, "Failed", exit_code=137, reason="OOMKilled", report=report(0, steps=2))
    named = decide(begun.plan, ended, pods=(killed,), inputs=None)
    assert isinstance(named, NeedInputs)
    assert set(named.references) == set(begun.inputs["changed"])
    assert deleted(decide(begun.plan, ended, pods=(killed,), inputs=begun.inputs["unchanged"])) == ["job-1"]
    manifest = made(decide(begun.plan, ended, pods=(killed,), inputs=begun.inputs[now_there]))
    assert manifest["metadata"]["name"].endswith("-collect")
    merging = decide(begun.plan, ended, begun.collector(job()), pods=(killed,), inputs=begun.inputs["unchanged"])
    assert isinstance(merging, Write), "a scan that is being merged does not go on"


@KINDS
@NOW_THERE
@pytest.mark.parametrize("suspend", [False, True])
def test_a_running_scan_is_paused_and_resumed_as_it_is(kind: str, now_there: str, suspend: bool) -> None:
    begun = Begun(kind, suspend=suspend)
    running = begun.of(job(suspended=not suspend))
    (action,) = getattr(decide(begun.plan, running, inputs=None), "actions", (None,))
    assert action is not None
    assert action.patch["spec"] == {"suspend": suspend}
    assert decide(begun.plan, running, inputs=begun.inputs[now_there]) == decide(begun.plan, running, inputs=None)
