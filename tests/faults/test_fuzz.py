"""What comes from outside, malformed, truncated and huge: no parser may fail in a way that its caller doesn't expect.

The inputs are derived from good ones by cutting, flipping and repeating, beside what Hypothesis makes up; 2,000 for each parser.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from scanplan.api.documents.report import ArtifactFile, FindingCounts, MergedResult, ShardReport, decode_report
from scanplan.api.documents.task import decode_task
from scanplan.api.documents.words import Outcome, encode
from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.observed.pods import PodView, pod_view
from scanplan.core.planning.targets import endpoints

TRIES = 2_000
FUZZ = settings(max_examples=TRIES, suppress_health_check=list(HealthCheck), derandomize=True)

GOOD_REPORT = encode(
    ShardReport(
        shard=1,
        attempt=2,
        outcome=Outcome.COMPLETE,
        findings=FindingCounts(high=3),
        merged=MergedResult(
            path="ui_projects/r/tasks/t",
            complete=True,
            shards=2,
            endpoints_scanned=1,
            endpoints_unreachable=0,
            findings=FindingCounts(high=3),
            files=(ArtifactFile(name="f", bytes=1, sha256="0" * 64),),
        ),
    )
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def spoilt(draw: st.DrawFn, good: bytes = GOOD_REPORT) -> bytes:
    """A good document after an accident."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, max(0, len(content) - 1)))
        match draw(st.sampled_from(["cut", "flip", "repeat", "nest", "huge"])):
            case "cut":
                del content[position:]
            case "flip" if content:
                content[position] = draw(st.integers(0, 255))
            case "repeat":
                content[position:position] = content[: draw(st.integers(0, 64))]
            case "nest":
                content[position:position] = b"[" * draw(st.integers(1, 3_000))
            case _:
                content[position:position] = b"9" * draw(st.integers(1, 5_000))
    return bytes(content)


@FUZZ
@given(spoilt() | st.binary(max_size=200))
def test_termination_messages(content: bytes) -> None:
    """A report, or None: a pod can write what it likes into its termination message."""
    report = decode_report(content)
    assert report is None or isinstance(report, ShardReport)


POD = {
    "metadata": {"name": "p", "creationTimestamp": "2026-11-24T00:00:00Z", "labels": {}, "annotations": {}},
    "status": {"phase": "Failed"},
}


@FUZZ
@given(
    message=spoilt().map(lambda content: content.decode(errors="replace")) | st.text(max_size=100),
    index=st.text(max_size=12),
)
def test_pods_as_the_operator_sees_them(message: str, index: str) -> None:
    """A view, whatever a pod says and whatever index somebody has given it."""
    pod: dict[str, Any] = copy.deepcopy(POD)
    pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] = index
    pod["status"]["containerStatuses"] = [
        {"name": "scanner", "state": {"terminated": {"exitCode": 1, "message": message}}}
    ]
    assert isinstance(pod_view(pod), PodView)


@FUZZ
@given(JSON)
def test_task_documents(value: Any) -> None:
    """msgspec's own errors, and no others."""
    try:
        decode_task(json.dumps(value).encode())
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError):
        return
    pytest.fail("that was no task document")


@FUZZ
@given(JSON)
def test_plans(value: Any) -> None:
    """A spec, or pydantic's error, which becomes the plan's reason."""
    try:
        ScanPlanSpec.model_validate(value)
    except ValidationError:
        return


@FUZZ
@given(st.text(max_size=60) | st.text(alphabet="htps:/@[].%0123456789abxX-_?#\\\u3002", max_size=40))
def test_endpoints(text: str) -> None:
    """A canonical form that is its own canonical form, or those of a range's addresses, or a plan's error."""
    try:
        found = endpoints.canonical_all([text])
    except InvalidPlan:
        return
    assert found
    assert endpoints.canonical_all(found) == found
