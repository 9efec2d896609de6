"""Read a claim of a namespace that its user may use: through a pod that is there for as long as it is read.

The pod is restricted, has no token, mounts the claim read-only and runs the plan's scanner image, which its nodes have already.
Files come over an exec, compressed: a container's log would be cut off where the kubelet rotates it. The plan owns the pod and
the pod has a deadline, so nothing stays behind even where this program is killed.
"""

from __future__ import annotations

import base64
import inspect
import math
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from pydantic import ValidationError

from scanplan.api import labels
from scanplan.api.v1alpha1.plan.pod_template import PodTemplate
from scanplan.api.v1alpha1.scan_defaults import PodDefaults
from scanplan.client.cluster import pods, tail
from scanplan.client.cluster.cluster import Cluster
from scanplan.client.cluster.failure import Failure, Forbidden, NotFound, unreadable_reader
from scanplan.core.observed.pods import pod_view
from scanplan.core.planning import pod_bounds, pod_security, scan_defaults
from scanplan.core.planning.pod_bounds import PodBounds
from scanplan.core.planning.pod_security import PodSecurityContext
from scanplan.core.status import failure
from scanplan.kube import resources
from scanplan.kube.objects import Object
from scanplan.kube.resources import PODS
from scanplan.settings import loading
from scanplan.settings.pod_bounds import PodSettings

_READS = pod_security.FIXED.of_reader()
START_SECONDS = 120.0
"""Until a reader must be ready: nodes may have to attach the volume, or to pull the image."""
DEADLINE_SECONDS = 3_600
_POLL_SECONDS = 0.4
_UNPACKED_BYTES = 1 << 20
_SLEEP = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit()); signal.pause()"
_OPEN = (
    "import errno, os, stat, sys, zlib\n"
    "w, place = sys.stdout.buffer.write, os.open(sys.argv[1], os.O_DIRECTORY)\n"
    "def opened(name, kind):\n"
    "    try:\n"
    "        if name == '..': raise OSError(errno.ELOOP, 'leads out')\n"
    "        return os.open(name, os.O_NOFOLLOW | os.O_NONBLOCK | kind, dir_fd=place)\n"
    "    except OSError as e:\n"
    "        if e.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO): raise\n"
    "        raise FileNotFoundError(name)\n"
    "*folders, last = sys.argv[2].split('/')\n"
    "for each in folders: place = opened(each, os.O_DIRECTORY)\n"
)
"""Goes down part by part: whoever may write to the claim can put links and pipes there."""
_READ = _OPEN + (
    "f, z = opened(last, 0), zlib.compressobj(1)\n"
    "if not stat.S_ISREG(os.fstat(f).st_mode): raise FileNotFoundError(last)\n"
    "while b := os.read(f, 1 << 20): w(z.compress(b))\n"
    "w(z.flush())"
)
_LIST = _OPEN + (
    "for d, _, fs, at in os.fwalk('.', dir_fd=opened(last, os.O_DIRECTORY)):\n"
    "    for f in fs:\n"
    "        s = os.lstat(f, dir_fd=at)\n"
    "        if stat.S_ISREG(s.st_mode): w(b'%d\\t%s\\0' % (s.st_size, os.fsencode(os.path.normpath(os.path.join(d, f)))))"
)
_UNPACK = "import base64, sys, zlib; exec(zlib.decompress(base64.urlsafe_b64decode(sys.argv.pop(1))))"
"""Runs a program that is too long to be a part of a request's address as it is."""


class Sink(Protocol):
    """What a file's content is written to."""

    def write(self, piece: bytes, /) -> int: ...


class Reader:
    """Files of one claim; paths are relative to its root."""

    def __init__(self, cluster: Cluster, namespace: str, pod: str, until: float = math.inf) -> None:
        """`until`: when reading ends, whatever has come by then (`time.monotonic`)."""
        self._cluster = cluster
        self._namespace = namespace
        self._pod = pod
        self._until = until

    def copy(self, path: str, into: Sink) -> None:
        """Write a file's content.

        Raises:
            NotFound: it isn't there.
            Failure: the pod sends something else, or not all of it.
        """
        unpacked = zlib.decompressobj()
        for piece in self._run(_READ, path):
            # Whoever may change the pod's image may send what unpacks to a thousand times its size.
            packed = piece
            while packed and not unpacked.eof:
                into.write(_unpacked(unpacked, packed))
                packed = unpacked.unconsumed_tail
        into.write(unpacked.flush())
        if not unpacked.eof:
            raise Failure(f"{path} came incomplete", "the same command again")

    def files(self, path: str) -> list[tuple[str, int]]:
        """All regular files below a folder, by path relative to it, with their size in bytes; none where it isn't there.

        Raises:
            Failure: the pod sends something else.
        """
        try:
            listing = b"".join(self._run(_LIST, path))
        except NotFound:
            return []
        entries = listing.decode(errors="surrogateescape").split("\0")
        try:
            return sorted((name, int(size)) for size, _, name in (entry.partition("\t") for entry in entries if entry))
        except ValueError:
            raise unreadable_reader() from None

    def follow(self, path: str, not_before: float) -> Iterator[bytes]:
        """The frames of a task's attempts (`scanplan.client.cluster.tail`), until nobody asks for more.

        Args:
            path: the folder of the task's shards; it may come later.
            not_before: seconds since the epoch; what was written before is left out.

        Raises:
            Failure: the pod has ended or sends something else, or the claim can't be read.
        """
        unpacked, command = zlib.decompressobj(), following(path, not_before)
        for sent in self._cluster.execute(self._namespace, self._pod, command, until=self._until):
            packed = sent
            while piece := _unpacked(unpacked, packed):
                yield piece
                packed = unpacked.unconsumed_tail
            if unpacked.eof:
                raise unreadable_reader()

    def _run(self, program: str, path: str) -> Iterator[bytes]:
        try:
            command = ("python3", "-c", program, pods.MOUNT, path)
            yield from self._cluster.execute(self._namespace, self._pod, command, until=self._until)
        except Failure as error:
            if "FileNotFoundError" in error.message:
                raise NotFound(f"{path} is not on the claim (any more)", "kubectl get scanplan PLAN -o yaml") from None
            raise


def _unpacked(unpacked: zlib._Decompress, packed: bytes) -> bytes:
    try:
        return unpacked.decompress(packed, _UNPACKED_BYTES)
    except zlib.error:
        raise unreadable_reader() from None


def following(path: str, not_before: float) -> tuple[str, ...]:
    """The command of `Reader.follow`: the text of `scanplan.client.cluster.tail`, for whatever version the pod's image has."""
    program = base64.urlsafe_b64encode(zlib.compress(inspect.getsource(tail).encode(), 9)).decode()
    return ("python3", "-c", _UNPACK, program, pods.MOUNT, path, str(not_before))


@contextmanager
def opened(
    cluster: Cluster,
    plan: Object,
    claim: str,
    image: str,
    bounds: PodBounds | None = None,
    *,
    until: float | None = None,
) -> Iterator[Reader]:
    """A reader of a claim in the plan's namespace.

    Args:
        plan: the pod's owner; it is scheduled as the plan's scan pods are.
        image: one with Python; the plan's scanner image.
        bounds: on what the plan says about its pods, where the pod is made with more rights than the plan's author has.
        until: when the pod must have started and reading ends (`time.monotonic`); by default when the pod's deadline is.

    Raises:
        Failure: the pod doesn't start, with the reason.
    """
    until = time.monotonic() + DEADLINE_SECONDS if until is None else until
    namespace = plan["metadata"]["namespace"]
    security, defaults = settings_of(cluster)
    pod = manifest(plan, claim, image, bounds, security.of_reader(), defaults)
    made = cluster.call("POST", cluster.path(PODS, namespace=namespace), pod)
    name = made["metadata"]["name"]
    path = cluster.path(PODS, name, namespace=namespace)
    try:
        _wait(cluster, path, claim, min(until, time.monotonic() + START_SECONDS))
        yield Reader(cluster, namespace, name, until)
    finally:
        pods.remove(cluster, path)


def settings_of(cluster: Cluster) -> tuple[PodSecurityContext, PodDefaults | None]:
    """Who scan pods run as, and what the owner sets for them, by the environment's variables, as in the operator's.

    Raises:
        Failure: the environment's choice is wrong.
    """
    try:
        settings = loading.load(PodSettings)
    except loading.InvalidSettings as error:
        raise Failure(str(error), "another value of this environment variable") from None
    configured = settings.pod_security_context
    security = pod_security.chosen(configured, configured is None and _assigns_users(cluster))
    return security, settings.scan_defaults.pod_template if settings.scan_defaults else None


def _assigns_users(cluster: Cluster) -> bool:
    try:
        return cluster.find(resources.group(pod_security.OPENSHIFT)) is not None
    except Forbidden:
        return False


def manifest(
    plan: Object,
    claim: str,
    image: str,
    bounds: PodBounds | None = None,
    security: PodSecurityContext = _READS,
    defaults: PodDefaults | None = None,
) -> Object:
    """The reader's pod; what the plan says beyond the bounds is left out of it, and the owner's defaults are laid under it."""
    metadata, template = plan["metadata"], plan["spec"].get("podTemplate", {})
    if bounds is not None or defaults is not None:
        template = template_of(template, bounds, defaults)
    pod = pods.restricted(
        pods.Use(
            name=f"{metadata['name'][:50]}-read-",
            namespace=metadata["namespace"],
            component="reader",
            claim=claim,
            image=image,
            command=["python3", "-c", _SLEEP],
            seconds=DEADLINE_SECONDS,
            read_only=True,
        ),
        security,
        template,
    )
    owner = {
        "apiVersion": labels.API_VERSION,
        "kind": labels.KIND,
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    pod["metadata"]["ownerReferences"] = [owner]
    # A ReadWriteOnce volume can be where its scan pods are, and nowhere else.
    term = {
        "labelSelector": {"matchLabels": labels.of_claim(claim)},
        "topologyKey": "kubernetes.io/hostname",
    }
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    pod["spec"]["affinity"] = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    return pod


def template_of(template: Object, bounds: PodBounds | None, defaults: PodDefaults | None) -> Object:
    """The template within the bounds; nothing of one that can't be read (it was stored under another version's rules)."""
    try:
        read = PodTemplate.model_validate(template)
    except ValidationError:
        read = PodTemplate()
    if bounds is not None:
        read = pod_bounds.within(read, bounds)
    if defaults is not None:
        read = scan_defaults.under(read, defaults)
    return {**read.model_dump(by_alias=True, exclude_defaults=True), **(defaults.owner_fields() if defaults else {})}


def _wait(cluster: Cluster, path: str, claim: str, end: float) -> None:
    while True:
        pod = cluster.get(path)
        status = pod.get("status", {})
        phase = status.get("phase", "Pending")
        if phase == "Running" and all(each.get("ready") for each in status.get("containerStatuses", ())):
            return
        blocked = failure.blocked_by([pod_view(pod)])
        if phase not in {"Pending", "Running"}:
            raise Failure(f"the reader of claim {claim} ended at once: {status.get('message') or phase}")
        if time.monotonic() > end:
            why = blocked.message if blocked else "its pod doesn't start"
            raise Failure(f"claim {claim} can't be read: {why}", f"kubectl describe pod {pod['metadata']['name']}")
        time.sleep(_POLL_SECONDS)
