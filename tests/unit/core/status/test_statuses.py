"""What a plan's status says, field by field; the table of phases is in test_conditions, that of situations in test_reconcile."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from scanplan.api import times
from scanplan.api.documents.report import FindingCounts, HistoryCounts, NewFindings, TaskError
from scanplan.api.documents.words import ErrorClass
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.observed.sharing import OtherCluster
from scanplan.core.status import statuses
from tests.unit.core.objects import (
    NOW,
    Status,
    ago,
    broken,
    complete,
    completed_status,
    condition,
    failed,
    job,
    merged,
    plan,
    report,
    running_status,
    succeeded,
    task,
)


def finished(**changes: Any) -> Status:
    """The status after a scan with this merge."""
    return statuses.of_finished(plan(), complete(), [report(0), report(1)], merged(**changes), None, NOW).document()


@pytest.mark.parametrize("status", [running_status(), completed_status()])
def test_every_field_is_one_that_the_crd_has(status: Status) -> None:
    """The API server prunes what it doesn't know, and the operator would write it for ever."""
    assert ScanPlanStatus.of({"status": status}).document() == status


class TestTimes:
    """From the API server's clock, not ours."""

    def test_of_a_complete_job(self) -> None:
        status = completed_status()
        assert (status["startTime"], status["completionTime"]) == ("2026-11-24T05:59:00Z", "2026-11-24T05:59:50Z")
        assert (status["durationMs"], status["duration"]) == (50_000, "50s")

    def test_of_a_failed_one_which_has_no_completion_time(self) -> None:
        status = statuses.of_finished(plan(), failed(completion_time=None), [], None, _error(), NOW).document()
        assert status["completionTime"] == "2026-11-24T05:59:50Z"

    def test_of_one_that_never_started(self) -> None:
        status = statuses.of_finished(plan(), failed(start_time=None), [], None, _error(), NOW).document()
        assert "durationMs" not in status

    @pytest.mark.parametrize("changes", [{"suspended": True, "start_time": None}, {}, {"uid": "job-2"}])
    def test_a_scan_begins_once(self, changes: dict[str, Any]) -> None:
        """Kubernetes renews the start of a Job that it resumes, and a Job that is made again has its own."""
        begun = ago(90_000)
        of = plan(running_status(at=job(start_time=begun)))
        later = job(start_time=ago(600))
        status = statuses.of_running(of, replace(later, **changes), Phase.RUNNING, Reason.RUNNING, "…", NOW)
        assert status.start_time == times.format_time(begun)
        ended = statuses.of_finished(of, complete(**{"start_time": ago(600), **changes}), [], merged(), None, NOW)
        assert (ended.start_time, ended.duration_ms) == (times.format_time(begun), (90_000 - 10) * 1000)

    @pytest.mark.parametrize(
        ("phase", "reason", "kept"),
        [
            (Phase.RUNNING, Reason.RUNNING, True),
            (Phase.RETRYING, Reason.RETRYING, True),
            (Phase.PENDING, Reason.WAITING_FOR_PODS, True),
            (Phase.PENDING, Reason.QUOTA_EXCEEDED, False),
            (Phase.QUEUED, Reason.QUEUED, False),
            (Phase.SUSPENDED, Reason.SUSPENDED, False),
            (Phase.SUSPENDED, Reason.OUTSIDE_WINDOW, False),
        ],
    )
    def test_a_pause_ends_the_time_that_a_deadline_counts(self, phase: Phase, reason: Reason, kept: bool) -> None:
        """Another Job does not."""
        begun, later = ago(900), ago(60)
        of = plan(running_status(at=job(start_time=begun)))
        assert of.status.running_since == times.format_time(begun)
        if phase is not Phase.PENDING:
            status = statuses.of_running(of, job(), phase, reason, "…", NOW)
            assert status.running_since == (times.format_time(begun) if kept else None)
        status = statuses.of_waiting(of, phase, reason, "…", NOW)
        assert status.running_since == (times.format_time(begun) if reason is Reason.WAITING_FOR_PODS else None)
        of = replace(of, status=status)
        again = statuses.of_running(of, job(uid="job-2", start_time=later), Phase.RUNNING, Reason.RUNNING, "…", NOW)
        assert again.running_since == times.format_time(begun if reason is Reason.WAITING_FOR_PODS else later)
        assert statuses.of_finished(of, complete(), [], merged(), None, NOW).running_since is None

    def test_a_scan_of_other_content_begins_anew(self) -> None:
        of = plan(running_status(at=job(start_time=ago(90_000))), rerun="again")
        status = statuses.of_running(of, job(of, start_time=ago(600)), Phase.RUNNING, Reason.RUNNING, "…", NOW)
        assert (status.start_time, status.running_since) == (times.format_time(ago(600)),) * 2

    def test_a_clock_that_went_back_makes_no_negative_duration(self) -> None:
        status = statuses.of_finished(
            plan(), failed(start_time=NOW, completion_time=ago(5)), [], None, _error(), NOW
        ).document()
        assert status["durationMs"] == 0

    @pytest.mark.parametrize(
        ("milliseconds", "text"),
        [(0, "0s"), (59_999, "59s"), (60_000, "1m0s"), (252_000, "4m12s"), (3_599_999, "59m59s"), (11_100_000, "3h5m")],
    )
    def test_durations_read_as_kubectls(self, milliseconds: int, text: str) -> None:
        assert times.format_duration(milliseconds) == text


def _error(error_class: ErrorClass = ErrorClass.TEMPORARY) -> TaskError:
    return TaskError(error_class=error_class, reason=Reason.DISK_FULL, message="the claim is full: make room on it.")


class TestReplays:
    """All shards were on the claim already. Whoever reads that a result was taken over looks for its news elsewhere."""

    def reason(self, published: list[str], **changes: Any) -> str:
        """The reason of a complete Job, made a minute ago, that found its shards published at these times."""
        said = [report(index, replayed=True, published_at=time) for index, time in enumerate(published)]
        status = statuses.of_finished(plan(), complete(**changes), said, merged(), None, NOW).document()
        found = condition(status, "Succeeded")
        assert found
        return found[1]

    LONG_AGO, BEFORE, LATELY = (times.format_precise(ago(seconds)) for seconds in (7_200, 900, 30))

    @pytest.mark.parametrize(
        ("published", "changes", "expected"),
        [
            ([BEFORE, BEFORE], {}, "ResultReused"),
            ([BEFORE, LATELY], {}, "Completed"),
            ([LATELY], {}, "Completed"),
            ([BEFORE], {"first_seen": ago(3_600)}, "Completed"),
            ([LONG_AGO], {"first_seen": ago(3_600)}, "ResultReused"),
            ([BEFORE], {"first_seen": NOW}, "ResultReused"),
            ([LATELY], {"first_seen": NOW}, "Completed"),
            ([BEFORE, ""], {}, "Completed"),
            ([BEFORE, "yesterday"], {}, "Completed"),
        ],
        ids=[
            "by an earlier plan",
            "one shard by itself",
            "by an attempt that was killed while it merged",
            "by a Job of its own that has gone",
            "before its own first Job",
            "before, by a clock that is ahead",
            "by itself, whatever the clock",
            "one at an unknown time",
            "one at no time",
        ],
    )
    def test_a_result_is_taken_over_if_it_was_there_before_the_scan(
        self, published: list[str], changes: dict[str, Any], expected: str
    ) -> None:
        assert self.reason(published, **changes) == expected

    def test_new_findings_of_a_result_that_was_taken_over_are_told_no_more(self) -> None:
        """Whoever is told too much stops to read. Its counts stay."""
        new = FindingCounts(critical=1)
        news = merged(history=HistoryCounts(new=new, told=NewFindings(counts=new)))

        def told(published: datetime) -> Status:
            said = [report(0, replayed=True, published_at=times.format_precise(published))]
            status: Status = statuses.of_finished(plan(), complete(), said, news, None, NOW).document()
            return status

        own, earlier = told(ago(30)), told(ago(900))
        assert own["newFindings"]["bySeverity"] == {"critical": 1}
        assert earlier["newFindings"]["bySeverity"] == {}
        assert own["findings"] == earlier["findings"]
        other = OtherCluster("east", "east-claim", news)
        assert statuses.of_other_cluster(plan(), "t", "k", other, NOW).document()["newFindings"]["bySeverity"] == {}


class TestReachability:
    """A scan of nothing finds nothing: that is no clean bill."""

    @pytest.mark.parametrize(
        ("unreachable", "expected"),
        [
            (0, ("True", "AllReachable")),
            (1, ("Unknown", "SomeUnreachable")),
            (2, ("False", "EndpointsUnreachable")),
        ],
    )
    def test_endpoints(self, unreachable: int, expected: tuple[str, str]) -> None:
        status = finished(endpoints_unreachable=unreachable, endpoints_scanned=2 - unreachable)
        assert condition(status, "EndpointsReachable") == expected
        assert status["endpointsUnreachable"] == unreachable

    def test_endpoints_that_stopped_to_answer_are_no_clean_bill_either(self) -> None:
        status = finished(endpoints_scanned=1, endpoints_skipped=1, templates_run=1)
        assert condition(status, "EndpointsReachable") == ("Unknown", "SomeSkipped")
        assert status["endpointsSkipped"] == 1

    @pytest.mark.parametrize(
        ("throttled", "blocked", "reason"), [(1, 0, "SomeThrottled"), (0, 2, "SomeBlocked"), (1, 1, "SomeThrottled")]
    )
    def test_endpoints_that_throttled_or_blocked_the_scan_are_no_clean_bill(
        self, throttled: int, blocked: int, reason: str
    ) -> None:
        status = finished(
            endpoints_scanned=2,
            endpoints_throttled=throttled,
            endpoints_blocked=blocked,
            endpoints_remark="http://a:1 answered 403",
            templates_run=1,
        )
        assert condition(status, "EndpointsReachable") == ("Unknown", reason)
        assert (status["endpointsThrottled"], status["endpointsBlocked"]) == (throttled, blocked)
        told = next(entry for entry in status["conditions"] if entry["type"] == "EndpointsReachable")["message"]
        assert "http://a:1 answered 403" in told


class TestTemplates:
    """A check that was not made has found nothing: the reader must not take that for a pass."""

    @pytest.mark.parametrize(("not_run", "expected"), [(0, ("True", "AllRun")), (2, ("False", "SomeNotRun"))])
    def test_templates(self, not_run: int, expected: tuple[str, str]) -> None:
        status = finished(
            templates_run=8,
            templates_not_run=not_run,
            templates_remark="a.yaml (why)",
            requests=21,
            seconds=2,
            coverage=987,
        )
        assert condition(status, "TemplatesRun") == expected
        assert (status["templatesRun"], status["templatesNotRun"]) == (8, not_run)
        assert (status["requestsSent"], status["coverage"]) == (21, "98.7%")
        assert (status["sendingSeconds"], status["requestsPerSecond"]) == (2, 11)
        told = next(entry for entry in status["conditions"] if entry["type"] == "TemplatesRun")["message"]
        assert ("a.yaml (why)" in told) == bool(not_run)

    def test_a_runner_that_does_not_count_claims_nothing(self) -> None:
        status = finished()
        assert "TemplatesRun" not in {entry["type"] for entry in status["conditions"]}
        assert "coverage" not in status


@pytest.mark.parametrize(
    ("counts", "expected"),
    [(FindingCounts(), ("False", "NoFindings")), (FindingCounts(info=1), ("True", "Findings"))],
)
def test_findings_are_a_condition_and_never_make_a_plan_not_ready(
    counts: FindingCounts, expected: tuple[str, str]
) -> None:
    status = finished(findings=counts)
    assert condition(status, "FindingsPresent") == expected
    assert condition(status, "Ready") == ("True", "Completed")


def test_versions_are_on_it_so_that_two_results_can_be_compared() -> None:
    assert completed_status()["scanner"] == {
        "image": "scanner:1",
        "nucleiVersion": "3.10.0",
        "templatesDigest": "ab12",
        "templatesLoaded": 42,
    }


def test_files_are_on_it_with_their_digests() -> None:
    assert completed_status()["artifacts"]["files"] == [
        {"name": "nuclei_output.ndjson", "bytes": 2166, "sha256": "cd" * 32}
    ]


def test_a_runners_warning_is_in_the_message() -> None:
    warned = [report(0, warnings=("2 templates did not load: a, b.",)), report(1, warnings=("x",))]
    status = statuses.of_finished(plan(), complete(), warned, merged(), None, NOW).document()
    assert "warning: 2 templates did not load: a, b (and 1 more" in status["conditions"][0]["message"]


def test_a_failed_scan_says_where_its_findings_are() -> None:
    status = statuses.of_finished(plan(), failed(), [], merged(complete=False), _error(), NOW).document()
    assert status["error"] == {
        "class": "Temporary",
        "reason": "DiskFull",
        "message": "the claim is full: make room on it.",
    }
    assert status["conditions"][0]["message"].endswith(f"; the findings until then are in {merged().path}")
    assert status["artifacts"]["complete"] is False


class TestWhatStays:
    """Nothing is carried along by accident, and what a plan is pinned to stays."""

    def test_pins_stay_while_the_plan_waits_for_its_job_to_be_made_again(self) -> None:
        status = statuses.of_waiting(plan(running_status()), Phase.PENDING, Reason.WAITING_FOR_PODS, "", NOW).document()
        assert status["taskKey"] == task().key
        assert status["scanner"] == {"image": "scanner:1"}
        assert "shards" not in status

    def test_and_while_it_can_not_run(self) -> None:
        """Otherwise an edited ConfigMap, or a tightened policy, would start another scan than the one that was lost."""
        status = statuses.of_invalid(plan(running_status()), Reason.INPUTS_CHANGED, "edited", NOW).document()
        assert status["taskKey"] == task().key
        assert not plan(status).status.ended

    def test_they_go_with_the_inputs(self) -> None:
        edited = plan(running_status(), endpoints=["https://c.example"])
        assert "taskKey" not in statuses.of_waiting(edited, Phase.QUEUED, Reason.QUEUED, "", NOW).document()

    def test_the_last_error_goes_when_it_is_over(self) -> None:
        retrying = statuses.of_running(
            plan(), job(), Phase.RETRYING, Reason.RETRYING, "", NOW, last_error=_error()
        ).document()
        assert retrying["error"]["reason"] == "DiskFull"
        assert (
            "error" not in statuses.of_running(plan(retrying), job(), Phase.RUNNING, Reason.RUNNING, "", NOW).document()
        )


class TestLastReports:
    def test_the_newest_of_each_shard_counts(self) -> None:
        pods = [broken(0, created=ago(90)), succeeded(0, created=ago(30)), broken(1, created=ago(20))]
        assert [found.error is None for found in statuses.last_reports(pods)] == [True, False]

    def test_the_collectors_is_no_shards(self) -> None:
        assert statuses.last_reports([succeeded(0, collector=True)]) == []

    def test_pods_without_one_say_nothing(self) -> None:
        assert statuses.last_reports([replace(succeeded(0), report=None)]) == []


def waiting(phase: Phase, reason: Reason) -> Status:
    return statuses.of_waiting(plan(), phase, reason, "because", NOW).document()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (waiting(Phase.PENDING, Reason.QUOTA_EXCEEDED), "QuotaExceeded"),
        (waiting(Phase.PENDING, Reason.WAITING_FOR_PODS), "WaitingForPods"),
        (waiting(Phase.PENDING, Reason.PENDING), None),
        (waiting(Phase.QUEUED, Reason.QUEUED), None),
        (waiting(Phase.SUSPENDED, Reason.SUSPENDED), None),
        (waiting(Phase.RUNNING, Reason.COLLECTING), None),
        (running_status(), None),
        (completed_status(), None),
        (finished(endpoints_unreachable=1), "SomeUnreachable"),
        (finished(templates_run=3, templates_not_run=1), "SomeNotRun"),
        (statuses.of_invalid(plan(), Reason.TARGET_DENIED, "no", NOW).document(), "TargetDenied"),
        (statuses.of_finished(plan(), failed(), [], None, _error(), NOW).document(), _error().reason),
        (
            statuses.of_running(plan(), job(), Phase.RETRYING, Reason.RETRYING, "again", NOW, _error()).document(),
            _error().reason,
        ),
        (statuses.of_cancelled(plan(), "t", "k", None, "", NOW).document(), None),
    ],
)
def test_the_reason_says_what_is_not_well_and_nothing_else(status: Status, reason: str | None) -> None:
    """Lost otherwise: what is wrong, at the first glance; or that all is well."""
    assert status.get("reason") == reason


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"projectId": None, "runId": None}, ("team", "alpha")),
        ({"projectId": "acme", "runId": "nightly"}, ("acme", "nightly")),
    ],
)
def test_project_and_run_are_what_holds(spec: dict[str, Any], expected: tuple[str, str]) -> None:
    """Lost otherwise: whose run it is, where the plan leaves that to the defaults."""
    status = statuses.of_waiting(plan(**spec), Phase.PENDING, Reason.PENDING, "soon", NOW).document()
    assert (status["projectId"], status["runId"]) == expected
