"""One namespace of a test with all that happens in it: plans as users apply them, the Jobs behind them, their node.

Waiting is always for a state that a user can see, with a bound that only ends a hopeless wait.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scanplan.api.exit_codes import ExitCode
from tests.integration import audit, reports
from tests.integration.apiserver import JOBS, PLANS, ApiServer, Object
from tests.integration.kubelet import Kubelet, index_of
from tests.kubectl import Kubectl, Manifest, eventually

PATIENCE = 180.0
"""Seconds that a step of a test may take; only ends what is hopeless."""
INTERVAL = 0.05


class Scene:
    """A namespace on the session's cluster."""

    def __init__(self, api: ApiServer, kubectl: Kubectl, namespace: str, audit_log: Path) -> None:
        self.api = api
        self.namespace = namespace
        self.kubectl = kubectl.in_namespace(namespace)
        self.kubelet = Kubelet(api, namespace)
        self._audit_log = audit_log
        self._logged_before = audit_log.stat().st_size

    # what users do

    def apply(self, name: str = "plan", **spec: Any) -> None:
        """Create a plan, or change it, by server-side apply; fields left out of `spec` go back to their defaults."""
        self.kubectl.apply(scanplan(name, **spec))

    def edit(self, name: str = "plan", **spec: Any) -> Object:
        """Change some fields of a plan's spec; returns it as it is then, with its new generation."""
        return self.api.patch(f"{self._plans}/{name}", {"spec": spec})

    def delete(self, name: str = "plan") -> None:
        self.kubectl.delete("scanplan", name)

    # what is there

    @property
    def _plans(self) -> str:
        return PLANS.format(self.namespace)

    @property
    def _jobs(self) -> str:
        return JOBS.format(self.namespace)

    def plan(self, name: str = "plan") -> Object:
        found = self.api.get(f"{self._plans}/{name}")
        assert found, f"there is no plan {name}"
        return found

    def job(self, name: str) -> Object | None:
        return self.api.get(f"{self._jobs}/{name}")

    def jobs(self) -> list[Object]:
        return self.api.list(self._jobs)

    def job_of(self, name: str = "plan") -> Object:
        """The Job that a plan's status names."""
        job = self.job(self.plan(name)["status"]["jobRef"]["name"])
        assert job, f"the Job of plan {name} is gone"
        return job

    # waiting

    def until(self, condition: Callable[[Object], Any], name: str = "plan") -> Object:
        """Wait until a plan satisfies a condition; returns it."""
        seen: Object = {}

        def look() -> bool:
            seen.update(self.plan(name))
            return bool(condition(seen))

        try:
            eventually(look, within=PATIENCE, interval=INTERVAL)
        except AssertionError:
            raise AssertionError(f"plan {name} is still {seen.get('status')}") from None
        return seen

    def phase(self, phase: str, name: str = "plan", reason: str | None = None) -> Object:
        """Wait until the status of the plan's present generation has this phase (and reason); returns its status."""

        def reached(plan: Object) -> bool:
            status = plan["status"]
            return (
                status["observedGeneration"] == plan["metadata"]["generation"]
                and status.get("phase") == phase
                and (reason is None or condition(status, "Ready")["reason"] == reason)
            )

        status: Object = self.until(reached, name)["status"]
        return status

    def started(self, name: str = "plan") -> str:
        """Wait until the plan's present generation has a Job; returns the Job's name."""

        def reached(plan: Object) -> bool:
            status = plan["status"]
            return status["observedGeneration"] == plan["metadata"]["generation"] and "jobRef" in status

        job: str = self.until(reached, name)["status"]["jobRef"]["name"]
        return job

    def eventually(self, look: Callable[[], Any]) -> Any:
        return eventually(look, within=PATIENCE, interval=INTERVAL)

    def gone(self, job: str) -> None:
        """Wait until there is no such Job."""
        self.eventually(lambda: self.job(job) is None)

    # what a node does

    def run(self, name: str = "plan", pods: int = 1) -> list[Object]:
        """Wait for a plan's pods and run them; returns them as they were when they got their node."""
        job = self.started(name)
        found = self.kubelet.pending(job, pods)
        for pod in found:
            self.kubelet.run(pod)
        return found

    def complete(self, name: str = "plan", **result: Any) -> Object:
        """Run a plan's shards to their end, the last one merging; returns the plan's status."""
        job = self.started(name)
        self.complete_job(job, **result)
        return self.phase("Completed", name)

    def complete_job(self, job: str, **result: Any) -> None:
        spec = self.api.get(f"{self._jobs}/{job}")
        assert spec
        left = spec["spec"]["completions"]
        while left:
            for pod in self.kubelet.pending(job):
                left -= 1
                last = reports.merged(self.kubelet.document(pod), **result) if not left else None
                self.kubelet.run(pod)
                self.kubelet.end(pod, ExitCode.OK, reports.complete(index_of(pod), last))

    # what the operator asked of the API server

    def requests(self) -> list[audit.Request]:
        """Those in this namespace since this scene was made, oldest first, once all writes among them are answered."""
        self.eventually(lambda: not audit.unanswered(self._audit_log, self.namespace, self._logged_before))
        return list(audit.requests(self._audit_log, self.namespace, start=self._logged_before))

    def writes(self) -> list[str]:
        """The operator's writes in this namespace so far: verb and resource."""
        return [f"{request.verb} {request.resource}" for request in self.requests() if request.is_write]


def scanplan(name: str, **spec: Any) -> Manifest:
    """A plan that asks for little: one endpoint, one template."""
    return {
        "apiVersion": "scanplan.dev/v1alpha1",
        "kind": "ScanPlan",
        "metadata": {"name": name},
        "spec": {"endpoints": ["https://app.example.com"], "templates": ["http/cves/"], **spec},
    }


def hosts(count: int, prefix: str = "h") -> list[str]:
    """So many endpoints, each on a host of its own."""
    return [f"https://{prefix}{number}.example.com" for number in range(count)]


def shards(count: int) -> dict[str, Any]:
    """Spec fields of a plan with so many shards, all of which may run at once."""
    return {"endpoints": hosts(count), "sharding": {"maxEndpointsPerShard": 1, "parallelism": count}}


def condition(status: Object, kind: str) -> Object:
    """A condition of a status; fails where there is none of that type."""
    return next(entry for entry in status["conditions"] if entry["type"] == kind)


def condition_types(status: Object) -> set[str]:
    return {entry["type"] for entry in status["conditions"]}
