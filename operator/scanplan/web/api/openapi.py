"""The API's OpenAPI document: schemas from the models that are served, so that it can't promise anything else."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

import scanplan
from scanplan.api.documents.words import Severity
from scanplan.api.names import DNS_SUBDOMAIN, MAX_SUBDOMAIN, NAMESPACE
from scanplan.client.models import QueueHealth, ScanResult, TaskStatus
from scanplan.findings.history import State
from scanplan.web.api.access import MAX_TOKEN_CHARACTERS
from scanplan.web.api.problems import MEDIA_TYPE
from scanplan.web.artifacts.history import DEFAULT_LIMIT, MOST
from scanplan.web.artifacts.reports import FORMATS
from scanplan.web.findings import openapi
from scanplan.web.findings.openapi import closed_object
from scanplan.web.ui.feeds import ALL

Schema = dict[str, Any]

_TASK_ID = {"type": "string", "pattern": DNS_SUBDOMAIN, "maxLength": MAX_SUBDOMAIN}
PROJECT = r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
FILE = r"^[A-Za-z0-9][-A-Za-z0-9_.]{0,127}$"
_PROBLEMS = {
    "400": "The request is not understood.",
    "401": "No bearer token, or one that is not good for this API's audience.",
    "403": "The token's user may not read this, or not the page itself has asked.",
    "404": "There is no such task or artifact.",
    "408": "The form did not come in time.",
    "410": "The finding that the page was to follow is in the list no more.",
    "413": "The form is larger than any token.",
    "415": "The body is no form.",
    "421": "The request is for a host that is not one of this API's names.",
    "429": "Too much of this is under way for you: the problem says what.",
    "500": "What is stored can't be read.",
    "502": "The claim can't be read: its problem says why.",
    "507": "The artifact is too large to be copied from its claim.",
    "503": "The queue, or Kubernetes, can't be reached: try again.",
}
_OF_READING = ("400", "401", "403", "404", "429", "500", "502", "503", "507")


def document(*, is_open: bool = False) -> Schema:
    """The whole document, OpenAPI 3.1.

    Args:
        is_open: no token is needed.
    """
    status, files = "/api/v1/tasks/{task_id}/status", "/api/v1/tasks/{task_id}/artifacts"
    reports, project = "/api/v1/tasks/{task_id}/reports/{name}", "/api/v1/projects/{project}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ScanPlan monitoring API",
            "version": scanplan.__version__,
            "description": "Scan tasks, their results and artifacts, and the health of their queue. It only reads.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [] if is_open else [{"token": []}],
        "paths": {
            status: {
                "get": _operation("Where a task is, and its result once it has ended", _json("TaskState"), _task())
            },
            files: {"get": _operation("The published files of a task", _json("Artifacts"), _task())},
            f"{files}/{{name}}": {"get": _file_operation()},
            reports: {"get": _report_operation()},
            "/api/v1/tasks/{task_id}/history": {
                "get": _operation(
                    "The findings of a task's run over time, most severe first", _json("History"), _of_history()
                )
            },
            "/api/v1/tasks/{task_id}/running": {"get": _running_operation()},
            "/api/v1/projects": {
                "get": _operation("Projects, and what is open in them", _json("Projects"), [_scope("Whose projects")])
            },
            f"{project}/findings": {
                "get": _of_project("A project's findings over time, across its runs", "Findings", openapi.parameters())
            },
            f"{project}/findings/{{identity}}": {
                "get": _of_project(
                    "One finding: history, record, an exception to copy", "OneFinding", [openapi.identity()]
                )
            },
            f"{project}/trend": {
                "get": _of_project("What was open after each scan that changed something", "Trend", [])
            },
            "/api/v1/queue/health": {"get": _operation("How the queue is doing", _json("QueueHealth"), [_namespace()])},
            "/api/v1/events": {"get": _events_operation()},
            "/session": {"get": _open("Who the page's reader is, and where it begins", _json("Session"), ("503",))},
            "/login": {"post": _login_operation()},
            "/logout": {"post": _open("End the session", {"description": "It has ended."}, ("403",), success="204")},
            "/api/v1/openapi.json": {"get": _open("This document", _content("application/json", {"type": "object"}))},
            "/metrics": {"get": _open("Metrics for Prometheus", _content("text/plain", {"type": "string"}))},
            "/healthz": {"get": _open("The process answers", _json("Probe"))},
            "/readyz": {"get": _open("The queue answers", _json("Probe"), problems=("503",))},
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A Kubernetes token for this API's audience: kubectl create token NAME --audience scanplan-api",
                }
            },
        },
    }


def _operation(summary: str, success: Schema, parameters: list[Schema]) -> Schema:
    return {
        "summary": summary,
        "parameters": parameters,
        "responses": {"200": success, **_problem_responses(_OF_READING)},
    }


def _open(summary: str, response: Schema, problems: tuple[str, ...] = (), *, success: str = "200") -> Schema:
    """An operation that needs no token."""
    return {"summary": summary, "security": [], "responses": {success: response, **_problem_responses(problems)}}


def _events_operation() -> Schema:
    events = {
        "type": "string",
        "description": "Events with JSON: `snapshot` (PlansSnapshot) first, and again when other namespaces may be seen; `change` "
        "(PlansChange); `trouble` (detail), after which it goes on; `refused` (status, detail), which ends it.",
    }
    problems = _problem_responses(("400", "401", "403", "404", "503"))
    return {
        "summary": "Plans as they change, as server-sent events; the stream goes on until a right ends",
        "parameters": [_scope("Whose plans")],
        "responses": {"200": {"description": "The stream.", "content": {"text/event-stream": {"schema": events}}}}
        | problems,
    }


def _running_operation() -> Schema:
    events = {
        "type": "string",
        "description": "Events with JSON: `snapshot` (RunningFindings) first, and again when the plan was edited; `findings` "
        "(RunningFindings) as they come; `withdrawn` (shard, attempt, findings) where an attempt does not count any more; "
        "`more` (shown) where some are in the result only; `ended` (phase), `trouble` (detail) and `refused` (status, detail) "
        "end it.",
    }
    return {
        "summary": "The findings of a running scan as they come, as server-sent events: not final",
        "parameters": _task(),
        "responses": {"200": {"description": "The stream.", "content": {"text/event-stream": {"schema": events}}}}
        | _problem_responses(("400", "401", "403", "404", "503")),
    }


def _scope(whose: str) -> Schema:
    scope = _namespace()
    scope["description"] = f"{whose}; {ALL} for all that the token's user may list; by default the API's own."
    scope["schema"] = {"type": "string", "pattern": f"{NAMESPACE}|^[{ALL}]$"}
    return scope


def _of_project(summary: str, schema: str, parameters: list[Schema]) -> Schema:
    name = {"name": "project", "in": "path", "required": True, "schema": {"type": "string", "pattern": PROJECT}}
    operation = _operation(summary, _json(schema), [name, _namespace(), *parameters])
    operation["responses"] |= {"304": {"description": "It is the one that If-None-Match names."}}
    operation["responses"] |= _problem_responses(["410"])
    return operation


def _login_operation() -> Schema:
    operation = _open(
        "Open a session for the page: a cookie that stands for a token. Only the page's own origin may ask",
        {"description": "The session is open.", "headers": {"Set-Cookie": {"schema": {"type": "string"}}}},
        ("400", "401", "403", "408", "413", "415", "429", "503"),
        success="204",
    )
    token = {"type": "string", "minLength": 1, "maxLength": MAX_TOKEN_CHARACTERS}
    form = {"type": "object", "properties": {"token": token}, "required": ["token"]}
    operation["requestBody"] = {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": form}}}
    return operation


def _file_operation() -> Schema:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "pattern": FILE}}
    operation = _operation("One published file", {}, [*_task(), name, _span()])
    kinds = ("application/x-ndjson", "application/json", "text/html", "application/octet-stream")
    operation["responses"] |= _of_file("The file.", {kind: {"schema": {"type": "string"}} for kind in kinds})
    return operation


def _span() -> Schema:
    return {
        "name": "Range",
        "in": "header",
        "required": False,
        "description": "One range of bytes of a published file (RFC 9110); anything else is passed over.",
        "schema": {"type": "string", "pattern": "^bytes=([0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})$"},
    }


def _of_file(whole: str, content: Schema) -> Schema:
    """The answers of who serves a published file; `whole` says what it is."""
    headers = {
        "ETag": {"description": "The SHA-256, quoted.", "schema": {"type": "string"}},
        "Repr-Digest": {"description": "The SHA-256 of the whole file (RFC 9530).", "schema": {"type": "string"}},
    }
    return {
        "200": {"description": whole, "headers": headers, "content": content},
        "206": {"description": "The part of it that was asked for.", "headers": headers, "content": content},
        "304": {"description": "It is the one that If-None-Match names."},
        "416": _problem_response("There is nothing at that place."),
    }


def _report_operation() -> Schema:
    names = sorted(FORMATS)
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": names}}
    operation = _operation(
        "The findings of a task as SARIF, CSV or an HTML page", {}, [*_task(), name, _suppressed(), _span()]
    )
    content: Schema = {FORMATS[each][0].partition(";")[0]: {"schema": {"type": "string"}} for each in names}
    content["application/sarif+json"] = {"schema": {"type": "object"}}
    operation["responses"] |= _of_file(
        "The report; a published file where it is the HTML page that the scan left.", content
    )
    return operation


def _of_history() -> list[Schema]:
    """The parameters of a list of findings over time."""
    limit = {"type": "integer", "minimum": 0, "maximum": MOST, "default": DEFAULT_LIMIT}
    return [*_task(), *openapi.states(), {"name": "limit", "in": "query", "schema": limit}]


def _suppressed() -> Schema:
    return {
        "name": "include_suppressed",
        "in": "query",
        "required": False,
        "description": "SARIF has findings under a ScanException too, marked as suppressed; the other forms always have them.",
        "schema": {"type": "boolean", "default": False},
    }


def _task() -> list[Schema]:
    task = {"name": "task_id", "in": "path", "required": True, "schema": _TASK_ID}
    return [task, _namespace()]


def _namespace() -> Schema:
    return {
        "name": "namespace",
        "in": "query",
        "required": False,
        "description": "Of the task, where the queue is Kubernetes; by default the API's own.",
        "schema": {"type": "string", "pattern": NAMESPACE},
    }


def _problem_responses(codes: Any) -> Schema:
    return {code: _problem_response(_PROBLEMS[code]) for code in sorted({*codes, "421"})}


def _problem_response(text: str) -> Schema:
    return {
        "description": text,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _json(schema: str) -> Schema:
    return _content("application/json", {"$ref": f"#/components/schemas/{schema}"})


def _content(kind: str, schema: Schema) -> Schema:
    return {"description": "As asked.", "content": {kind: {"schema": schema}}}


def _schemas() -> Schema:
    adapters = {kind: TypeAdapter(kind) for kind in (ScanResult, QueueHealth, TaskStatus)}
    _, schema = TypeAdapter.json_schemas(
        [(kind, "serialization", adapter) for kind, adapter in adapters.items()],
        ref_template="#/components/schemas/{model}",
    )
    models: Schema = schema["$defs"]
    return {
        **models,
        "TaskState": closed_object(
            task_id={"type": "string"},
            status={"$ref": "#/components/schemas/TaskStatus"},
            result={"anyOf": [{"$ref": "#/components/schemas/ScanResult"}, {"type": "null"}]},
        ),
        "Artifacts": closed_object(
            task_id={"type": "string"},
            path={"type": ["string", "null"]},
            complete={"type": "boolean"},
            files={"type": "array", "items": {"$ref": "#/components/schemas/ArtifactRef"}},
        ),
        "History": closed_object(
            task_id={"type": "string"},
            complete={"type": "boolean"},
            total={"type": "integer", "description": "How many there are, also those beyond the limit."},
            by_severity={"type": "object", "additionalProperties": {"type": "integer"}},
            items={"type": "array", "items": _life()},
        ),
        **openapi.schemas(_life()),
        "Probe": closed_object(status={"const": "ok"}),
        "Session": closed_object(
            known={"type": "boolean"},
            user={"type": "string"},
            open={"type": "boolean", "description": "Everybody may read, without a token."},
            audience={"type": "string"},
            namespace={"type": "string"},
        ),
        **_plan_schemas(),
        "Problem": {
            "type": "object",
            "description": "RFC 9457.",
            "properties": {
                "type": {"type": "string"},
                "status": {"type": "integer"},
                "title": {"type": "string"},
                "detail": {"type": "string"},
            },
            "required": ["type", "status", "title"],
        },
    }


def _life() -> Schema:
    """One finding over time."""
    text, number = {"type": "string"}, {"type": "integer"}
    texts = ("identity", "fingerprint", "name", "template", "matcher", "host", "where", "target")
    return closed_object(
        **dict.fromkeys(texts, text),
        severity={"type": "string", "enum": [severity.value for severity in Severity]},
        state={"type": "string", "enum": [state.value for state in State]},
        first_seen=text,
        last_seen=text,
        times_seen=number,
        reopened={"type": "integer", "description": "How often it came back after it was resolved."},
        reopened_at=text,
        resolved_at=text,
        age_days={"type": ["integer", "null"]},
        suppressed={
            "description": "The ScanException that it falls under now.",
            "anyOf": [closed_object(exception=text, status=text, reason=text, expires_at=text), {"type": "null"}],
        },
    )


def _plan_schemas() -> Schema:
    text, time, number = {"type": "string"}, {"type": ["string", "null"], "format": "date-time"}, {"type": "integer"}
    condition = closed_object(type=text, status=text, reason=text, message=text)
    row = closed_object(
        namespace=text,
        name=text,
        uid=text,
        created={"type": "string", "format": "date-time"},
        project=text,
        phase=text,
        reason={"type": "string", "description": "Why the plan waits or is not well; empty otherwise."},
        shards=closed_object(total=number, succeeded=number, failed=number),
        findings={"type": "object", "description": "By severity, and their total.", "additionalProperties": number},
        started=time,
        completed=time,
        attempts=number,
        files={"type": "array", "items": text, "description": "Names of the published artifacts."},
        cluster={"type": ["string", "null"], "description": "Where the artifacts are, if in another one."},
        conditions={"type": "array", "items": condition},
    )
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/PlanRow"}}
    gone = {"type": "array", "items": text, "description": "UIDs."}
    found = closed_object(
        severity=text,
        name=text,
        template=text,
        where=text,
        time=text,
        shard={"type": "string", "description": "The digest of its endpoints."},
        attempt=number,
        suppressed={"type": ["string", "null"], "description": "The ScanException that it falls under now."},
        withdrawn={"type": "boolean", "description": "Its attempt does not count any more."},
    )
    running = closed_object(final={"const": False}, findings={"type": "array", "items": found})
    return {
        "RunningFindings": running,
        "PlanRow": row,
        "PlansSnapshot": closed_object(plans=rows),
        "PlansChange": closed_object(plans=rows, gone=gone),
    }
