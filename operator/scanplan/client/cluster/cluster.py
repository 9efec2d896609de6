"""The API calls of the commands, with the user's own rights, on plain dicts.

Kubernetes alone decides what the user may do. A refusal repeats the API server's message, and says which right to ask for. In a pod
without a kubeconfig, the pod's service account is the user.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scanplan.api import labels
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.client.cluster.failure import Conflict, Failure, Forbidden, NotFound, UnknownKind
from scanplan.kube import resources
from scanplan.kube.objects import Object
from scanplan.kube.refusal import Refusal
from scanplan.kube.resources import (
    CORE_EVENTS,
    EXCEPTIONS,
    JOBS,
    NOTIFIERS,
    OWN_ACCESS_REVIEWS,
    PLANS,
    PODS,
    SCHEDULES,
    InvalidName,
    Resource,
    WrongObject,
)

try:
    from kubernetes import config
    from kubernetes.client import ApiClient, Configuration
    from kubernetes.stream import ws_client
    from websocket import ABNF, WebSocketException

    from scanplan.kube import blocking
    from scanplan.kube.blocking import APPLY_PATCH, MERGE_PATCH, NO_ANSWER, TIMEOUT_SECONDS
    from scanplan.kube.service_account import NAMESPACE_FILE, own_namespace
except ModuleNotFoundError as error:
    raise Failure("this command needs the `kubernetes` package", "pip install 'scanplan[kubernetes]'") from error

Query = Mapping[str, str]

FIELD_MANAGER = "scanplan-cli"
_FOLLOW_SECONDS = (5.0, 3_600.0)
_SILENT_SECONDS = 300.0
"""Seconds without output after which a command in a pod is given up. Slow storage may need long; a dead node never answers."""
_SAID_BYTES = 64 << 10
"""Bytes that are kept of a command's standard error, from its end, which has the reason."""
_NOTHING: Query = {}
_LISTS = {
    PLANS: "scanplan get",
    SCHEDULES: "scanplan schedule list",
    EXCEPTIONS: "scanplan exception list",
    NOTIFIERS: "scanplan notify list",
}
"""The command that lists a kind."""
_STDOUT, _STDERR, _STATUS = 1, 2, 3
"""Channels of an exec."""


def connect(namespace: str | None = None, context: str | None = None, kubeconfig: Path | None = None) -> Cluster:
    """Open the cluster that a kubeconfig names, without a request to it.

    Raises:
        Failure: there is no usable kubeconfig.
    """
    configuration = Configuration()
    path = str(kubeconfig) if kubeconfig else None
    try:
        own = blocking.load_kubeconfig(configuration, path, context)
    except config.ConfigException as error:
        if context or kubeconfig or not NAMESPACE_FILE.exists():
            hint = "kubectl config get-contexts" if context else "--kubeconfig FILE, or set KUBECONFIG"
            raise Failure(f"no cluster: {error}", hint) from None
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException as inside:
            raise Failure(f"no cluster, neither by a kubeconfig nor as a pod: {inside}", "--kubeconfig FILE") from None
        own = own_namespace()
    return Cluster(blocking.client(configuration, FIELD_MANAGER), namespace or own or "default")


class Cluster:
    """One cluster, and the namespace that commands mean. All calls raise `Failure`."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self._client = client

    @property
    def address(self) -> str:
        """The address of the API server."""
        return str(self._client.configuration.host)

    # our kinds

    def named(self, kind: Resource, name: str) -> Object:
        """One object of one of our kinds. Raises NotFound."""
        try:
            return self.object(kind, name)
        except NotFound:
            raise self._absent(kind, name) from None

    def listed(self, kind: Resource, *, everywhere: bool = False, selector: str = "") -> Iterator[Object]:
        """All objects of one of our kinds, in the namespace or in the cluster. Raises UnknownKind."""
        query = {"labelSelector": selector} if selector else {}
        try:
            yield from self.each(self.path(kind, namespace=None if everywhere else self.namespace), query)
        except NotFound:
            hint = f"scanplan crd {kind.plural} | kubectl apply --server-side -f -"
            raise UnknownKind(f"the cluster knows no {kind.kind}s", hint) from None

    def change(self, kind: Resource, name: str, spec: Object) -> Object:
        """Change fields of an object's spec. Raises NotFound."""
        try:
            return self._patch(kind, name, {"spec": spec}, {"fieldManager": FIELD_MANAGER}, MERGE_PATCH)
        except NotFound:
            raise self._absent(kind, name) from None

    def apply_plan(self, manifest: Object, *, dry_run: bool = False) -> Object:
        """Server-side apply. Raises Conflict where somebody else manages a field."""
        query = {"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})}
        return self._patch(PLANS, manifest["metadata"]["name"], manifest, query, APPLY_PATCH)

    # what plans lead to

    def jobs(self, plan: Object) -> list[Object]:
        """The plan's Jobs that are there, the collector's among them."""
        return self._of_task(JOBS, plan)

    def pods(self, plan: Object) -> list[Object]:
        """The pods of the plan's task that are there, oldest first."""
        found = self._of_task(PODS, plan)
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def events(self, namespace: str, names: Iterable[str]) -> list[Object]:
        """Events about these objects, oldest first."""
        path = self.path(CORE_EVENTS, namespace=namespace)
        found = [
            event
            for name in names
            for event in self.each(path, {"fieldSelector": resources.field_equals("involvedObject.name", name)})
        ]
        return sorted(found, key=_moment)

    def log(self, pod: Object, *, tail: int | None = None, follow: bool = False) -> Iterator[bytes]:
        """Lines of the scanner's log, without their newlines."""
        metadata = pod["metadata"]
        query = {"container": labels.CONTAINER, "follow": str(follow).lower()}
        if tail is not None:
            query["tailLines"] = str(tail)
        path = self.path(PODS, metadata["name"], "log", namespace=metadata["namespace"])
        yield from self.stream(path, query, _FOLLOW_SECONDS if follow else TIMEOUT_SECONDS)

    def stream(self, path: str, query: Query, timeout: tuple[float, float] = _FOLLOW_SECONDS) -> Iterator[bytes]:
        """Lines of an answer as they come, without their newlines."""
        response = self._send("GET", path, None, query, "application/json", timeout).response
        rest = b""
        try:
            while chunk := response.read1(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
        except NO_ANSWER as error:
            raise Failure(f"the connection to the API server broke off: {error}") from None
        finally:
            response.close()
        if rest:
            yield rest

    def allowed(self, verb: str, group: str, resource: str, subresource: str = "") -> bool:
        """Whether the user may do this in the namespace (SelfSubjectAccessReview)."""
        attributes = {
            "namespace": self.namespace,
            "verb": verb,
            "group": group,
            "resource": resource,
            "subresource": subresource,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self.call("POST", self.path(OWN_ACCESS_REVIEWS, namespace=None), review)
        return bool(answer["status"]["allowed"])

    # calls

    def path(
        self, resource: Resource, name: str | None = None, subresource: str | None = None, *, namespace: str | None
    ) -> str:
        """The path of one object or of a list; `namespace` None means the whole cluster."""
        try:
            return resource.path(namespace, name, subresource)
        except InvalidName as error:
            raise Failure(str(error), code=os.EX_USAGE) from None

    def object(self, resource: Resource, name: str, *, namespace: str | None = None) -> Object:
        """One object of the namespace that commands mean, or of another one. Raises NotFound."""
        place = namespace or self.namespace
        return _checked(resource, self.get(self.path(resource, name, namespace=place)), place, name)

    def get(self, path: str, query: Query = _NOTHING) -> Object:
        return self.call("GET", path, query=query)

    def find(self, path: str) -> Object | None:
        """Like `get`; None where there is no such object."""
        try:
            return self.get(path)
        except NotFound:
            return None

    def each(self, path: str, query: Query = _NOTHING) -> Iterator[Object]:
        """All objects of a LIST, page by page."""
        return blocking.each(lambda page: self.get(path, dict(page)), query.items())

    def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Query = _NOTHING,
        content_type: str = "application/json",
    ) -> Object:
        """One request, and the object that answers it."""
        response = self._send(method, path, body, query, content_type, TIMEOUT_SECONDS)
        try:
            return blocking.decode(response)
        except (ValueError, *NO_ANSWER) as error:
            raise Failure(f"the API server's answer can't be read: {error}") from None

    def execute(self, namespace: str, pod: str, command: Iterable[str], *, until: float = math.inf) -> Iterator[bytes]:
        """What a command in a pod writes to its standard output, piece by piece.

        Args:
            until: deadline by `time.monotonic`, after which the command is given up.

        Raises:
            Failure: the command can't run, takes too long or fails. The message is the end of its standard error.
        """
        query = [
            ("container", labels.CONTAINER),
            ("stdout", "true"),
            ("stderr", "true"),
            *(("command", word) for word in command),
        ]
        path = self.path(PODS, pod, "exec", namespace=namespace)
        _, url, headers, _, _ = self._client.param_serialize(
            "GET", path, header_params={}, auth_settings=["BearerToken"]
        )
        try:
            socket = ws_client.create_websocket(
                self._client.configuration, ws_client.get_websocket_url(url, query), headers
            )
        except (WebSocketException, OSError) as error:
            raise Failure(f"can't run a command in pod {pod}: {error}", _EXEC_HINT) from None
        said = bytearray()
        try:
            while True:
                left = until - time.monotonic()
                if left <= 0:
                    raise Failure(f"the command in pod {pod} takes too long")
                socket.settimeout(min(left, _SILENT_SECONDS))
                opcode, frame = socket.recv_data_frame(control_frame=True)
                if opcode == ABNF.OPCODE_CLOSE:
                    raise Failure(f"the connection to pod {pod} broke off")
                channel, content = (frame.data[0], frame.data[1:]) if frame.data else (0, b"")
                if channel == _STDOUT and content:
                    yield content
                elif channel == _STDERR:
                    said = (said + content)[-_SAID_BYTES:]
                elif channel == _STATUS:
                    _check_end(pod, content, bytes(said))
                    return
        except (WebSocketException, OSError) as error:
            raise Failure(f"the connection to pod {pod} broke off: {error}") from None
        finally:
            socket.close()

    def _patch(self, kind: Resource, name: str, patch: Object, query: Query, content_type: str) -> Object:
        path = self.path(kind, name, namespace=self.namespace)
        return _checked(kind, self.call("PATCH", path, patch, query, content_type), self.namespace, name)

    def _of_task(self, resource: Resource, plan: Object) -> list[Object]:
        task = ScanPlanStatus.read(plan).task_id
        if not task:
            return []
        try:
            query = {"labelSelector": resources.label_equals(labels.TASK, task)}
        except InvalidName as error:
            raise Failure(f"status.taskId: {error}") from None
        return list(self.each(self.path(resource, namespace=plan["metadata"]["namespace"]), query))

    def _absent(self, kind: Resource, name: str) -> NotFound:
        message = f"there is no {kind.kind} {name!r} in namespace {self.namespace}"
        return NotFound(message, f"{_LISTS[kind]} --all-namespaces")

    def _send(
        self, method: str, path: str, body: Object | None, query: Query, content_type: str, timeout: tuple[float, float]
    ) -> Any:
        try:
            return blocking.send(self._client, method, path, body, query.items(), content_type, timeout)
        except blocking.Refused as error:
            raise _refused(error.why) from None
        except NO_ANSWER as error:
            reason = getattr(error, "reason", None) or error
            raise Failure(f"the API server {self.address} can't be reached: {reason}", "kubectl cluster-info") from None


def _checked(resource: Resource, answer: Object, namespace: str, name: str) -> Object:
    try:
        return resource.checked(answer, namespace, name)
    except WrongObject as error:
        raise Failure(str(error)) from None


_EXEC_HINT = "kubectl auth can-i create pods --subresource=exec"


def _refused(why: Refusal) -> Failure:
    """The failure that the API server's answer means."""
    match why.code:
        case 401:
            return Forbidden(
                "the API server doesn't know you: your credentials are missing or have run out", "log in anew"
            )
        case 403 if "exceeded quota" in why.message:
            return Failure(why.message, "free or raise the quota: kubectl describe resourcequota")
        case 403:
            return Forbidden(
                why.message, "ask your cluster's administrator for this right; `scanplan doctor` lists them all"
            )
        case 404:
            return NotFound(why.message)
        case 409:
            return Conflict(why.message)
        case 400 | 422:
            return Failure(f"Kubernetes refuses it: {why.message}", code=65)
        case _:
            return Failure(f"the API server refuses: {why.message}")


def _check_end(pod: str, status: bytes, said: bytes) -> None:
    result = json.loads(status)
    if result.get("status") != "Success":
        words = said.decode(errors="replace").strip().splitlines()
        raise Failure(f"pod {pod}: {words[-1] if words else result.get('message', 'the command failed')}")


def _moment(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])
