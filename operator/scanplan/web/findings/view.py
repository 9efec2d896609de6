"""The handlers of the findings view: projects, a project's findings, its trend, and one finding."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BufferedReader
from typing import Any

import yaml
from aiohttp import web

from scanplan.api import layout, names
from scanplan.api.v1alpha1.scanexception import Disposition
from scanplan.client import exception_draft
from scanplan.client.errors import ClientError
from scanplan.findings import lookup
from scanplan.findings.history import Entry
from scanplan.report import text
from scanplan.report.finding import Finding
from scanplan.web.api import openapi
from scanplan.web.api.access import Access, Caller, Wanted, visible
from scanplan.web.artifacts.history import shown
from scanplan.web.findings import published, queries, record
from scanplan.web.findings.index import Gone, Row
from scanplan.web.findings.projects import Project, Projects, words_of
from scanplan.web.findings.published import Published
from scanplan.web.ui.feeds import ALL

PROPOSED_DAYS = 90
"""Until the end of the exception that is offered."""
_PROJECT = re.compile(openapi.PROJECT)
_NAMESPACE = re.compile(names.NAMESPACE)
_TEXTS = (
    "name",
    "template",
    "matcher",
    "host",
    "where",
    "target",
    "first_seen",
    "last_seen",
    "resolved_at",
    "reopened_at",
)


class FindingsView:
    """The handlers; for one event loop."""

    def __init__(self, access: Access, projects: Projects, namespace: str) -> None:
        """`namespace`: that of a request which names none."""
        self._access = access
        self._projects = projects
        self._namespace = namespace

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [
            web.get("/api/v1/projects", self.projects),
            web.get("/api/v1/projects/{project}/findings", self.findings),
            web.get("/api/v1/projects/{project}/findings/{identity}", self.finding),
            web.get("/api/v1/projects/{project}/trend", self.trend),
        ]

    async def projects(self, request: web.Request) -> web.Response:
        """The projects of a namespace, or of all that the caller may list, with what is open in them."""
        scope = request.query.get("namespace", self._namespace)
        caller = await self._access.identify(request)
        if scope != ALL:
            await self._access.check(caller, Wanted(_namespace(scope)))
        results = await self._projects.results(scope)
        if scope == ALL:
            seen = await visible(self._access, caller, sorted({each.namespace for each in results}))
            results = [each for each in results if each.namespace in seen]
        return _answer(request, {"items": published.projects(results)})

    async def findings(self, request: web.Request) -> web.Response:
        """A page of a project's findings."""
        query = queries.read(request.query)
        caller, namespace, name = await self._admitted(request)
        project = await self._projects.of(caller, namespace, name)
        try:
            page = await self._projects.turn(caller, namespace, partial(project.findings.page, query))
        except Gone:
            raise web.HTTPGone(
                text="this place of the list is gone with its finding: begin at the first page"
            ) from None
        now = datetime.now(UTC)
        return _answer(
            request,
            {
                **_told(namespace, name, project),
                "total": sum(page.counts.values()),
                "by_severity": {severity.value: number for severity, number in page.counts.items()},
                "items": [_item(row, project.read, now) for row in page.rows],
                "before": page.rows[0].entry.identity if page.rows and page.has_before else None,
                "after": page.rows[-1].entry.identity if page.rows and page.has_after else None,
            },
        )

    async def trend(self, request: web.Request) -> web.Response:
        """What was open in a project after each scan that changed something."""
        caller, namespace, name = await self._admitted(request)
        project = await self._projects.of(caller, namespace, name)
        points = [
            {"time": point.time, "open": {severity.value: number for severity, number in point.open.items()}}
            for point in project.findings.points
        ]
        return _answer(request, {**_told(namespace, name, project), "points": points})

    async def finding(self, request: web.Request) -> web.Response:
        """One finding: its history in each run, its newest record, and an exception for it to copy."""
        identity = request.match_info["identity"]
        if not re.fullmatch(queries.IDENTITY, identity):
            raise web.HTTPBadRequest(text="a finding is named by its identity")
        caller, namespace, name = await self._admitted(request)
        project = await self._projects.of(caller, namespace, name)
        row = await self._projects.turn(caller, namespace, partial(project.findings.one, identity))
        if row is None:
            raise web.HTTPNotFound(text=f"project {name!r} has no such finding")
        now = datetime.now(UTC)
        runs = await self._runs(caller, project, identity)
        found, problem = None, ""
        try:
            found = await self._record(caller, project.read[row.run], row.entry)
        except (web.HTTPException, ClientError) as error:
            problem = words_of(error)
        subject = exception_draft.of_record(*found) if found else exception_draft.of_entry(row.entry)
        return _answer(
            request,
            {
                **_told(namespace, name, project),
                "finding": _item(row, project.read, now),
                "runs": runs,
                "record": record.shown(found[0]) if found else None,
                "record_problem": problem,
                "exception": _exception(subject, namespace, now),
            },
        )

    # reading

    async def _runs(self, caller: Caller, project: Project, identity: str) -> list[dict[str, Any]]:
        """What each run knows of a finding, newest first."""
        told = []
        for result in project.read:
            with contextlib.suppress(web.HTTPException, ClientError):
                with await self._projects.opened(caller, result, layout.HISTORY) as file:
                    entry = await self._projects.turn(caller, result.namespace, partial(_looked_up, file, identity))
                if entry is not None:
                    told.append(_item(Row(entry, 0, None), [result], datetime.now(UTC)))
        return told

    async def _record(self, caller: Caller, newest: Published, entry: Entry) -> tuple[Finding, bytes]:
        """The newest record of a finding.

        Raises:
            web.HTTPException, ClientError: it can't be read.
        """
        result = published.seen_by(await self._projects.results(newest.namespace), newest, entry.last_seen)
        if result is None:
            raise web.HTTPNotFound(text="the plan of the scan that saw it last has been deleted")
        with await self._projects.opened(caller, result, layout.FINDINGS) as file:
            found = await self._projects.turn(caller, result.namespace, partial(record.find, file, entry))
        if found is None:
            raise web.HTTPNotFound(text=f"the result of {result.plan} does not have it")
        return found

    # deciding

    async def _admitted(self, request: web.Request) -> tuple[Caller, str, str]:
        """Who asks for which project, once it is clear that the caller may read artifacts of its namespace."""
        caller = await self._access.identify(request)
        namespace = _namespace(request.query.get("namespace", self._namespace))
        await self._access.check(caller, Wanted(namespace, artifacts=True))
        project = request.match_info["project"]
        if not _PROJECT.fullmatch(project):
            raise web.HTTPNotFound(text="there is no project of such a name")
        return caller, namespace, project


def _namespace(name: str) -> str:
    if not _NAMESPACE.fullmatch(name):
        raise web.HTTPBadRequest(text=f"namespace {name!r} is not the name of a namespace")
    return name


def _looked_up(file: BufferedReader, identity: str) -> Entry | None:
    descriptor = file.fileno()
    return lookup.in_file(lambda offset, size: os.pread(descriptor, size, offset), os.fstat(descriptor).st_size)(
        identity
    )


def _told(namespace: str, name: str, project: Project) -> dict[str, Any]:
    """What all answers about a project say: where its findings come from."""
    runs = [
        {
            "run": source.result.run,
            "plan": source.result.plan,
            "completed": source.result.completed,
            "complete": source.result.result.complete,
            "problem": source.problem,
        }
        for source in project.sources
    ]
    return {"namespace": namespace, "project": name, "runs": runs, "runs_left_out": project.left_out}


def _item(row: Row, read: Sequence[Published], now: datetime) -> dict[str, Any]:
    item = shown(row.entry, row.suppressed, now)
    item |= {name: text.visible(item[name]) for name in _TEXTS}
    return {**item, "run": read[row.run].run, "plan": read[row.run].plan}


def _exception(subject: exception_draft.Subject, namespace: str, now: datetime) -> str:
    """A ScanException as YAML. Its reason is empty, so nobody applies it without one: the CRD refuses that."""
    end = (now + timedelta(days=PROPOSED_DAYS)).replace(hour=0, minute=0, second=0)
    written = exception_draft.manifest(subject, reason="", status=Disposition.ACCEPTED_RISK, end=end)
    written["metadata"]["namespace"] = namespace
    return yaml.safe_dump(written, sort_keys=False)


def _answer(request: web.Request, content: object) -> web.Response:
    """JSON with an ETag of its own; 304 where the caller has it already."""
    body = json.dumps(content).encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
    if tag in [known.strip().removeprefix("W/") for known in request.headers.get("If-None-Match", "").split(",")]:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type="application/json", headers=headers)
