"""The application: routes, and what each of them reads.

Clients of the first version rely on the paths and fields of status and health, so they stay as they are. A handler parses the
request, lets `Access` decide, and reads from the queue in a thread. One middleware turns every error into a problem document.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

from aiohttp import web
from prometheus_client.registry import Collector

from scanplan.api import layout, names
from scanplan.client import models
from scanplan.client.cluster.kubernetes_api import KubernetesApi
from scanplan.client.errors import QueueUnavailable, UnknownTask
from scanplan.client.models import ScanResult
from scanplan.client.queues.base import TaskQueue
from scanplan.client.queues.kubernetes import KubernetesTaskQueue
from scanplan.client.settings import ClientSettings, QueueType
from scanplan.client.submission import queue_for
from scanplan.core.exceptions.force import in_force
from scanplan.findings.exceptions import Suppressor
from scanplan.kube.objects import Object
from scanplan.serving.server import MAX_BODY_BYTES
from scanplan.web.api import openapi
from scanplan.web.api.access import Access, Caller, Everybody, KubernetesAccess, Wanted
from scanplan.web.api.blocking import Calls
from scanplan.web.api.cached import Cached
from scanplan.web.api.metrics import Metrics, QueueCollector
from scanplan.web.api.origin import Hosts
from scanplan.web.api.problems import as_problems, problem
from scanplan.web.api.sessions import Sessions
from scanplan.web.api.throttle import Throttle
from scanplan.web.artifacts import files, history, reports
from scanplan.web.artifacts.places import Places, elsewhere
from scanplan.web.artifacts.remote import Copies
from scanplan.web.findings.projects import Projects
from scanplan.web.findings.view import FindingsView
from scanplan.web.running.follows import Claims, Follows
from scanplan.web.running.view import RunningView
from scanplan.web.settings import ApiSettings, Authentication
from scanplan.web.ui.browser import Browser
from scanplan.web.ui.feeds import Feeds

log = logging.getLogger("scanplan.api")

_NAMESPACE = re.compile(names.NAMESPACE)
_FILE = re.compile(openapi.FILE)
_MAX_QUEUES = 256
_READY_SECONDS = 2.0
_SCRAPED_SECONDS = 1.0
_COPIES_BYTES = 1 << 30


class Api:
    """The handlers, over one kind of queue."""

    def __init__(
        self,
        settings: ClientSettings,
        access: Access,
        calls: Calls,
        namespace: str,
        queue: TaskQueue,
        collectors: Sequence[Collector],
        places: Places,
    ) -> None:
        """`namespace` is where `queue` has its tasks."""
        self._settings = settings
        self._access = access
        self._calls = calls
        self._namespace = namespace
        self._places = places
        self._queues = {namespace: queue}
        self._lock = threading.Lock()
        self.metrics = Metrics(collectors)
        self._checked = Cached(lambda: calls.run(queue.check), _READY_SECONDS)
        self._scraped = Cached(lambda: calls.run(self.metrics.text), _SCRAPED_SECONDS)
        self._document = json.dumps(openapi.document(is_open=access.is_open), indent=2)

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [
            web.get("/api/v1/tasks/{task_id}/status", self.status),
            web.get("/api/v1/tasks/{task_id}/artifacts", self.artifacts),
            web.get("/api/v1/tasks/{task_id}/artifacts/{name}", self.artifact),
            web.get("/api/v1/tasks/{task_id}/reports/{name}", self.report),
            web.get("/api/v1/tasks/{task_id}/history", self.history),
            web.get("/api/v1/queue/health", self.health),
            web.get("/api/v1/openapi.json", self.openapi),
            web.get("/metrics", self.scrape),
            web.get("/healthz", self.alive),
            web.get("/readyz", self.ready),
        ]

    async def status(self, request: web.Request) -> web.Response:
        """The state of a task, and its result once it has ended."""
        task_id = request.match_info["task_id"]
        _, namespace = await self._admitted(request, task_id)
        return web.json_response(await self._calls.run(self._status, namespace, task_id))

    async def artifacts(self, request: web.Request) -> web.Response:
        """The published files of a task."""
        task_id = request.match_info["task_id"]
        _, namespace = await self._admitted(request, task_id, artifacts=True)
        result = await self._calls.run(self._result, namespace, task_id)
        listed = [dataclasses.asdict(file) for file in result.artifacts]
        return web.json_response(
            {"task_id": task_id, "path": result.artifact_path, "complete": result.complete, "files": listed}
        )

    async def artifact(self, request: web.Request) -> web.StreamResponse:
        """One published file."""
        task_id, name = request.match_info["task_id"], request.match_info["name"]
        caller, namespace = await self._admitted(request, task_id, artifacts=True)
        result = await self._calls.run(self._result, namespace, task_id)
        file = next((file for file in result.artifacts if file.name == name), None)
        if file is None or result.artifact_path is None or not _FILE.fullmatch(name):
            return problem(404, "No such artifact", f"task {task_id!r} has published no file {name!r}")
        try:
            root, folder = await self._places.of(caller, namespace, result, [name])
            return await files.send(request, root, folder, file, self._calls)
        except FileNotFoundError:
            raise elsewhere(f"{name!r} was published, and is not on the volume mounted here") from None

    async def report(self, request: web.Request) -> web.StreamResponse:
        """The findings of a task in a form for people or other programs."""
        task_id, name = request.match_info["task_id"], request.match_info["name"]
        caller, namespace = await self._admitted(request, task_id, artifacts=True)
        if name not in reports.FORMATS:
            raise web.HTTPNotFound(text=f"there is no report {name!r}; there are {', '.join(sorted(reports.FORMATS))}")
        result = await self._calls.run(self._result, namespace, task_id)
        if result.artifact_path is None:
            raise web.HTTPNotFound(text=f"task {task_id!r} has published no findings")
        left = next((file for file in result.artifacts if file.name == layout.REPORT and name == "html"), None)
        suppressed = await self._calls.run(self.suppressed, namespace)
        try:
            if left:
                root, folder = await self._places.of(caller, namespace, result, [left.name, layout.METADATA])
                record = await reports.metadata(root, replace(result, artifact_path=folder), self._calls)
                if reports.made_before(record, suppressed):
                    return await files.send(request, root, folder, left, self._calls, f"{result.run_id}.html")
            needed = [layout.METADATA, layout.FINDINGS]
            needed += [layout.HISTORY] if _has_history(result) else []
            root, folder = await self._places.of(caller, namespace, result, needed)
            found = replace(result, artifact_path=folder)
            return await reports.send(request, root, found, name, self._calls, suppressed)
        except FileNotFoundError:
            raise elsewhere("its findings were published, and are not on the volume mounted here") from None

    async def history(self, request: web.Request) -> web.Response:
        """The findings of a task's run over time."""
        task_id = request.match_info["task_id"]
        caller, namespace = await self._admitted(request, task_id, artifacts=True)
        which, severities, limit = history.asked(request)
        result = await self._calls.run(self._result, namespace, task_id)
        if not _has_history(result):
            raise web.HTTPNotFound(text=f"task {task_id!r} has published no history")
        try:
            root, folder = await self._places.of(caller, namespace, result, [layout.HISTORY])
            suppressed = (await self._calls.run(self.suppressed, namespace)).of_entry
            path = PurePosixPath(folder)
            found = await self._calls.run(history.answer, root, path, which, severities, limit, suppressed)
        except FileNotFoundError:
            raise elsewhere("its history was published, and is not on the volume mounted here") from None
        return web.json_response({"task_id": task_id, "complete": result.complete, **found})

    async def health(self, request: web.Request) -> web.Response:
        """The health of the queue."""
        _, namespace = await self._admitted(request)
        health = await self._calls.run(lambda: self._queue(namespace).health())
        return web.json_response(models.dump(health))

    async def openapi(self, _request: web.Request) -> web.Response:
        """This API's description."""
        return web.Response(text=self._document, content_type="application/json")

    async def scrape(self, _request: web.Request) -> web.Response:
        """Metrics for Prometheus; they hold numbers only, and need no token."""
        text = await self._scraped.get()
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def alive(self, _request: web.Request) -> web.Response:
        """The process answers."""
        return web.json_response({"status": "ok"})

    async def ready(self, _request: web.Request) -> web.Response:
        """The queue answered within the last two seconds."""
        await self._checked.get()
        return web.json_response({"status": "ok"})

    # reading; on threads

    def _status(self, namespace: str, task_id: str) -> dict[str, object]:
        queue = self._queue(namespace)
        status = queue.get_task_status(task_id)
        result = queue.get_task_result(task_id) if status.is_terminal else None
        return {"task_id": task_id, "status": status.value, "result": result}

    def _result(self, namespace: str, task_id: str) -> ScanResult:
        fields = self._queue(namespace).get_task_result(task_id)
        if fields is None:
            raise UnknownTask(task_id)
        return models.load(ScanResult, fields, f"the result of {task_id}")

    def suppressed(self, namespace: str) -> Suppressor:
        """Finds the exception that a finding falls under now. It finds none without a cluster, or if exceptions can't be read."""
        queue, now = self._queue(namespace), datetime.now(UTC)
        bodies: list[Object] = []
        if isinstance(queue, KubernetesTaskQueue):
            try:
                bodies = queue.exceptions()
            except QueueUnavailable as error:
                log.warning("no exception of namespace %s is taken into account: %s", namespace, error)
        return Suppressor(in_force(bodies, now), now)

    def _queue(self, namespace: str) -> TaskQueue:
        with self._lock:
            if namespace not in self._queues:
                if len(self._queues) >= _MAX_QUEUES:
                    for other in [name for name in self._queues if name != self._namespace]:
                        self._queues.pop(other).close()
                settings = self._settings.model_copy(update={"namespace": namespace})
                self._queues[namespace] = KubernetesTaskQueue(settings, feed=False)
            return self._queues[namespace]

    # deciding

    async def _admitted(
        self, request: web.Request, task_id: str = "", *, artifacts: bool = False
    ) -> tuple[Caller, str]:
        """Check that the caller may read in the namespace that the request names; returns both."""
        caller = await self._access.identify(request)
        namespace = request.query.get("namespace", self._namespace)
        if not _NAMESPACE.fullmatch(namespace):
            raise web.HTTPBadRequest(text=f"namespace {namespace!r} is not the name of a namespace")
        await self._access.check(caller, Wanted(namespace, task_id, artifacts))
        if namespace != self._namespace and self._settings.queue_type is not QueueType.KUBERNETES:
            raise web.HTTPNotFound(text="only the kubernetes queue has tasks in several namespaces")
        return caller, namespace

    def close(self) -> None:
        for queue in self._queues.values():
            queue.close()
        self._places.close()


def build(settings: ClientSettings, api_settings: ApiSettings) -> web.Application:
    """The application, with its queue.

    Raises:
        ClientError: the queue can't be made, or there is no cluster to decide about access.
    """
    calls = Calls()
    cluster = KubernetesApi(settings.namespace)
    access: Access = Everybody()
    sessions, throttle = Sessions(), Throttle()
    in_cluster = settings.queue_type is QueueType.KUBERNETES
    if api_settings.authentication is Authentication.KUBERNETES:
        access, in_cluster = KubernetesAccess(cluster, api_settings.audience, calls, sessions, throttle), True
    namespace = cluster.namespace if in_cluster else "default"
    of_plans = settings.queue_type is QueueType.KUBERNETES
    queue = KubernetesTaskQueue(settings, feed=False) if of_plans else queue_for(settings)
    # The operator has metrics of plans. This process would have to list all plans at each scrape.
    shown = [] if of_plans else [QueueCollector(queue)]
    bounds = api_settings.bounds() if of_plans and api_settings.reader_pods else None
    copies = Copies(_COPIES_BYTES, bounds) if bounds else None
    places = Places(settings.data_directory, namespace, calls, copies)
    api = Api(settings, access, calls, namespace, queue, shown, places)
    hosts = Hosts(api_settings.hosts)
    middlewares = [api.metrics.counted, as_problems, hosts.checked]
    application = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
    application.add_routes(api.routes())
    feeds = Feeds(api_settings.namespaces) if of_plans else None
    projects = Projects(calls, places, feeds, api.suppressed)
    application.add_routes(FindingsView(access, projects, namespace).routes())
    claims = Claims(settings.data_directory, namespace, bounds)
    follows = Follows(claims.frames, api.suppressed) if of_plans else None
    application.add_routes(RunningView(access, calls, claims, follows, namespace).routes())
    page = Browser(access, sessions, throttle, api_settings.audience, namespace, feeds)
    application.add_routes(page.routes())

    async def end_streams(_application: web.Application) -> None:
        if feeds:
            feeds.end()
        if follows:
            follows.end()

    async def clean_up(_application: web.Application) -> None:
        if feeds:
            await feeds.close()
        if follows:
            await asyncio.to_thread(follows.close)
        projects.close()
        api.close()
        cluster.close()
        calls.close()

    application.on_shutdown.append(end_streams)
    application.on_cleanup.append(clean_up)
    return application


def _has_history(result: ScanResult) -> bool:
    return any(file.name == layout.HISTORY for file in result.artifacts) and result.artifact_path is not None
