"""The handlers of the findings view: projects, a project's findings, its trend, and one finding."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml
from aiohttp import web

from scanplan.api import layout
from scanplan.api.v1alpha1.scanexception import Disposition
from scanplan.client import exception_draft
from scanplan.client.errors import ClientError, InvalidPayload, QueueUnavailable
from scanplan.findings import combined, history, lookup
from scanplan.findings.exceptions import Suppressor
from scanplan.findings.history import Entry
from scanplan.report import text
from scanplan.report.finding import Finding
from scanplan.web.api import openapi
from scanplan.web.api.access import Access, Caller, Wanted, visible
from scanplan.web.api.blocking import Calls
from scanplan.web.artifacts.files import open_below
from scanplan.web.artifacts.history import shown
from scanplan.web.artifacts.places import Places
from scanplan.web.artifacts.remote import TooLarge
from scanplan.web.artifacts.turns import TooMany
from scanplan.web.findings import asked, published, record
from scanplan.web.findings.index import Gone, Index, Row
from scanplan.web.findings.indexes import Indexes, Key
from scanplan.web.findings.published import Published
from scanplan.web.ui.live import ALL, Feeds

PROPOSED_DAYS = 90
"""Until the end of the exception that is offered."""
REMEMBERED_SECONDS = 60.0
_MOST_REMEMBERED = 1_000
_PROJECT = re.compile(openapi.PROJECT)
_NAMESPACE = re.compile(openapi.NAMESPACE)
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


class Source(NamedTuple):
    """A run whose history belongs to a project."""

    result: Published
    problem: str = ""
    """Why its history can't be read; empty where it was."""


class Project(NamedTuple):
    """What is known of a project's findings."""

    findings: Index
    read: Sequence[Published]
    """The results whose histories are in the index; a row's run is a place in here."""
    sources: Sequence[Source]
    left_out: int
    """Runs that are too many."""


class Problems:
    """Remembers for a while which histories can't be read, so that not every request tries again."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[float, str]] = OrderedDict()

    def of(self, result: Published) -> str:
        """Why its history can't be read; empty where nothing is known against it."""
        if result.history is None:
            return (
                "its artifacts are in another cluster" if not result.result.artifacts else "its result has no history"
            )
        until, problem = self._known.get((result.namespace, result.history.sha256), (0.0, ""))
        return problem if until > time.monotonic() else ""

    def put(self, result: Published, problem: str) -> None:
        """Remember it."""
        if result.history:
            self._known[result.namespace, result.history.sha256] = (time.monotonic() + REMEMBERED_SECONDS, problem)
            while len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)


class FindingsView:
    """The handlers; for one event loop."""

    def __init__(
        self,
        access: Access,
        calls: Calls,
        places: Places,
        feeds: Feeds | None,
        namespace: str,
        suppressed: Callable[[str], Suppressor],
    ) -> None:
        """What they need.

        Args:
            feeds: None where the queue has no plans.
            namespace: that of a request which names none.
            suppressed: says which findings of a namespace fall under an exception now; blocking.
        """
        self._access = access
        self._calls = calls
        self._places = places
        self._feeds = feeds
        self._namespace = namespace
        self._suppressed = suppressed
        self._indexes = Indexes()
        self._problems = Problems()

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
        results = await self._results(scope)
        if scope == ALL:
            seen = await visible(self._access, caller, sorted({each.namespace for each in results}))
            results = [each for each in results if each.namespace in seen]
        return _answer(request, {"items": published.projects(results)})

    async def findings(self, request: web.Request) -> web.Response:
        """A page of a project's findings."""
        query = asked.read(request.query)
        caller, namespace, name = await self._admitted(request)
        project = await self._project(caller, namespace, name)
        try:
            page = await self._calls.run(project.findings.page, query)
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
        project = await self._project(caller, namespace, name)
        points = [
            {"time": point.time, "open": {severity.value: number for severity, number in point.open.items()}}
            for point in project.findings.points
        ]
        return _answer(request, {**_told(namespace, name, project), "points": points})

    async def finding(self, request: web.Request) -> web.Response:
        """One finding: its history in each run, its newest record, and an exception for it to copy."""
        identity = request.match_info["identity"]
        if not re.fullmatch(asked.IDENTITY, identity):
            raise web.HTTPBadRequest(text="a finding is named by its identity")
        caller, namespace, name = await self._admitted(request)
        project = await self._project(caller, namespace, name)
        row = await self._calls.run(project.findings.one, identity)
        if row is None:
            raise web.HTTPNotFound(text=f"project {name!r} has no such finding")
        now = datetime.now(UTC)
        runs = await self._runs(caller, project, identity)
        found, problem = None, ""
        try:
            found = await self._record(caller, project.read[row.run], row.entry)
        except (web.HTTPException, ClientError) as error:
            problem = _words(error)
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

    async def _results(self, scope: str) -> Collection[Published]:
        if self._feeds is None:
            raise web.HTTPNotFound(text="only the kubernetes queue has plans, and so projects")
        try:
            return await self._feeds.results(scope)
        except QueueUnavailable as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from None

    async def _project(self, caller: Caller, namespace: str, name: str) -> Project:
        runs, left_out = published.chosen(await self._results(namespace), name)
        if not runs:
            raise web.HTTPNotFound(text=f"namespace {namespace!r} has no results of a project {name!r}")
        sources: Sequence[Source] = [Source(run, self._problems.of(run)) for run in runs]
        index = self._indexes.get(_key(namespace, name, sources))
        if index is None:
            index, sources = await self._built(caller, namespace, name, sources)
        suppressed = await self._calls.run(self._suppressed, namespace)
        await self._calls.run(index.suppress, suppressed.mark, suppressed.of_entry)
        return Project(index, _readable(sources), sources, left_out)

    async def _built(
        self, caller: Caller, namespace: str, name: str, sources: Sequence[Source]
    ) -> tuple[Index, Sequence[Source]]:
        """An index of what can be read."""
        told: list[Source] = []
        with contextlib.ExitStack() as opened:
            files: list[BufferedReader] = []
            for source in sources:
                problem = source.problem
                if not problem:
                    try:
                        files.append(opened.enter_context(await self._opened(caller, source.result, layout.HISTORY)))
                    except web.HTTPTooManyRequests:
                        raise
                    except (web.HTTPException, ClientError) as error:
                        problem = _words(error)
                        self._problems.put(source.result, problem)
                told.append(source._replace(problem=problem))
            key = _key(namespace, name, told)
            if not key.digests:
                raise web.HTTPNotFound(text=told[0].problem, reason="No history can be read")
            try:
                index = await self._places.turns.run(
                    namespace, caller.name, lambda: self._indexes.built(key, lambda: _entries(files, key.digests))
                )
            except TooMany:
                raise web.HTTPTooManyRequests(text="other findings are being read for you: wait for them") from None
            except TooLarge as error:
                raise TooLarge(f"{error}: `scanplan findings {_readable(told)[0].run}` lists them") from None
        return index, told

    async def _opened(self, caller: Caller, result: Published, name: str) -> BufferedReader:
        try:
            root, folder = await self._places.of(caller, result.namespace, result.result, [name])
            descriptor = await self._calls.run(open_below, root, PurePosixPath(folder) / name)
        except FileNotFoundError:
            raise web.HTTPNotFound(text=f"{name} of {result.plan} was published, and is not on the volume") from None
        return os.fdopen(descriptor, "rb")

    async def _runs(self, caller: Caller, project: Project, identity: str) -> list[dict[str, Any]]:
        """What each run knows of a finding, newest first."""
        told = []
        for result in project.read:
            with contextlib.suppress(web.HTTPException, ClientError):
                with await self._opened(caller, result, layout.HISTORY) as file:
                    entry = await self._calls.run(_looked_up, file, identity)
                if entry is not None:
                    told.append(_item(Row(entry, 0, None), [result], datetime.now(UTC)))
        return told

    async def _record(self, caller: Caller, newest: Published, entry: Entry) -> tuple[Finding, bytes]:
        """The newest record of a finding.

        Raises:
            web.HTTPException, ClientError: it can't be read.
        """
        result = published.seen_by(await self._results(newest.namespace), newest, entry.last_seen)
        if result is None:
            raise web.HTTPNotFound(text="the plan of the scan that saw it last has been deleted")
        with await self._opened(caller, result, layout.FINDINGS) as file:
            found = await self._calls.run(record.find, file, entry)
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


def _entries(files: Sequence[BufferedReader], digests: Sequence[str]) -> Iterable[tuple[Entry, int]]:
    """The findings of these histories, which have to be those that were published."""
    for file, digest in zip(files, digests, strict=True):
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise InvalidPayload("a history is not what was published")
        file.seek(0)
    return combined.combined(history.entries(history.bounded(file)) for file in files)


def _looked_up(file: BufferedReader, identity: str) -> Entry | None:
    descriptor = file.fileno()
    return lookup.in_file(lambda offset, size: os.pread(descriptor, size, offset), os.fstat(descriptor).st_size)(
        identity
    )


def _readable(sources: Iterable[Source]) -> list[Published]:
    return [source.result for source in sources if not source.problem]


def _key(namespace: str, name: str, sources: Iterable[Source]) -> Key:
    return Key(namespace, name, tuple(each.history.sha256 for each in _readable(sources) if each.history))


def _words(error: web.HTTPException | ClientError) -> str:
    return (error.text or "") if isinstance(error, web.HTTPException) else str(error)


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
