"""One run of one row: a namespace, an operator behind a proxy, started again when it dies, a node, and what is done to them.

A laboratory has what all cases share, the control plane and its history, and lets no more of them run at once than a machine takes.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.cluster import LocalCluster
from tests.deploy import ROOT
from tests.faults.history import History, Object
from tests.faults.node import Node
from tests.faults.oracle import Verdict, judge
from tests.faults.proxy import Proxy
from tests.fixtures.control_plane import make_namespace
from tests.integration.apiserver import JOBS, PLANS, ApiServer
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import scanplan

T = TypeVar("T")
S = TypeVar("S")

FULL = os.environ.get("FAULTS") == "full"
QUIET = 30.0 if FULL else 10.0
"""Seconds without a write that prove rest."""
AT_ONCE = 6
PATIENCE = 900.0
"""Seconds that a step of a life may take; only ends what is hopeless."""
PROJECT = "acme"
"""The same in every namespace, so that equal lives have equal keys and their writes can be compared."""


class Stuck(AssertionError):
    """A life has not gone on."""


class Deployment:
    """Keeps an operator running, as a Deployment does: whenever it dies, it is started again."""

    def __init__(self, operator: OperatorProcess) -> None:
        self.operator = operator
        self.starts = 0
        self.deaths: list[int] = []
        self._down = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="deployment")
        self._lock = threading.Lock()

    def start(self) -> Deployment:
        self._start()
        self._thread.start()
        return self

    def kill(self) -> None:
        """SIGKILL; it is started again at once."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self.operator.alive:
                os.kill(self.operator.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def absent(self) -> Iterator[None]:
        """No operator for a while."""
        with self._lock:
            self.operator.kill()
            yield
            self._start()

    def stop(self) -> None:
        self._down.set()
        self._thread.join(timeout=120)
        if self.operator.alive:
            self.operator.kill()

    def _start(self) -> None:
        self.operator.start()
        self.starts += 1

    def _keep(self) -> None:
        while not self._down.wait(0.05):
            with self._lock:
                if not self.operator.alive:
                    self._start()


@dataclass
class Case:
    """A running case."""

    name: str
    namespace: str
    api: ApiServer
    history: History
    node: Node
    proxies: list[Proxy]
    deployments: list[Deployment]
    leave: Callable[[], None]
    """Make room for another case: what comes now is only waiting."""
    quiet: float = QUIET
    fault_ended: float = field(default_factory=time.monotonic)

    @property
    def proxy(self) -> Proxy:
        return self.proxies[0]

    @property
    def deployment(self) -> Deployment:
        return self.deployments[0]

    # what users do

    def apply(self, name: str = "plan", **spec: Any) -> Object:
        """Make a plan; its run is called as the plan is, unless `spec` says otherwise."""
        return self._seen(self.api.create(PLANS.format(self.namespace), scanplan(name, projectId=PROJECT, **spec)))

    def edit(self, name: str = "plan", **spec: Any) -> Object:
        return self._seen(self.api.patch(f"{PLANS.format(self.namespace)}/{name}", {"spec": spec}))

    def _seen(self, plan: Object) -> Object:
        """Return when the history has a plan as it is now, so that nobody is asked about what it was before."""
        metadata = plan["metadata"]
        version = int(metadata["resourceVersion"])
        self.until(lambda: int(self.plan(metadata["name"])["metadata"]["resourceVersion"]) >= version, "the history")
        return plan

    def delete(self, name: str = "plan") -> None:
        self.api.delete(f"{PLANS.format(self.namespace)}/{name}", propagationPolicy="Background")

    @contextlib.contextmanager
    def settled(self, ended: Object, status: Object, count: int) -> Iterator[None]:
        """So many more plans like one that has ended, with this status, made while no operator is there; deleted in the end."""
        path, batch = PLANS.format(self.namespace), 100
        plan = {name: ended[name] for name in ("apiVersion", "kind", "spec")}
        with self.deployment.absent():
            for number in range(count):
                metadata = {"name": f"old-{number}", "labels": {"batch": str(number // batch)}}
                self.api.create(path, {**plan, "metadata": metadata})
                self.api.patch(f"{path}/old-{number}/status", {"status": status})
        yield
        for number in range(0, count, batch):
            self.api.delete(f"{path}?labelSelector=batch={number // batch}", propagationPolicy="Background")
        self.until(
            lambda: not any(name.startswith("old-") for name in self.history.now("plan", self.namespace)), "their end"
        )

    def delete_job(self, name: str, policy: str = "Background") -> None:
        self.api.delete(f"{JOBS.format(self.namespace)}/{name}", propagationPolicy=policy)

    # what is there

    def plan(self, name: str = "plan") -> Object:
        return self.history.now("plan", self.namespace)[name]

    def status(self, name: str = "plan") -> Object:
        status: Object = self.plan(name)["status"]
        return status

    def jobs(self) -> dict[str, Object]:
        return self.history.now("job", self.namespace)

    def job(self, plan: str = "plan") -> Object:
        """The Job that a plan's status names."""
        return self.jobs()[self.status(plan)["jobRef"]["name"]]

    def pods(self, phase: str | None = None) -> list[Object]:
        found = self.history.now("pod", self.namespace).values()
        return [pod for pod in found if phase in {None, pod["status"].get("phase")}]

    # waiting

    def until(self, look: Callable[[], T], what: str = "") -> T:
        answer = self.history.wait(self.namespace, lambda: _unless_missing(look), PATIENCE)
        if not answer:
            plans = self.history.now("plan", self.namespace)
            states = {name: plan.get("status") for name, plan in plans.items()}
            raise Stuck(f"{self.name} waits for {what or look}: {states}\n{self.log()[-3000:]}")
        assert answer is not None
        return answer

    def phase(self, phase: str, name: str = "plan", reason: str | None = None) -> Object:
        """Wait until the plan's present generation is said to be in this phase."""

        def look() -> Object | None:
            plan = self.plan(name)
            status: Object = plan["status"]
            current = status.get("observedGeneration") == plan["metadata"]["generation"]
            ready: Object = next((each for each in status.get("conditions", ()) if each["type"] == "Ready"), {})
            matches = status.get("phase") == phase and reason in {None, ready.get("reason")}
            return status if current and matches else None

        found = self.until(look, f"{name} {phase} {reason or ''}")
        assert found
        return found

    def running(self, name: str = "plan", pods: int = 1) -> Object:
        """Wait until a plan is called Running, and so many of its pods run."""
        status = self.phase("Running", name)
        job = status["jobRef"]["name"]
        self.until(lambda: len(self.pods_of(job, "Running")) >= pods, f"{pods} pods of {job}")
        return status

    def pods_of(self, job: str, phase: str | None = None) -> list[Object]:
        return [pod for pod in self.pods(phase) if pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == job]

    # what happened

    def digest(self) -> Counter[str]:
        """The writes that the API server has accepted from the operator, in words.

        Events are best effort, and how often progress is written depends on time: neither counts. A write without a change does.
        """
        found: Counter[str] = Counter()
        last: dict[str, str] = {}
        versions: set[str] = set()
        for call in sorted((call for proxy in self.proxies for call in proxy.writes), key=lambda call: call.at):
            if call.resource == "events":
                continue
            words = str(call)
            if call.resource.endswith("/status"):
                assert call.reply
                stored = call.reply.object
                version = f"{call.name} {stored['metadata']['resourceVersion']}"
                state = f"{words} of generation {stored['status']['observedGeneration']}"
                if version in versions:
                    words += ", which changes nothing"
                elif last.get(call.name) == state:
                    continue
                versions.add(version)
                last[call.name] = state
            found[words] += 1
        return found

    def log(self) -> str:
        return "\n".join(deployment.operator.text() for deployment in self.deployments)

    def fault_ends(self) -> None:
        """From now on the time to the truth counts."""
        self.fault_ended = time.monotonic()

    def judge(self, within: float, job_uids: int = 1, waiting: Sequence[str] = ()) -> Verdict:
        """Ask the oracle."""
        return judge(self, since=self.fault_ended, within=within, job_uids=job_uids, waiting=waiting)


def _unless_missing(look: Callable[[], T]) -> T | None:
    try:
        return look()
    except KeyError:
        return None


class Laboratory:
    """What all cases share."""

    def __init__(self, cluster: LocalCluster, api: ApiServer, identity: Path, folder: Path) -> None:
        self.cluster = cluster
        self.api = api
        self.history = History(cluster).start()
        self._identity = identity
        self._folder = folder
        self._room = threading.Semaphore(AT_ONCE)
        self._numbers = itertools.count()
        self._of_lease = list(yaml.safe_load_all((ROOT / "examples/install/leader-election.yaml").read_text()))

    def close(self) -> None:
        self.history.stop()

    @contextlib.contextmanager
    def case(
        self,
        name: str,
        *,
        operators: int = 1,
        program: Sequence[str] | None = None,
        **settings: str,
    ) -> Iterator[Case]:
        """A case of its own: `settings` are the operator's environment variables, `program` another module to start.

        One operator works with its lease, as it is installed, and starts again as a container in the same pod does; several are
        at work at the same time.
        """
        with contextlib.ExitStack() as stack:
            leave = self._enter(stack)
            number = next(self._numbers)
            readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
            namespace = f"f{number}-{readable}"[:60].rstrip("-")
            make_namespace(self.api, namespace)
            if operators == 1:
                self._grant_lease(namespace)
                lease = {"LEADER_ELECTION": "true", "LEASE_NAMESPACE": namespace, "POD_UID": namespace}
                settings = {**{f"SCANPLAN_{name}": value for name, value in lease.items()}, **settings}
            node = Node(self.api, self.history, namespace).start()
            stack.callback(node.stop)
            proxies: list[Proxy] = []
            deployments: list[Deployment] = []
            for position in range(operators):
                kubeconfig = self._folder / f"{namespace}-{position}.kubeconfig"
                proxies.append(Proxy(self._identity).start(kubeconfig))
                stack.callback(proxies[-1].stop)
                log = self._folder / f"{namespace}-{position}.log"
                operator = OperatorProcess(kubeconfig, [namespace], log, **{"WORKER_CONCURRENCY": "1000", **settings})
                operator.program = tuple(program or operator.program)
                deployments.append(Deployment(operator))
            case = Case(name, namespace, self.api, self.history, node, proxies, deployments, leave)
            for deployment in deployments:
                deployment.start()
                stack.callback(deployment.stop)
            try:
                yield case
            except BaseException as error:
                error.add_note(f"--- {namespace}: end of the operator's log\n{case.log()[-6000:]}")
                raise

    def _grant_lease(self, namespace: str) -> None:
        for body in self._of_lease:
            path = f"/apis/{body['apiVersion']}/namespaces/{namespace}/{body['kind'].lower()}s"
            self.api.create(path, {**body, "metadata": {**body["metadata"], "namespace": namespace}})

    def _enter(self, stack: contextlib.ExitStack) -> Callable[[], None]:
        """Take a place; the answer gives it up, which is done at the end at the latest."""
        self._room.acquire()
        place = contextlib.ExitStack()
        place.callback(self._room.release)
        stack.callback(place.close)
        return place.close

    def each(self, work: Callable[[S], T], items: Iterable[S]) -> list[T]:
        """Do something for every item, at the same time."""
        with ThreadPoolExecutor(max_workers=32) as threads:
            return list(threads.map(work, items))
