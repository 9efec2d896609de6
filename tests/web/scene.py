"""The findings view over made-up results, without a cluster: the real handlers and files, for a real browser to look at."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from scanplan.api import layout
from scanplan.api.times import format_time
from scanplan.client.errors import QueueUnavailable
from scanplan.client.models import ArtifactRef, ScanResult
from scanplan.findings import history
from scanplan.findings.exceptions import Match, ScanException, Suppressor
from scanplan.findings.history import Tally
from scanplan.serving.connections import Limits
from scanplan.serving.server import serving
from scanplan.web.api.access import Caller, Everybody, Wanted
from scanplan.web.api.blocking import Calls
from scanplan.web.api.problems import as_problems
from scanplan.web.api.sessions import Sessions
from scanplan.web.api.throttle import Throttle
from scanplan.web.artifacts.places import Places
from scanplan.web.findings.projects import Projects
from scanplan.web.findings.published import Published
from scanplan.web.findings.view import FindingsView
from scanplan.web.ui.browser import Browser
from scanplan.web.ui.feeds import ALL, Feeds
from tests.unit.report import events

Scans = Iterable[tuple[datetime, Sequence[Mapping[str, Any]]]]
"""When each scan began, and what it saw."""

NAMESPACE = "team-shop"
FORBIDDEN = "team-bank"
"""A namespace whose findings may not be read."""
UNLISTED = "team-away"
"""A namespace whose plans can't be listed."""
KINDS: Sequence[tuple[str, str, str, str]] = (
    ("exposed-git-config", "Exposed Git configuration", "medium", "/.git/config"),
    ("CVE-2021-44228", "Apache Log4j remote code execution", "critical", "/api/login"),
    ("default-credentials", "Default credentials of the admin console", "critical", "/admin"),
    ("sql-injection", "SQL injection in a search form", "high", "/search"),
    ("open-redirect", "Open redirect", "medium", "/out"),
    ("directory-listing", "Directory listing", "low", "/files/"),
    ("outdated-nginx", "Outdated version of nginx", "low", "/"),
    ("missing-headers", "Missing security headers", "info", "/"),
    ("backup-file", "Backup of a database within reach", "high", "/backup.sql"),
)
SCANS = 14


class Scene:
    """Projects of one namespace, served on loopback for as long as the context lasts."""

    def __init__(self, folder: Path, exceptions: Sequence[ScanException] = ()) -> None:
        self._folder = folder
        self._stack = contextlib.AsyncExitStack()
        self.results: list[Published] = []
        self.exceptions = list(exceptions)
        self.url = ""

    def add(self, project: str, run: str, scans: Scans) -> None:
        """Results of a run, whose scans all looked everywhere."""
        lines: list[bytes] = []
        for number, (began, seen) in enumerate(scans):
            tally, found = Tally(), events.lines(seen)
            sightings = [each for line in found if (each := history.sighting(line)) is not None]
            moment = began.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            records = sorted(map(history.record, sightings))
            lines = list(history.continued(lines, records, moment, lambda _: True, tally))
            contents = {layout.FINDINGS: b"".join(found), layout.HISTORY: b"".join(lines)}
            self._publish(project, run, number, began, contents, tally)

    def add_history(self, project: str, content: bytes) -> None:
        """A result that is nothing but a history."""
        self._publish(project, project, 0, datetime.now(UTC), {layout.HISTORY: content}, Tally())

    async def __aenter__(self) -> Scene:
        calls, access, feeds = Calls(), _Access(), cast("Feeds", _Feeds(self))
        places = Places(self._folder, NAMESPACE, calls, None)
        self._stack.callback(calls.close)
        self._stack.callback(places.close)
        application = web.Application(middlewares=[as_problems])
        projects = Projects(calls, places, feeds, self._suppressed)
        self._stack.callback(projects.close)
        view = FindingsView(access, projects, NAMESPACE)
        page = Browser(access, Sessions(), Throttle(), "scanplan-api", NAMESPACE, None)
        application.add_routes([*view.routes(), *page.routes()])
        limits = Limits(connections=100, per_address=100)
        port = await self._stack.enter_async_context(serving(application, "127.0.0.1", 0, limits))
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _suppressed(self, _namespace: str) -> Suppressor:
        return Suppressor(self.exceptions, datetime.now(UTC))

    def _publish(
        self, project: str, run: str, number: int, began: datetime, contents: Mapping[str, bytes], tally: Tally
    ) -> None:
        path = f"ui_projects/{run}/tasks/{number}"
        (self._folder / path).mkdir(parents=True)
        files = {name: self._write(path, name, content) for name, content in contents.items()}
        result = ScanResult(
            run_id=run,
            success=True,
            endpoint_count=1,
            finding_count=0,
            duration_ms=1,
            task_id=f"{run}-{number + 1}",
            artifact_path=path,
            artifacts=list(files.values()),
            complete=True,
        )
        published = Published(
            namespace=NAMESPACE,
            project=project,
            run=run,
            result=result,
            completed=format_time(began + timedelta(minutes=20)),
            open={severity.value: count for severity, count in tally.open.items()},
            total=sum(tally.open.values()),
            new=sum(tally.new.values()),
            reopened=sum(tally.reopened.values()),
            suppressed=0,
            history=files[layout.HISTORY],
        )
        self.results.append(published)

    def _write(self, path: str, name: str, content: bytes) -> ArtifactRef:
        (self._folder / path / name).write_bytes(content)
        return ArtifactRef(name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


class _Access(Everybody):
    async def check(self, caller: Caller, wanted: Wanted) -> None:  # noqa: ARG002 - everybody is the same here
        if wanted.namespace in {FORBIDDEN, ""}:
            raise web.HTTPForbidden(text=f"'reader' may not {wanted.verb} scanplans in {wanted.namespace or 'all'}")


class _Feeds:
    """In the place of the watches on plans."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def results(self, scope: str) -> Collection[Published]:
        if scope == UNLISTED:
            raise QueueUnavailable(f"this API may not watch plans in namespace {UNLISTED}")
        return [each for each in self._scene.results if scope in {ALL, each.namespace}]


@contextlib.asynccontextmanager
async def shop(folder: Path) -> AsyncIterator[Scene]:
    """A shop with scans of two weeks, some findings of which are fixed, and one decision."""
    decided = ScanException(
        name="headers-of-the-shop",
        match=Match(templates=("missing-headers",)),
        expires_at=datetime.now(UTC) + timedelta(days=120),
        reason="The proxy in front adds them",
        status="Mitigated",
    )
    scene = Scene(folder, [decided])
    today = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0)
    hosts = [f"{name}.shop.example.com" for name in ("www", "api", "admin", "static", "pay")]
    pairs = [(kind, host) for kind in KINDS for host in hosts]

    def seen(scan: int) -> list[Mapping[str, Any]]:
        return [
            finding(*kind, host)
            for number, (kind, host) in enumerate(pairs)
            if number % 3 != 1 and (number * 5) % 20 <= scan + 8 and not (number % 2 and scan >= 4 + (number * 7) % 13)
        ]

    scene.add("shop", "nightly", [(today - timedelta(days=SCANS - day), seen(day)) for day in range(SCANS)])
    scene.add("shop", "weekly", [(today - timedelta(days=3), [finding(*KINDS[3], hosts[0])])])
    blog = [finding(*kind, "blog.example.com") for kind in KINDS[4:8]]
    scene.add("blog", "blog-nightly", [(today - timedelta(days=day), blog[: 5 - day]) for day in (3, 2, 1)])
    scene.add("intranet", "intranet-nightly", [(today, [])])
    async with scene:
        yield scene


def finding(template: str, name: str, severity: str, path: str, host: str) -> dict[str, Any]:
    """A record, as Nuclei writes it."""
    return events.event(
        **{
            "template-id": template,
            "info": {
                "name": name,
                "severity": severity,
                "description": f"{name}: found at {host}.",
                "remediation": "Update the component, or keep the path from the outside.",
                "reference": ["https://owasp.example/top-ten"],
            },
            "host": host,
            "url": f"https://{host}",
            "matched-at": f"https://{host}{path}",
            "request": f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0\r\n\r\n",
            "response": "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: nginx/1.18.0\r\n\r\n[core]\n\tbare = false\n",
        }
    )
