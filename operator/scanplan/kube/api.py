"""The API calls that the operator makes, on plain dicts, over the `kubernetes` package's asyncio client.

Connection, TLS, credentials and their renewal are the package's. Its typed models are not used: to decode thousands of Jobs into
them would take most of the operator's memory and CPU.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
from kubernetes.aio.client import ApiClient, ApiException

from scanplan.api import labels, wire
from scanplan.core.discovery.gateways import Gateway
from scanplan.core.discovery.selection import Selection
from scanplan.core.planning import sources
from scanplan.kube import clock, requests, resources
from scanplan.kube.clock import ServerClock
from scanplan.kube.failures import ResponseTooLarge
from scanplan.kube.objects import Object, decode
from scanplan.kube.paging import RESPONSE_BYTES, Listing, Query
from scanplan.kube.requests import JSON, PatchType
from scanplan.kube.resources import (
    CLAIMS,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    EVENTS,
    JOBS,
    PLANS,
    PODS,
    SECRETS,
    Resource,
)
from scanplan.kube.watching import Watch

OnRequest = Callable[[str, str, int | None], None]
"""Called after each request with its method, its path and the HTTP status; None where no answer came."""

_INPUTS = {sources.Kind.CONFIG_MAP: CONFIG_MAPS, sources.Kind.SECRET: SECRETS, sources.Kind.CLAIM: CLAIMS}
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_LIVING = "status.phase!=Succeeded,status.phase!=Failed"
"""Field selector of pods that have not ended."""


class _Name(msgspec.Struct):
    name: str
    namespace: str


class _Identity(msgspec.Struct):
    """Kind, name and namespace of the object in an answer."""

    kind: str
    metadata: _Name


class Connection(NamedTuple):
    """A server, and who asks it."""

    server: str
    ca_path: str | None
    insecure: bool
    proxy_url: str | None
    token: str | None
    certificate_path: str | None
    private_key_path: str | None


class Api:
    """The API server, as the operator uses it.

    Errors are `ApiException` (with its `status`) and aiohttp's; `InvalidName` before a request, `WrongObject` after it.
    """

    def __init__(
        self, client: ApiClient, on_request: OnRequest | None = None, server_clock: ServerClock | None = None
    ) -> None:
        """`server_clock`: hears the time of each answer; None: a new one."""
        self._client = client
        self._on_request = on_request
        self.clock = server_clock or ServerClock()

    async def connection(self) -> Connection:
        """The server and the credentials as they are now: tokens are renewed."""
        configuration = self._client.configuration
        credentials = await configuration.get_api_key_with_prefix("BearerToken") or ""
        return Connection(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            proxy_url=configuration.proxy,
            token=credentials.split(" ")[-1] or None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object."""
        return resource.checked(await self._call("GET", resource.path(namespace, name)), namespace, name)

    async def patch_status(self, resource: Resource, namespace: str, name: str, patch: Object) -> Object:
        """The object as it is then. By a merge patch of its status alone."""
        answer = await self._call("PATCH", resource.path(namespace, name, "status"), patch, patch_type="merge")
        return resource.checked(answer, namespace, name)

    async def create_job(self, namespace: str, manifest: Object) -> Object:
        answer = await self._call("POST", JOBS.path(namespace), manifest)
        return JOBS.checked(answer, namespace, manifest["metadata"]["name"])

    async def get_job(self, namespace: str, name: str) -> Object:
        return await self.get(JOBS, namespace, name)

    async def patch_job(self, namespace: str, name: str, patch: Object) -> Object:
        answer = await self._call("PATCH", JOBS.path(namespace, name), patch, patch_type="strategic-merge")
        return JOBS.checked(answer, namespace, name)

    async def delete_job(self, namespace: str, name: str, uid: str, version: int | None = None) -> None:
        """Delete a Job and its pods.

        The API's default for Jobs would leave the pods. With the UID, a later Job of the same name is not deleted.

        Args:
            namespace: the Job's namespace.
            name: the Job's name.
            uid: the Job's UID.
            version: the Job's resourceVersion, where it must not have changed.
        """
        unchanged = {"resourceVersion": str(version)} if version is not None else {}
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": uid, **unchanged},
        }
        await self._content("DELETE", JOBS.path(namespace, name), options)

    def each_job(self, namespace: str | None) -> AsyncIterator[Object]:
        """All Jobs that carry a task, page by page; `namespace` None: of the whole cluster."""
        return self._listing(JOBS.path(namespace), labels.TASK).objects()

    def each_plan(self, namespace: str | None) -> AsyncIterator[Object]:
        """All plans, page by page; `namespace` None: of the whole cluster."""
        return self.plans(namespace).objects()

    def plans(self, namespace: str | None) -> Listing:
        """As `each_plan`, for a caller that also reads the size of the largest plan."""
        return self._listing(PLANS.path(namespace))

    def each_living_pod(self, namespace: str | None) -> AsyncIterator[Object]:
        """All pods of tasks that have not ended, page by page; `namespace` None: of the whole cluster."""
        return self._listing(PODS.path(namespace), labels.TASK, _LIVING).objects()

    def watch(
        self, resource: Resource, namespace: str | None, selector: str = "", within: Callable[[str], bool] | None = None
    ) -> Watch:
        """The objects of a kind, and their changes.

        Args:
            resource: the kind.
            namespace: None: the whole cluster.
            selector: a label selector; empty: all objects.
            within: whether objects of a namespace are reported; None: all are.
        """
        return Watch(self, resource.path(namespace), selector, within)

    def each_pod(self, namespace: str, task: str, cached: bool = False) -> AsyncIterator[Object]:
        """The pods of one task, its collector's included, page by page.

        Args:
            cached: read from the API server's cache, which may be older than what a watch has shown. A consistent list waits
                for etcd, up to 100 ms (KEP-2340).
        """
        selector = resources.label_equals(labels.TASK, task)
        return self._listing(PODS.path(namespace), selector, version="0" if cached else "").objects()

    async def create_part(self, namespace: str, manifest: Object) -> Object:
        """Create a ConfigMap or Secret that has a part of a task document, and return all of it as the API server has it."""
        resource = {each.kind: each for each in (CONFIG_MAPS, SECRETS)}[manifest["kind"]]
        answer: Object = msgspec.json.decode(await self._content("POST", resource.path(namespace), manifest))
        return answer

    async def set_admission(self, namespace: str, job_uid: str, active: bool) -> bool:
        """Set `spec.active` of the Kueue Workload that stands for a Job; False where there is none."""
        found = await self._workloads(namespace, job_uid)
        for path, workload in found:
            if (workload.get("spec") or {}).get("active", True) != active:
                await self._call("PATCH", path, {"spec": {"active": active}}, patch_type="merge")
        return bool(found)

    async def workload_of(self, namespace: str, job_uid: str) -> Object | None:
        """The Kueue Workload that stands for a Job; None where there is none, or no Kueue."""
        found = await self._workloads(namespace, job_uid)
        return found[-1][1] if found else None

    async def _workloads(self, namespace: str, job_uid: str) -> list[tuple[str, Object]]:
        """Path and content of a Job's Workloads."""
        try:
            group = msgspec.json.decode(await self._content("GET", resources.group(resources.KUEUE)))
        except ApiException as error:
            if error.status != 404:
                raise
            return []
        workloads = resources.workloads(group["preferredVersion"]["groupVersion"])
        selector = resources.label_equals(labels.KUEUE_JOB_UID, job_uid)
        found = await self._list(workloads.path(namespace), selector)
        return [(workloads.path(namespace, each["metadata"]["name"]), each) for each in found]

    async def create_event(self, namespace: str, manifest: Object) -> None:
        await self._call("POST", EVENTS.path(namespace), manifest)

    async def get_input(self, namespace: str, reference: sources.Reference, content: bool) -> bytes:
        """A ConfigMap, Secret or claim, as JSON; `content` False: no more than its metadata."""
        resource = _INPUTS[reference.kind]
        path = resource.path(namespace, reference.name)
        body = await self._content("GET", path, accept=JSON if content else METADATA_ONLY)
        expected = resource if content else resource._replace(kind="PartialObjectMetadata")
        expected.checked(msgspec.to_builtins(wire.decode(body, _Identity)), namespace, reference.name)
        return body

    def each_discovered(self, selection: Selection) -> AsyncIterator[Object]:
        """All objects that a plan selects, page by page."""
        return self._listing(
            resources.DISCOVERED[selection.kind].path(selection.namespace), selection.selector
        ).objects()

    async def get_gateway(self, gateway: Gateway) -> Object:
        """Get the gateway to which routes refer."""
        return await self.get(resources.GATEWAYS_OF[gateway.kind], gateway.namespace, gateway.name)

    async def get_api_server_endpoints(self) -> Object:
        """Get the EndpointSlice in which the API servers publish their own addresses."""
        body = await self._content("GET", ENDPOINT_SLICES.path("default", "kubernetes"))
        found: Object = msgspec.json.decode(body)
        return ENDPOINT_SLICES.checked(found, "default", "kubernetes")

    async def version(self) -> Object:
        """Get the API server's version."""
        answer: Object = msgspec.json.decode(await self._content("GET", "/version"))
        return answer

    async def serves(self, group: str) -> bool:
        """Whether the API server has an API group."""
        try:
            await self._content("GET", resources.group(group))
        except ApiException as error:
            if error.status != 404:
                raise
            return False
        return True

    async def create_plan(self, namespace: str, manifest: Object) -> Object:
        answer = await self._call("POST", PLANS.path(namespace), manifest)
        return PLANS.checked(answer, namespace, manifest["metadata"]["name"])

    async def patch_plan(self, namespace: str, name: str, patch: Object) -> None:
        await self._call("PATCH", PLANS.path(namespace, name), patch, patch_type="merge")

    async def delete_plan(self, namespace: str, name: str, uid: str) -> None:
        """Delete a plan, and with it the Jobs that only it owns. With the UID, no later plan of the same name is deleted."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        await self._content("DELETE", PLANS.path(namespace, name), options)

    async def _list(self, path: str, selector: str) -> list[Object]:
        return [item async for item in self._listing(path, selector).objects()]

    def _listing(self, path: str, selector: str = "", fields: str = "", version: str = "") -> Listing:
        query = [("labelSelector", selector), ("fieldSelector", fields), ("resourceVersion", version)]
        return Listing(lambda page, most: self.fetch(path, page, most), [pair for pair in query if pair[1]])

    async def fetch(self, path: str, query: Query, most: int) -> bytes:
        """The body of the answer to a GET.

        Raises:
            ResponseTooLarge: it has more than `most` bytes.
        """
        return await self._content("GET", path, query=query, most=most)

    @asynccontextmanager
    async def lines(self, path: str, query: Query, seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of the answer to a GET as they arrive.

        Raises:
            TimeoutError: the answer takes longer than `seconds`.
        """
        status = None
        try:
            response = await requests.send(self._client, "GET", path, query=query, seconds=seconds)
            status = response.status
            await requests.check(response)
        finally:
            self._tell("GET", path, status)
        try:
            yield requests.lines(response)
        finally:
            requests.drop(response)

    async def _call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        patch_type: PatchType | None = None,
    ) -> Object:
        """The object in the answer to a request."""
        return decode(await self._content(method, path, body, patch_type=patch_type))

    async def _content(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Query = (),
        patch_type: PatchType | None = None,
        accept: str = JSON,
        most: int = RESPONSE_BYTES,
    ) -> bytes:
        asked, status = clock.local(), None
        try:
            response = await requests.send(self._client, method, path, body, query, patch_type, accept=accept)
            self.clock.heard(response.headers.get("Date"), asked)
            await requests.check(response)
            content = await requests.read(response, most)
            status = response.status
            return content
        except ApiException as error:
            status = error.status
            raise
        except ResponseTooLarge:
            status = response.status
            raise
        finally:
            self._tell(method, path, status)

    def _tell(self, method: str, path: str, status: int | None) -> None:
        if self._on_request:
            self._on_request(method, path, status)
