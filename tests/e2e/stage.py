"""A stage: one namespace with a claim, targets to scan, and a view of both that needs no trust in the product.

The targets are the vulnerable application, which counts its requests, and the gate, which answers nobody before the test opens
it: a scan that has the gate among its endpoints stands still in the middle for as long as a test needs. The shelf is a
pod that has the whole claim mounted, so a test reads what is really there.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests import deploy
from tests.kubectl import Kubectl, KubectlError, Manifest, eventually

T = TypeVar("T")

PATIENCE = 240.0
"""Seconds that anything may take on a busy machine. Nothing is measured with it."""
TERMINAL = {"Completed", "Failed", "Cancelled"}
CLAIM = "scanplan-artifacts"
FAULTS = Path(__file__).parent / "faults"
EXPOSURES = "http/exposures/"
"""Template folder with which the vulnerable application has three findings, and the gate none."""
EXPOSED = {"env-file", "git-config", "sql-dump"}
ONCE = {"temporary": 0, "unknown": 0}
"""The field `retry` of a plan whose first failure is its last."""

_SERVER = """
import http.server
class Answers(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
"""
_GATE = """
import threading
gate, asked = threading.Event(), []
class Handler(Answers):
    def do_GET(self):
        if self.path == "/open":
            gate.set()
            self.answer(200)
        elif self.path == "/asked":
            self.answer(200, str(len(asked)).encode())
        else:
            asked.append(self.path)
            gate.wait()
            self.answer(404)
"""
_PICKY = """
class Handler(Answers):
    def do_GET(self):
        if self.path != "/.env":
            self.send_error(404)
"""
_SHELF = """
import pathlib, urllib.parse
claim = pathlib.Path("/claim")
class Handler(Answers):
    def do_GET(self):
        path = urllib.parse.unquote(self.path).lstrip("/")
        try:
            body = (claim / path).read_bytes() if path else "\\n".join(str(p.relative_to(claim)) for p in claim.rglob("*")).encode()
        except OSError:
            body = b""
        self.answer(200, body)
"""
_CONNECT = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)"


def serving(handler: str) -> list[str]:
    """A command that serves on port 8080 by a handler: a class `Handler` on `Answers`, as source."""
    start = 'http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()'
    return ["python3", "-c", f"{_SERVER}{handler}{start}"]


@dataclass(frozen=True)
class Images:
    """References of the images that are on the cluster's nodes."""

    scanner: str
    webapp: str


@dataclass
class Stage:
    """One namespace that enforces the restricted Pod Security Standard."""

    kubectl: Kubectl
    """In the stage's namespace."""
    images: Images
    namespace: str

    # what is on it

    def set_up(self) -> None:
        """Make the namespace, the claim and the shelf."""
        self.kubectl.apply(*deploy.scan_namespace(self.namespace, CLAIM))
        self.shelve("shelf", CLAIM)

    def shelve(self, name: str, claim: str) -> None:
        """Start a pod that sees, and may write, a whole claim at /claim, and shows what is in it."""
        shelf = pod(name, self.namespace, self.images.scanner, serving(_SHELF))
        shelf["spec"]["volumes"] = [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}]
        shelf["spec"]["containers"][0]["volumeMounts"] = [{"name": "claim", "mountPath": "/claim"}]
        self.kubectl.apply(shelf)
        self.wait_for_pod(name)
        self.until(functools.partial(self._is_asked, name))

    def tear_down(self) -> None:
        """Have all of it removed, without waiting for it."""
        self.kubectl("delete", "scanplans", "--all", "--wait=false")
        self.kubectl.delete("namespace", self.namespace)

    def web_application(self, *names: str, delay: str = "0s") -> None:
        """Start the vulnerable application, once for each name: each is a host of its own, which answers after the delay."""
        command = ["/webapp", f"-delay={delay}"]
        self._start({name: pod(name, self.namespace, self.images.webapp, command) for name in names}, "requests")

    def gate(self, *names: str) -> None:
        """Start targets that keep every request waiting until they are opened."""
        command = serving(_GATE)
        self._start({name: pod(name, self.namespace, self.images.scanner, command) for name in names}, "asked")

    def picky(self, *names: str) -> None:
        """Start targets that hang up on whoever asks for /.env, and have nothing else."""
        command = serving(_PICKY)
        self._start({name: pod(name, self.namespace, self.images.scanner, command) for name in names}, "")

    def nobody(self, name: str) -> None:
        """A host whose name resolves, and where nobody listens."""
        self.kubectl.apply(service(name, self.namespace))

    def reroute(self, name: str, to: str) -> None:
        """Let a name lead to another target from now on, or to nobody."""
        self.kubectl("set", "selector", f"service/{name}", f"app.kubernetes.io/name={to}")

    def faults(self) -> list[Manifest]:
        """Templates that make the stand-in fail on purpose (tests/e2e/faults), as a plan's source of templates."""
        self.kubectl("create", "configmap", "faults", f"--from-file={FAULTS}")
        return [{"configMap": {"name": "faults"}}]

    def _start(self, pods: dict[str, Manifest], uncounted: str) -> None:
        self.kubectl.apply(*pods.values(), *(service(name, self.namespace) for name in pods))
        for name in pods:
            self.wait_for_pod(name)
        for name in pods:  # ready is not reachable yet: the node's routes follow a moment later
            self.until(functools.partial(self._answers, f"{self.endpoint(name)}/{uncounted}"))

    def _answers(self, url: str) -> bool:
        try:
            self.inside("shelf", _CONNECT, url)
        except KubectlError as error:
            return "HTTP Error" in str(error)
        return True

    def _is_asked(self, name: str) -> bool:
        """Whether requests reach a pod: the node's routes follow a moment after it is ready."""
        try:
            self._ask(name, "")
        except KubectlError:
            return False
        return True

    def wait_for_pod(self, name: str) -> None:
        self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", f"--timeout={PATIENCE:.0f}s")

    def endpoint(self, name: str) -> str:
        return f"http://{name}.{self.namespace}:8080"

    # what the targets have seen

    def requests(self, name: str = "app") -> dict[str, int]:
        """How often each path of an application was asked for, ever; without the root, which the runner's own checks ask for."""
        counts: dict[str, int] = json.loads(self._ask(name, "requests"))
        return {path: count for path, count in counts.items() if path != "/"}

    def asked(self, gate: str = "gate") -> int:
        """Requests that a gate has had."""
        return int(self._ask(gate, "asked"))

    def open(self, gate: str = "gate") -> None:
        """Let a gate answer, now and for ever."""
        self._ask(gate, "open")

    def _ask(self, name: str, path: str) -> bytes:
        return self.kubectl.raw(f"/api/v1/namespaces/{self.namespace}/pods/{name}:8080/proxy/{path}")

    # plans

    def plan(self, name: str, *targets: str, **spec: Any) -> Manifest:
        """A plan for targets of this stage, by name. One request may take as long as a busy machine needs to answer it."""
        endpoints = [self.endpoint(target) for target in targets or ("app",)]
        scanner = {"requestTimeoutSeconds": 120, **spec.pop("scanner", {})}
        return {
            "apiVersion": "scanplan.dev/v1alpha1",
            "kind": "ScanPlan",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"endpoints": endpoints, "templates": [EXPOSURES], "scanner": scanner, **spec},
        }

    def gated(self, name: str, *targets: str, **spec: Any) -> Manifest:
        """A plan that finds what the application has, then stands still until the gate is opened."""
        return self.plan(name, *(targets or ("app", "gate")), **{"scanner": {"requestTimeoutSeconds": 300}, **spec})

    def apply(self, *plans: Manifest) -> None:
        self.kubectl.apply(*plans)

    def patch(self, plan: str, **spec: Any) -> None:
        self.kubectl("patch", "scanplan", plan, "--type=merge", "-p", json.dumps({"spec": spec}))

    def delete(self, plan: str) -> None:
        """Delete a plan, and return when its Job and pods are gone too."""
        task = self.status(plan)["taskId"]
        self.kubectl("delete", "scanplan", plan)
        self.until(lambda: not self.kubectl.get("jobs,pods", "-l", f"scanplan.dev/task={task}")["items"])

    def get(self, plan: str) -> Manifest:
        found: Manifest = self.kubectl.get("scanplan", plan)
        return found

    def status(self, plan: str) -> dict[str, Any]:
        status: dict[str, Any] = self.get(plan)["status"]
        return status

    def reaches(self, plan: str, *phases: str) -> dict[str, Any]:
        """The plan's status as soon as it is in one of the phases; fails at once where it has ended in another."""
        found: Manifest = {}

        def reached() -> bool:
            found.update(self.get(plan))
            current = found["status"].get("observedGeneration") == found["metadata"]["generation"]
            return current and found["status"].get("phase") in {*phases, *TERMINAL}

        try:
            self.until(reached)
        finally:
            status: dict[str, Any] = found.get("status", {})
            assert status.get("phase") in phases, f"{plan} is not {' or '.join(phases)}: {json.dumps(status, indent=1)}"
        return status

    def ends(self, plan: str, phase: str) -> dict[str, Any]:
        """The plan's status when it has ended so."""
        return self.reaches(plan, phase)

    def until(self, look: Callable[[], T | None]) -> T:
        """The first truthy answer of `look`."""
        found = eventually(look, within=PATIENCE, interval=0.5)
        assert found is not None
        return found

    # Jobs and pods

    def jobs(self, plan: str | None = None) -> list[Manifest]:
        """The Jobs of a plan, or all of the stage; without collectors."""
        chosen = ["-l", "app.kubernetes.io/component=scanner"]
        found: list[Manifest] = self.kubectl.get("jobs", *chosen)["items"]
        uid = self.get(plan)["metadata"]["uid"] if plan else None
        return [
            job
            for job in found
            if uid is None or uid in {owner["uid"] for owner in job["metadata"].get("ownerReferences", ())}
        ]

    def pods(self, plan: str) -> list[Manifest]:
        """The scan pods of a plan's task that are there, oldest first."""
        task = self.status(plan).get("taskId")
        chosen = f"scanplan.dev/task={task},app.kubernetes.io/component=scanner"
        found: list[Manifest] = self.kubectl.get("pods", "-l", chosen)["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def standing(self, plan: str, findings: int = len(EXPOSED), index: int | None = None) -> Manifest:
        """A scan pod that has written so many findings to the claim and now waits at a gate."""
        return self.until(lambda: self._standing(plan, findings, index))

    def _standing(self, plan: str, findings: int, index: int | None) -> Manifest | None:
        for candidate in self.pods(plan) if "taskId" in self.status(plan) else ():
            annotations = candidate["metadata"]["annotations"]
            shard = int(annotations["batch.kubernetes.io/job-completion-index"])
            running = candidate["status"]["phase"] == "Running" and "deletionTimestamp" not in candidate["metadata"]
            if running and index in {None, shard}:
                growing = [path for path in self.files(self.run(plan)) if path.endswith(".partial")]
                written = sum(len(self.read(path).splitlines()) for path in growing)
                if written >= findings:
                    return candidate
        return None

    def inside(self, pod_name: str, program: str, *arguments: str) -> str:
        """What a Python program prints in a running pod."""
        return self.kubectl("exec", pod_name, "--", "python3", "-c", program, *arguments)

    # the claim

    def run(self, plan: str) -> str:
        """The plan's run folder on the claim."""
        return f"ui_projects/{self.get(plan)['spec'].get('runId', plan)}"

    def files(self, below: str = "", shelf: str = "shelf") -> list[str]:
        """All paths on the claim below a folder, from the claim's root."""
        return [path for path in self._ask(shelf, "").decode().splitlines() if path.startswith(below)]

    def read(self, path: str, shelf: str = "shelf") -> bytes:
        """A file of the claim; empty where it is not there (any more)."""
        return self._ask(shelf, urllib.parse.quote(path))

    def shard_findings(self, below: str) -> list[str]:
        """The files with the findings of single shards, published below a folder of the claim."""
        return [path for path in self.files(below) if "/shards/" in path and path.endswith("/nuclei_output.ndjson")]

    def findings(self, status: dict[str, Any], shelf: str = "shelf") -> list[dict[str, Any]]:
        """The published findings, having checked them against what the status says of them."""
        artifacts = status["artifacts"]
        content = b""
        for file in artifacts["files"]:
            there = self.read(f"{artifacts['path']}/{file['name']}", shelf)
            assert hashlib.sha256(there).hexdigest() == file["sha256"]
            assert len(there) == file["bytes"]
            content = there if file["name"] == "nuclei_output.ndjson" else content
        found = [json.loads(line) for line in content.splitlines()]
        assert len(found) == status["findings"]["total"]
        return found

    def metadata(self, status: dict[str, Any]) -> dict[str, Any]:
        """The published record of the scan."""
        decoded: dict[str, Any] = json.loads(self.read(f"{status['artifacts']['path']}/scan_metadata.json"))
        return decoded


def templates(findings: list[dict[str, Any]]) -> list[str]:
    """The templates that the findings are of, sorted: doubles show."""
    return sorted(finding["template-id"] for finding in findings)


def attempts(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """All attempts of all shards."""
    return list(itertools.chain.from_iterable(shard["attempts"] for shard in metadata["shards"]))


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    """One condition of a status."""
    (found,) = (condition for condition in status["conditions"] if condition["type"] == kind)
    return dict(found)


def pod(name: str, namespace: str, image: str, command: list[str] | None = None) -> Manifest:
    """A restricted pod with one container, which is ready as soon as it listens."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": deploy.restricted_container(),
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "resources": deploy.POD_RESOURCES,
    }
    if command:
        container["command"] = command
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": deploy.restricted_pod(),
            "containers": [container],
        },
    }


def service(name: str, namespace: str) -> Manifest:
    """Gives the pod of that name, if there is one, a name that resolves."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app.kubernetes.io/name": name}, "ports": [{"port": 8080}]},
    }
