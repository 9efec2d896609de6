"""What a pod says of a task whose endpoints come from a Secret: everything but the endpoints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.api.documents.report import FindingCounts, MergedResult, ShardReport, TaskError
from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner import progress
from scanplan.runner.confidential import Redaction
from tests.unit.runner.documents import document

ENDPOINTS = (
    "hidden.example",
    "https://hidden.example:8443/path-token?q=query-token",
    "10.1.2.3:99",
    "[2001:db8::1]:80",
)
SECRET = Redaction(document(endpoints=ENDPOINTS, confidential=True))
PARTS = ("hidden.example", "path-token", "query-token", "10.1.2.3", "2001:db8::1")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("2 of 4 endpoints never answered: hidden.example, 10.1.2.3:99", "2 of 4 endpoints never answered: [redacted], [redacted]"),
        ("Nuclei said: [FTL] https://hidden.example:8443/path-token?q=query-token failed", "Nuclei said: [FTL] [redacted] failed"),
        ("dial tcp [2001:db8::1]:80: timeout", "dial tcp [redacted] timeout"),
        ("lookup HIDDEN.example. on 10.0.0.10:53: no such host", "lookup [redacted] on [redacted] no such host"),
        ("a.hidden.example resolves to 192.0.2.7", "[redacted] resolves to [redacted]"),
        ("url=http%3A%2F%2Fhidden.example%2Fpath-token", "[redacted]"),
        ("(hidden.example)", "[redacted]"),
        ("Lower rateLimit or concurrency: 5 of 10 failed.", "Lower rateLimit or concurrency: 5 of 10 failed."),
        ("Nuclei 3.10.1 ended with exit code 1.", "Nuclei 3.10.1 ended with exit code 1."),
    ],
)  # fmt: skip
def test_messages_name_no_endpoint(message: str, shown: str) -> None:
    """Lost otherwise: a Secret's endpoints, to whoever may read plans or logs; or the words that help."""
    assert SECRET.text(message) == shown


@pytest.mark.parametrize(
    "word",
    [
        "/path-token?q=query-token", "/path-token", "/path-token/x", "q=query-token", "%2Fpath-token", "bücher.example",
        "b%C3%BCcher.example:443", "xn--bcher-kva.example", "hidden.example_8443", "host=hidden.example-8443", "vault.corp.svc",
        "vault.corp.cluster.local:8200", "10.1.2.3_99", "10.1.2.3.nip.io", "ｈidden.example", "hidden․example", "éhidden.example",
    ],
)  # fmt: skip
def test_no_part_or_other_form_of_an_endpoint_is_named(word: str) -> None:
    """Lost otherwise: a token in a path, or a host, where a message names it without the rest or in another spelling."""
    redaction = Redaction(
        document(endpoints=(*ENDPOINTS, "xn--bcher-kva.example", "http://vault.corp:8200/"), confidential=True)
    )
    assert redaction.text(f"no answer of {word} yet") == "no answer of [redacted] yet"


@given(
    st.sampled_from(ENDPOINTS),
    st.text(alphabet="'()<>|;:= \n", max_size=3),
    st.text(alphabet="'()<>|;:=, \n", max_size=3),
)
def test_whatever_stands_beside_it(endpoint: str, before: str, after: str) -> None:
    """Lost otherwise: an endpoint that Nuclei quotes in a way of its own."""
    said = SECRET.text(f"Nuclei said:{before}{endpoint}{after} and so on")
    assert not [part for part in PARTS if part in said]


def test_reports_and_progress_are_redacted_with_their_counts_kept() -> None:
    """Lost otherwise: the endpoints by a plan's status, or a report that says nothing any more."""
    error = TaskError(error_class=ErrorClass.TEMPORARY, reason=Reason.UNKNOWN_ERROR, message="at hidden.example")
    merged = MergedResult(
        path="p",
        complete=True,
        shards=1,
        endpoints_scanned=4,
        endpoints_unreachable=0,
        endpoints_remark="hidden.example answered 403",
        templates_remark="a.yaml (no answer of hidden.example)",
        findings=FindingCounts(),
        files=(),
    )
    report = ShardReport(
        shard=1,
        attempt=2,
        outcome=Outcome.FAILED,
        error=error,
        endpoints=4,
        warnings=("10.1.2.3 is silent",),
        merged=merged,
    )
    shown = SECRET.report(report)
    assert (shown.endpoints, shown.error and shown.error.message, shown.warnings) == (
        4, "at [redacted]", ("[redacted] is silent",),
    )  # fmt: skip
    assert shown.merged is not None
    assert shown.merged.endpoints_remark == "[redacted] answered 403"
    assert "hidden" not in shown.merged.templates_remark
    assert shown.merged.endpoints_scanned == 4
    event = progress.Event(time="", event="warning", shard=0, message="hidden.example is silent")
    assert SECRET.event(event).message == "[redacted] is silent"


def test_other_tasks_say_what_they_scan() -> None:
    """Lost otherwise: which endpoint is to be looked at, where it is on the plan for all to read."""
    plain = Redaction(document(endpoints=ENDPOINTS))
    assert plain.text("https://hidden.example is silent") == "https://hidden.example is silent"
