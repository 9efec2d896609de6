"""Exports of a plan that has ended: each result goes to each place once, and nothing of it touches the scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from scanplan.api import labels
from scanplan.api.documents.export import ExportReport, decode_document
from scanplan.api.documents.words import encode
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scan_defaults import ScanDefaults
from scanplan.core.exports import due
from scanplan.core.manifests import exporting
from scanplan.core.observed.jobs import JobCondition, JobView, job_view
from scanplan.core.observed.pods import PodView
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.sources import Input, Inputs, Kind, Reference
from scanplan.core.planning.targets.guard import Guard
from scanplan.core.planning.task import Plan, ScheduleReference
from scanplan.core.reconcile import reconcile
from scanplan.core.reconcile.decision import (
    Act,
    CreateJob,
    Decision,
    DeleteJob,
    NeedInputs,
    NeedPods,
    Observed,
    Rejection,
    Write,
)
from scanplan.core.schedule.schedule import run_of
from tests.unit.core.objects import (
    CLAIM,
    NOW,
    POLICY,
    Status,
    ago,
    complete,
    completed_status,
    condition,
    merged,
    plan,
    pod,
    running_status,
    succeeded,
)

ALLOWED = replace(POLICY, export_hosts=("*.example.com",))
HTTP = {
    "name": "archive",
    "http": {
        "url": "https://in.example.com/x?team=shop",
        "format": "SARIF",
        "authorizationFrom": {"secretKeyRef": {"name": "in", "key": "header"}},
    },
}
S3 = {
    "name": "bucket",
    "s3": {
        "endpoint": "https://s3.example.com",
        "bucket": "scans",
        "prefix": "a/b/",
        "credentialsFrom": {"secretRef": {"name": "s3"}},
    },
}
DOJO = {
    "name": "dojo",
    "defectDojo": {
        "url": "https://dojo.example.com",
        "product": "Shop",
        "engagement": "Nightly",
        "tokenFrom": {"secretKeyRef": {"name": "dojo", "key": "token"}},
    },
}
ALL = [HTTP, S3, DOJO]


def secret(name: str) -> Reference:
    return Reference(Kind.SECRET, name, labels.USE_EXPORT)


def labelled(use: str = labels.USE_EXPORT) -> Input:
    return Input(labels={labels.USE: use})


READ: Inputs = {
    CLAIM: Input(access_modes=("ReadWriteMany",)),
    secret("in"): labelled(),
    secret("s3"): labelled(),
    secret("dojo"): labelled(),
}


def ended(*exports: Mapping[str, Any], status: Status | None = None, **spec: Any) -> Plan:
    """A plan whose scan is complete."""
    return plan(status or completed_status(), exports=list(exports), **spec)


def decide(of: Plan, *known: JobView, policy: Policy = ALLOWED, **observed: Any) -> Decision:
    found = {"doubted": set(), "inputs": None, **observed}
    return reconcile.reconcile(
        Observed(
            plan=of,
            policy=policy,
            jobs={each.name: each for each in known},
            owned=tuple(each for each in known if of.uid in each.owners),
            plans={of.uid},
            **found,
        ),
        NOW,
    )


def created(decision: Decision) -> dict[str, Any]:
    """The manifest of the one Job that is made."""
    assert isinstance(decision, Act)
    (action,) = decision.actions
    assert isinstance(action, CreateJob)
    return action.manifest


def written(decision: Decision) -> Status:
    assert isinstance(decision, Write)
    assert decision.status is not None
    return decision.status.document()


def states(status: Status) -> dict[str, tuple[str, str]]:
    return {each["name"]: (each["state"], each["reason"]) for each in status["exports"]}


def begun(of: Plan, **changes: Any) -> JobView:
    """The export Job of a plan, as the API server returns it."""
    manifest = created(decide(of, inputs=READ))
    metadata = {
        **manifest["metadata"],
        "uid": "export-1",
        "resourceVersion": "5",
        "creationTimestamp": "2026-11-24T05:59:00Z",
    }
    return replace(job_view({**manifest, "metadata": metadata}), **changes)


def over(of: Plan, *failed: int) -> JobView:
    """The same, when it has ended."""
    if not failed:
        return begun(of, complete=JobCondition("CompletionsReached", "", ago(1)))
    why = JobCondition("FailedIndexes", "some have failed", ago(1))
    return begun(of, failed=why, failed_at=frozenset(failed))


def said(index: int, name: str, reason: Reason, message: str = "", code: int = ExitCode.SHARD_FATAL) -> PodView:
    report = ExportReport(export=name, reason=reason, message=message)
    return pod(index, "Failed", job_uid="export-1", exit_code=code, message=encode(report).decode())


def after(of: Plan, status: Status, **spec: Any) -> Plan:
    """The plan with this status, and an edit."""
    return replace(
        plan(status, exports=[each.model_dump(by_alias=True, exclude_none=True) for each in of.spec.exports], **spec)
    )


def test_a_plan_without_exports_costs_nothing() -> None:
    assert decide(ended()) == Write()


def test_nothing_is_exported_before_the_end() -> None:
    decision = decide(plan(exports=ALL), inputs=READ)
    assert created(decision)["metadata"]["name"].startswith("scan-")


def test_a_plan_that_has_just_ended_is_looked_at_again() -> None:
    """Lost otherwise: exports, until the operator starts anew."""
    of = plan(running_status(), exports=ALL)
    reported = (succeeded(0), succeeded(1, merged()))
    decision = decide(of, complete(), pods=reported)
    assert isinstance(decision, Write)
    assert decision.requeue_after == 0.0
    without = decide(plan(running_status()), complete(), pods=reported)
    assert isinstance(without, Write)
    assert without.requeue_after is None


def test_claim_and_secrets_are_read_before_the_job_is_made() -> None:
    assert decide(ended(*ALL)) == NeedInputs((CLAIM, secret("in"), secret("s3"), secret("dojo")))


def test_one_job_exports_all_each_in_a_pod_of_its_own() -> None:
    of = ended(*ALL)
    manifest = created(decide(of, inputs=READ))
    spec, metadata = manifest["spec"], manifest["metadata"]
    assert (spec["completionMode"], spec["completions"], spec["maxFailedIndexes"]) == ("Indexed", 3, 3)
    assert metadata["ownerReferences"][0]["uid"] == of.uid
    assert metadata["labels"]["app.kubernetes.io/component"] == "exporter"
    document = decode_document(spec["template"]["metadata"]["annotations"][labels.TASK_DOCUMENT].encode())
    assert [each.name for each in document.exports] == ["archive", "bucket", "dojo"]
    assert document.complete
    assert [file.name for file in document.files] == ["nuclei_output.ndjson"]
    assert document.exports[1].target.folder.startswith("a/b/team/nightly/")  # type: ignore[union-attr]
    assert document.exports[2].target.test == "ScanPlan team/nightly alpha"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("schedule", "spec", "test"),
    [
        (None, {"runId": "alpha"}, "ScanPlan team/alpha"),
        (None, {"runId": "nightly"}, "ScanPlan team/nightly alpha"),
        (ScheduleReference("nightly", "1"), {"runId": "nightly"}, "ScanPlan team/nightly"),
    ],
    ids=["plan", "one of several of a run", "run of a schedule"],
)
def test_only_results_that_follow_each_other_share_a_test_of_defectdojo(
    schedule: ScheduleReference | None, spec: dict[str, Any], test: str
) -> None:
    """Lost otherwise: two plans with one runId, each of which closes the findings of the other every night."""
    of = replace(ended(DOJO, **spec), schedule=schedule)
    (export,) = exporting.document(of, of.spec.exports, ALLOWED).exports
    assert export.target.test == test  # type: ignore[union-attr]


def test_a_pod_is_restricted_and_sees_the_result_alone() -> None:
    """A receiver's answer is parsed in it: whoever takes it over gets one result, and the Secrets that are sent anyway."""
    pod_spec = created(decide(ended(*ALL), inputs=READ))["spec"]["template"]["spec"]
    (container,) = pod_spec["containers"]
    assert container["args"] == ["export"]
    assert container["image"] == POLICY.scanner_image
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    (of_claim,) = (mount for mount in container["volumeMounts"] if mount["name"] == "claim")
    assert of_claim["subPath"].startswith("ui_projects/nightly/tasks/")
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod_spec["automountServiceAccountToken"] is False
    assert pod_spec["securityContext"]["runAsNonRoot"]
    volumes = {volume["name"]: volume for volume in pod_spec["volumes"]}
    assert volumes["export-0"]["secret"]["items"] == [{"key": "header", "path": "authorization"}]
    assert volumes["export-2"]["secret"]["items"] == [{"key": "token", "path": "token"}]


def test_pods_of_a_claim_for_one_node_go_to_its_node() -> None:
    inputs = {**READ, CLAIM: Input(access_modes=("ReadWriteOnce",))}
    pod_spec = created(decide(ended(S3), inputs=inputs))["spec"]["template"]["spec"]
    assert "podAffinity" in pod_spec["affinity"]


def test_the_job_of_a_queue_waits_for_kueue() -> None:
    status = completed_status(plan(queueName="main"))
    manifest = created(decide(ended(S3, status=status, queueName="main"), inputs=READ))
    assert manifest["spec"]["suspend"]
    assert manifest["metadata"]["labels"][labels.KUEUE_QUEUE] == "main"


def test_while_it_runs_the_condition_is_unknown_and_the_scan_is_as_it_was() -> None:
    of = ended(*ALL)
    status = written(decide(of, begun(of)))
    assert condition(status, "Exported") == ("Unknown", "Exporting")
    assert set(states(status).values()) == {("Exporting", "Exporting")}
    before = completed_status()
    kept = {key: value for key, value in status.items() if key not in {"exports", "conditions"}}
    assert kept == {key: value for key, value in before.items() if key != "conditions"}
    assert [each for each in status["conditions"] if each["type"] != "Exported"] == before["conditions"]
    assert decide(after(of, status), begun(of)) == Write()


def test_an_export_whose_pods_are_refused_says_so() -> None:
    """Lost otherwise: six hours of "under way", where a policy of the cluster admits no export pod."""
    of = ended(HTTP)
    fresh, old = begun(of, created=ago(1), start_time=ago(1)), begun(of, created=ago(60), start_time=ago(60))
    decision = decide(of, fresh)
    assert isinstance(decision, Write)
    assert decision.requeue_after == pytest.approx(4.0)
    status = written(decide(of, old))
    (told,) = (each for each in status["conditions"] if each["type"] == "Exported")
    assert (told["status"], told["reason"]) == ("Unknown", "Exporting")
    assert "a policy, a quota or Pod Security may refuse it" in told["message"]
    assert old.name in told["message"]
    assert decide(after(of, status), old) == Write()
    for change in ({"active": 1}, {"uncounted": True}):
        assert "refuse" not in str(written(decide(after(of, status), replace(old, **change))))


def test_export_pods_have_what_policies_of_clusters_ask_for() -> None:
    """Lost otherwise: exports under the baseline of docs/how-to/platforms.md."""
    policy = replace(ALLOWED, scan_defaults=ScanDefaults.model_validate({"podTemplate": {"labels": {"team": "red"}}}))
    template = created(decide(ended(HTTP), inputs=READ, policy=policy))["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "red"
    assert all(each["resources"]["limits"].keys() >= {"cpu", "memory"} for each in template["spec"]["containers"])


def test_a_job_that_is_complete_has_exported_all() -> None:
    of = ended(*ALL)
    assert decide(of, over(of)) == NeedPods(over(of).name)
    status = written(decide(of, over(of), pods=()))
    assert condition(status, "Exported") == ("True", "Exported")
    assert set(states(status).values()) == {("Exported", "Exported")}


def test_a_restart_exports_nothing_again() -> None:
    of = ended(*ALL)
    status = written(decide(of, over(of), pods=()))
    assert decide(after(of, status)) == Write()


def test_one_that_fails_leaves_the_others_exported_and_is_named() -> None:
    of = ended(*ALL)
    told = said(1, "bucket", Reason.RECEIVER_REFUSED, "the receiver answered 403 to PUT of report.html")
    status = written(decide(of, over(of, 1), pods=(told,)))
    assert states(status) == {
        "archive": ("Exported", "Exported"),
        "bucket": ("Failed", "ReceiverRefused"),
        "dojo": ("Exported", "Exported"),
    }
    assert condition(status, "Exported") == ("False", "ReceiverRefused")
    assert condition(status, "Ready") == ("True", "Completed")
    assert decide(after(of, status)) == Write()


def test_a_reason_of_a_later_version_ends_no_reconcile() -> None:
    """Lost otherwise: the plan, after a rollback of the operator."""
    of = ended(HTTP, S3)
    told = said(1, "bucket", Reason.RECEIVER_REFUSED, "the receiver answered in riddles")
    status = written(decide(of, over(of, 1), pods=(told,)))
    records = [
        {**each, "reason": "OfALaterVersion"} if each["state"] == "Failed" else each for each in status["exports"]
    ]
    fewer = written(decide(plan({**status, "exports": records}, exports=[S3])))
    assert states(fewer) == {"bucket": ("Failed", "OfALaterVersion")}
    assert condition(fewer, "Exported") == ("False", "UnknownError")


def test_the_last_attempt_counts() -> None:
    of = ended(HTTP)
    first = said(0, "archive", Reason.RECEIVER_UNREACHABLE, code=ExitCode.TEMPORARY)
    last = replace(said(0, "archive", Reason.RECEIVER_DENIED), created=NOW)
    status = written(decide(of, over(of, 0), pods=(last, first)))
    assert states(status) == {"archive": ("Failed", "ReceiverDenied")}


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (None, "ExportFailed"),
        (pod(0, "Failed", job_uid="export-1", exit_code=137, reason="OOMKilled"), "PodFailed"),
        (pod(0, "Pending", job_uid="export-1", waiting_reason="ImagePullBackOff"), "PodFailed"),
        (said(0, "other", Reason.RECEIVER_DENIED), "ExportFailed"),
    ],
)
def test_a_pod_that_says_nothing_has_failed(last: PodView | None, reason: str) -> None:
    of = ended(HTTP)
    status = written(decide(of, over(of, 0), pods=(last,) if last else ()))
    assert states(status) == {"archive": ("Failed", reason)}


def test_a_retry_exports_only_what_has_failed() -> None:
    of = ended(*ALL)
    status = written(decide(of, over(of, 1), pods=(said(1, "bucket", Reason.RECEIVER_REFUSED),)))
    again = after(of, status, retryExports="1")
    manifest = created(decide(again, over(of, 1), inputs=READ))
    assert manifest["metadata"]["name"] != over(of, 1).name
    assert manifest["spec"]["completions"] == 1


def test_an_edit_exports_only_what_is_new_and_starts_no_scan() -> None:
    of = ended(HTTP)
    status = written(decide(of, over(of), pods=()))
    more = plan(status, exports=[HTTP, S3])
    assert created(decide(more, inputs=READ))["spec"]["completions"] == 1
    other = {**HTTP, "http": {**HTTP["http"], "url": "https://other.example.com/"}}  # type: ignore[dict-item]
    changed = plan(status, exports=[other])
    assert created(decide(changed, inputs=READ))["spec"]["completions"] == 1
    none = written(decide(plan(status, exports=[])))
    assert "exports" not in none
    assert condition(none, "Exported") is None


def test_a_new_result_is_exported_again() -> None:
    of = ended(HTTP)
    status = written(decide(of, over(of), pods=()))
    status["artifacts"]["files"][0]["sha256"] = "ef" * 32
    assert created(decide(plan(status, exports=[HTTP]), inputs=READ))["spec"]["completions"] == 1


def test_a_job_of_what_is_not_wanted_any_more_is_deleted() -> None:
    of = ended(*ALL)
    decision = decide(ended(HTTP), begun(of))
    assert decision == Act((DeleteJob(begun(of)),))


def test_the_job_of_an_earlier_run_is_deleted_with_it() -> None:
    of = ended(HTTP)
    decision = decide(plan(completed_status(), exports=[HTTP], rerun="2"), begun(of), inputs=READ)
    assert decision == Act((DeleteJob(begun(of)),))


def test_the_jobs_of_this_run_stay() -> None:
    of = ended(HTTP)
    status = written(decide(of, over(of), pods=()))
    assert decide(after(of, status), complete(), over(of)) == Write()


@pytest.mark.parametrize(
    ("change", "export", "expected"),
    [
        ({"complete": False}, DOJO, ("Skipped", "ResultIncomplete")),
        ({"files": None}, S3, ("Skipped", "ResultMissing")),
        ({"cluster": "east"}, S3, ("Skipped", "ResultElsewhere")),
    ],
)
def test_what_there_is_nothing_of_is_skipped_with_the_reason(
    change: dict[str, Any], export: dict[str, Any], expected: tuple[str, str]
) -> None:
    status = completed_status()
    status["artifacts"].update(change)
    decided = written(decide(ended(export, status=status)))
    assert states(decided) == {export["name"]: expected}
    assert condition(decided, "Exported") == ("False", expected[1])


def test_a_partial_result_goes_where_nothing_is_closed() -> None:
    """Lost otherwise: what a scan that was cut off has found."""
    status = completed_status()
    status["artifacts"]["complete"] = False
    first = written(decide(ended(S3, DOJO, status=status)))
    assert states(first) == {"bucket": ("Exporting", "Exporting"), "dojo": ("Skipped", "ResultIncomplete")}
    manifest = created(decide(plan(first, exports=[S3, DOJO]), inputs=READ))
    document = decode_document(manifest["spec"]["template"]["metadata"]["annotations"][labels.TASK_DOCUMENT].encode())
    assert not document.complete
    assert [each.name for each in document.exports] == ["bucket"]


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/x",
        "http://169.254.169.254/latest",
        "http://[::ffff:169.254.169.254]/",
        "http://kubernetes.default.svc/",
        "http://10.96.0.1/",
        "http://127.0.0.1:8080/",
    ],
)
def test_hosts_that_the_owner_does_not_allow_are_refused_before_any_pod(url: str) -> None:
    hosts = ("*",) if "elsewhere" not in url else ("*.example.com",)
    policy = replace(ALLOWED, export_hosts=hosts, guard=Guard((*POLICY.guard.entries, "10.96.0.1")))
    status = written(decide(ended({"name": "x", "http": {"url": url}}), policy=policy))
    assert states(status) == {"x": ("Failed", "ReceiverDenied")}


def test_nothing_may_be_exported_unless_the_owner_says_so() -> None:
    status = written(decide(ended(S3), policy=POLICY))
    assert states(status) == {"bucket": ("Failed", "ReceiverDenied")}
    assert "exports.allowedHosts" in status["exports"][0]["message"]


@pytest.mark.parametrize("url", ["http://a.example.com:99999/", "http://[::1/", "http://:80/"])
def test_a_url_that_names_no_host_is_refused(url: str) -> None:
    policy = replace(ALLOWED, export_hosts=("*",))
    (state,) = states(written(decide(ended({"name": "x", "http": {"url": url}}), policy=policy))).values()
    assert state == ("Failed", "ReceiverInvalid")


@pytest.mark.parametrize("found", [Input(problem="there is none in namespace team"), labelled("headers")])
def test_a_secret_that_is_not_for_exports_stops_its_own_export_alone(found: Input) -> None:
    """Lost otherwise: a plan's author has any Secret of the namespace sent to a host of the list."""
    inputs = {**READ, secret("s3"): found}
    first = written(decide(ended(HTTP, S3), inputs=inputs))
    assert states(first) == {"archive": ("Exporting", "Exporting"), "bucket": ("Failed", "SecretUnavailable")}
    assert created(decide(plan(first, exports=[HTTP, S3]), inputs=inputs))["spec"]["completions"] == 1


def test_a_claim_that_is_gone_is_told() -> None:
    inputs = {**READ, CLAIM: Input(problem="there is none in namespace team")}
    assert states(written(decide(ended(HTTP), inputs=inputs))) == {"archive": ("Failed", "InputUnavailable")}


def test_a_quota_is_waited_for() -> None:
    decision = decide(ended(HTTP), rejection=Rejection.forbidden("exceeded quota: q"))
    status = written(decision)
    assert condition(status, "Exported") == ("Unknown", "QuotaExceeded")
    assert isinstance(decision, Write)
    assert decision.requeue_after


@pytest.mark.parametrize("rejection", [Rejection.invalid("no"), Rejection.altered("export-1", ("spec.completions",))])
def test_a_job_that_is_refused_for_good_fails_the_export(rejection: Rejection) -> None:
    status = written(decide(ended(HTTP), rejection=rejection))
    assert condition(status, "Exported") == ("False", rejection.reason.value)
    assert condition(status, "Ready") == ("True", "Completed")


def test_a_job_of_somebody_else_is_left_alone() -> None:
    of = ended(HTTP)
    assert states(written(decide(of, begun(of, owners=frozenset({"other"}))))) == {
        "archive": ("Failed", "NameConflict")
    }


def test_an_edit_in_other_spelling_is_written_before_anything_is_exported() -> None:
    of = plan(completed_status(), exports=[HTTP], endpoints=["https://b.example:443", "https://a.example"])
    first = decide(of, inputs=READ)
    assert isinstance(first, Write)
    assert first.requeue_after == 0.0
    assert "exports" not in written(first)


def test_keys_are_the_same_for_each_attempt_and_differ_by_place_and_result() -> None:
    of = ended(HTTP, S3)
    archive, bucket = of.spec.exports
    assert due.idempotency_key(of, archive) == due.idempotency_key(of, archive)
    assert due.idempotency_key(of, archive) != due.idempotency_key(of, bucket)
    assert due.idempotency_key(replace(of, uid="other"), archive) != due.idempotency_key(of, archive)


def test_no_secret_and_no_value_of_one_is_in_the_document() -> None:
    manifest = created(
        decide(ended(*ALL), inputs={**READ, secret("in"): replace(labelled(), files={"header": b"hunter2"})})
    )
    assert b"hunter2" not in msgspec.json.encode(manifest)


def test_a_release_with_more_fields_exports_nothing_again() -> None:
    """Lost otherwise: the meaning of an export, since each upgrade would send all results once more."""
    of = ended(*ALL)
    written = ended(*(export.model_dump(mode="json", by_alias=True) for export in of.spec.exports))
    digests = [due.digest_of(export, of.status) for export in of.spec.exports]
    assert digests == ["0be3638a3ea65ea7", "06a6023f438fd1c2", "d803ff45d7ffa1ed"]
    assert [due.digest_of(export, written.status) for export in written.spec.exports] == digests


def test_a_schedule_knows_how_long_a_run_is_exported() -> None:
    """Lost otherwise: an export that is tried again, when the schedule deletes the run with its export Job."""
    of = ended(HTTP, status={**completed_status(), "observedGeneration": 1})
    completed = run_of(of).completed
    assert completed
    assert run_of(ended()).exporting_since is None
    assert run_of(of).exporting_since == completed, "its exports have not begun"
    waits = written(decide(of, rejection=Rejection.forbidden("exceeded quota: q")))
    assert run_of(after(of, waits)).exporting_since == completed, "a quota may never be free"
    assert run_of(after(of, written(decide(of, begun(of))))).exporting_since == NOW
    assert run_of(after(of, written(decide(of, over(of), pods=())))).exporting_since is None
    failed = written(decide(of, over(of, 0), pods=(said(0, "archive", Reason.RECEIVER_REFUSED),)))
    assert run_of(after(of, failed)).exporting_since is None
    assert run_of(after(of, failed, retryExports="again")).exporting_since == completed
    assert run_of(ended(HTTP, status={"phase": "Failed", "observedGeneration": 1})).exporting_since is None
