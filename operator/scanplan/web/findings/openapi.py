"""The findings view's part of the OpenAPI document."""

from __future__ import annotations

from typing import Any

from scanplan.api.documents.words import Severity
from scanplan.findings.listing import Which
from scanplan.web.findings import queries

Schema = dict[str, Any]


def states() -> list[Schema]:
    """The parameters of all lists of findings over time."""
    state = {"type": "string", "enum": [which.value for which in Which], "default": Which.OPEN.value}
    names = [severity.value for severity in Severity]
    severity = {"type": "array", "items": {"type": "string", "enum": names}}
    listed = {"name": "severity", "in": "query", "style": "form", "explode": False, "schema": severity}
    return [
        {"name": "state", "in": "query", "schema": state},
        {**listed, "description": "Separated by commas; by default all."},
    ]


def parameters() -> list[Schema]:
    """The parameters of a list of a project's findings."""
    choices = {"suppressed": queries.Suppressed, "sort": queries.Sort, "order": queries.Order}
    place = {"type": "string", "pattern": queries.IDENTITY}
    limit = {"type": "integer", "minimum": 1, "maximum": queries.MAX_LIMIT, "default": queries.DEFAULT_LIMIT}
    wanted = {"type": "string", "maxLength": queries.MAX_TEXT}
    return [
        *states(),
        *(
            {"name": name, "in": "query", "schema": {"type": "string", "enum": list(kind)}}
            for name, kind in choices.items()
        ),
        {"name": "text", "in": "query", "schema": wanted, "description": "In name, template, matcher, host or place."},
        {"name": "limit", "in": "query", "schema": limit},
        {"name": "after", "in": "query", "schema": place, "description": "The page follows this finding."},
        {"name": "before", "in": "query", "schema": place, "description": "The page ends before this finding."},
    ]


def identity() -> Schema:
    """The path's parameter for one finding."""
    return {
        "name": "identity",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": queries.IDENTITY},
    }


def schemas(life: Schema) -> Schema:
    """The schemas of all answers.

    Args:
        life: one finding over time.
    """
    text, number, flag = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
    counts = {"type": "object", "description": "By severity.", "additionalProperties": number}
    project = closed_object(
        namespace=text,
        project=text,
        runs=number,
        last_scan=text,
        open=counts,
        total=number,
        new=number,
        suppressed=number,
    )
    run = closed_object(run=text, plan=text, completed=text, complete=flag, problem=text)
    item = closed_object(**life["properties"], run=text, plan=text)
    listed = {"type": "array", "items": item}
    place = {"type": ["string", "null"], "description": "For the parameter of this name; null at an end of the list."}
    told = {"namespace": text, "project": text, "runs_left_out": number}
    runs = {"type": "array", "items": run}
    point = closed_object(time=text, open=counts)
    return {
        "Projects": closed_object(items={"type": "array", "items": project}),
        "Findings": closed_object(
            **told, runs=runs, total=number, by_severity=counts, items=listed, before=place, after=place
        ),
        "Trend": closed_object(**told, runs=runs, points={"type": "array", "items": point}),
        "OneFinding": closed_object(
            **told, runs=listed, finding=item, record=_nullable(_record()), record_problem=text, exception=text
        ),
    }


def _record() -> Schema:
    text = {"type": "string"}
    texts = {"type": "array", "items": text}
    paragraphs = ("description", "impact", "remediation", "cvss", "time", "request", "response", "curl")
    references = {"type": "array", "items": closed_object(text=text, address=text)}
    return closed_object(
        **dict.fromkeys(paragraphs, text),
        references=references,
        **dict.fromkeys(("tags", "cve", "cwe", "extracted"), texts),
    )


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def closed_object(**properties: Schema) -> Schema:
    """An object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
