"""The library's plan: which templates it selects, and what becomes of a misspelt word."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from scanplan.api.documents.words import Protocol
from scanplan.api.v1alpha1.plan.selection import Include, Selection
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.client import document, models, settings
from scanplan.client.compat.nuclei import PipelineResult
from scanplan.client.errors import InvalidPayload
from scanplan.client.models import ScanPlan, ScanResult, TaskStatus
from scanplan.client.queues import kubernetes as kubernetes_queue

SELECTION: dict[str, Any] = {"include": {"tags": ["CVE"], "protocols": ["http"]}, "exclude": {"ids": ["x-*"]}}


def plan(templates: list[str] | None = None, **fields: Any) -> ScanPlan:
    return ScanPlan("r", "p", ["https://a.example"], ["http/"] if templates is None else templates, **fields)


def test_a_selection_reaches_the_runner_and_the_cluster() -> None:
    """Lost otherwise: a program scans with all templates, although it chose some."""
    chosen = plan([], priority=5, selection=SELECTION)
    task = document.build(chosen, settings.load_settings(), datetime.now(UTC))
    assert (task.include.tags, task.include.protocols) == (("cve",), (Protocol.HTTP,))
    assert (task.exclude.ids, task.templates) == (("x-*",), ())
    spec = kubernetes_queue.manifest(chosen, settings.load_settings())["spec"]
    assert (spec["selection"], "templates" in spec) == (SELECTION, False)
    assert ScanPlanSpec.model_validate(spec).selection == Selection.model_validate(SELECTION)


def test_a_selection_is_part_of_the_key_and_of_the_payload() -> None:
    chosen = plan(selection=SELECTION)
    assert models.plan_from(models.payload_of(chosen)) == chosen
    assert chosen == plan(selection=Selection.model_validate(SELECTION))
    keys = {models.generate_task_key(each) for each in (plan(), chosen, plan(selection={"include": {"tags": ["x"]}}))}
    assert len(keys) == 3
    assert models.generate_task_key(plan(selection=Selection())) == models.generate_task_key(plan())


def test_a_plan_without_any_template_is_refused() -> None:
    for empty in ({}, {"selection": {"exclude": {"tags": ["dos"]}}}):
        with pytest.raises(ValidationError, match="there is nothing to scan with"):
            plan([], **empty)
    assert plan([], selection=Selection(include=Include())).templates == []


def test_a_profile_and_workflows_reach_the_runner() -> None:
    """Lost otherwise: a program that asks for a profile scans with all templates."""
    chosen = plan([], selection={"profile": "recommended", "workflows": ["workflows/b.yaml", "workflows/a.yaml"]})
    task = document.build(chosen, settings.load_settings(), datetime.now(UTC))
    assert (task.profile, task.workflows) == ("recommended", ("workflows/a.yaml", "workflows/b.yaml"))
    assert models.plan_from(models.payload_of(chosen)) == chosen
    assert models.generate_task_key(chosen) != models.generate_task_key(plan())


def test_an_automatic_scan_reaches_the_runner_and_has_no_workflows() -> None:
    """Lost otherwise: a program that asks for some templates scans with all."""
    chosen = plan(selection={"automatic": True})
    assert document.build(chosen, settings.load_settings(), datetime.now(UTC)).automatic
    assert models.generate_task_key(chosen) != models.generate_task_key(plan())
    with pytest.raises(ValidationError, match="goes with neither workflows nor"):
        plan(selection={"automatic": True, "workflows": ["w/"]})


MISSPELT: list[tuple[dict[str, Any], str]] = [
    ({"templatez": []}, "unknown field templatez, did you mean templates?"),
    ({"selection": {"tagz": []}}, "unknown field tagz, did you mean include.tags?"),
    ({"selection": {"include": {"tagz": []}}}, "unknown field include.tagz, did you mean tags?"),
]


@pytest.mark.parametrize(("fields", "words"), MISSPELT)
def test_a_misspelt_field_is_refused_with_the_nearest_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        plan(**fields)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({"tagz": []}, "did you mean include.tags?"),
        ({"include": {"protocols": ["htttp"]}}, "did you mean http?"),
    ],
)
def test_so_is_one_in_a_payload(selection: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        models.plan_from({**models.dump(plan()), "selection": selection})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"success": True}, TaskStatus.COMPLETED),
        ({"success": False}, TaskStatus.FAILED),
        ({"success": False, "status": "cancelled"}, TaskStatus.CANCELLED),
        ({"success": True, "status": "failed"}, None),
        ({"success": False, "status": "completed"}, None),
        ({"success": False, "status": "running"}, None),
    ],
    ids=str,
)
def test_a_result_of_the_first_version_has_ended_as_it_says(fields: dict[str, Any], status: TaskStatus | None) -> None:
    """Lost otherwise: failures. Of the first version's six fields, the status was completed whatever `success` was."""
    first = {"run_id": "r", "endpoint_count": 1, "finding_count": 0, "duration_ms": 3, "error": None}
    with contextlib.nullcontext() if status else pytest.raises(InvalidPayload):
        result = models.result_for("scan-0123456789abcdef0123", {**first, **fields})
        assert result.status is status
        assert models.load(ScanResult, models.to_json(result), "the result") == result


def test_what_the_pipeline_returns_is_a_result() -> None:
    """The first version's worker returned it as the task's result."""
    made: PipelineResult = {
        "run_id": "r",
        "success": True,
        "findings_count": 2,
        "endpoints_scanned": 1,
        "duration_ms": 3,
    }
    result = models.result_for("scan-0123456789abcdef0123", made)
    assert (result.finding_count, result.endpoint_count, result.endpoints_scanned) == (2, 1, 1)
    with pytest.raises(InvalidPayload, match="endpoint_count"):
        models.result_for("scan-0123456789abcdef0123", {"findings_count": 2})
