"""The one oracle of the fault matrix: what has to be so after any fault whatsoever.

    At most one live Job per key at any time, and one Job UID per key in all unless the row itself deletes the Job; no shard scanned
    again after it was published. Every finding that a runner printed is in a published artifact whose SHA-256 matches the
    status. The status equals what the cluster shows, within N seconds of the fault's end. Then the operator comes to rest.

What holds at an end is asked of the present, what must hold always is asked of the whole history.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from scanplan.api import labels
from tests.faults.history import Object
from tests.faults.node import MERGED_FILE, TaskFolder

if TYPE_CHECKING:
    from tests.faults.case import Case
    from tests.faults.proxy import Call

TERMINAL = {"Completed", "Failed", "Cancelled"}
SLACK = 240.0
"""Seconds beyond a row's N for which the truth is still waited for: N is reported, and only never is a failure."""
UNREST = 60.0
"""Seconds after the truth in which the operator may still write: on a busy machine it may stand still between two writes."""


@dataclass
class Verdict:
    """What is reported of a run."""

    job_uids_per_key: int
    findings_lost: int
    seconds_to_truth: float
    seconds_to_rest: float
    """From the truth to the last write."""

    def record(self) -> dict[str, Any]:
        return asdict(self)


class Broken(AssertionError):
    """A promise was not kept."""


def judge(case: Case, *, since: float, within: float, job_uids: int = 1, waiting: Sequence[str] = ()) -> Verdict:
    """Judge a run.

    Args:
        since: when the fault ended (`time.monotonic`).
        within: the row's N, in seconds.
        job_uids: Jobs that one key may have had in all, where the row itself deletes them.
        waiting: reasons for which a plan may rest without a Job (Queued, QuotaExceeded, …).

    Raises:
        Broken: with all that is not as it must be.
    """
    wrong = case.history.wait(
        case.namespace, lambda: not differences(case, waiting), SLACK + within - (time.monotonic() - since)
    )
    seconds = time.monotonic() - since
    if not wrong:
        raise Broken("\n".join([f"not the truth after {seconds:.0f} s:", *differences(case, waiting)]))
    case.leave()
    rest, late = come_to_rest(case)
    uids, broken = always(case)
    broken += differences(case, waiting)
    lost = findings_lost(case)
    again = {key: folder.scanned_again for key, folder in case.node.claim.items() if folder.scanned_again}
    if late:
        broken.append(f"never at rest, still writes: {late}")
    if uids > job_uids:
        broken.append(f"{uids} Jobs for one key instead of {job_uids}")
    if lost:
        broken.append(f"findings lost: {lost}")
    if again:
        broken.append(f"scanned again after they were published: {again}")
    if broken:
        raise Broken("\n".join(broken))
    return Verdict(uids, len(lost), round(seconds, 1), round(rest, 1))


def come_to_rest(case: Case) -> tuple[float, list[str]]:
    """Wait until nothing was written for `case.quiet` seconds.

    Returns:
        The seconds from now to the last write, and what was written in the last `case.quiet` seconds if it never rests.
    """
    truth = last = time.monotonic()

    def written(since: float) -> list[Call]:
        return [call for proxy in case.proxies for call in proxy.attempts_since(since)]

    while (now := time.monotonic()) < last + case.quiet:
        if now > truth + UNREST:
            return last - truth, [str(call) for call in written(now - case.quiet)]
        time.sleep(last + case.quiet - now)
        last = max([last, *(call.at for call in written(last))])
    return last - truth, []


# the present


def differences(case: Case, waiting: Sequence[str] = ()) -> list[str]:
    """In what the plans' statuses differ from what the cluster shows."""
    plans = case.history.now("plan", case.namespace)
    jobs = case.history.now("job", case.namespace)
    found = [f"{name}: {what}" for name, plan in plans.items() for what in _of_plan(plan, jobs, case, waiting)]
    uids = {plan["metadata"]["uid"] for plan in plans.values()}
    for name, job in jobs.items():
        if not owners(job) & uids:
            found.append(f"Job {name} is nobody's")
    return [*found, *_at_work(case, jobs)]


def _at_work(case: Case, jobs: dict[str, Object]) -> list[str]:
    """What the cluster itself has not finished with, so that its state is not yet what the status will have to equal."""
    held = case.node.hold
    pods = [] if held else case.pods("Pending") + case.pods("Running")
    deleting = [name for name, job in jobs.items() if "deletionTimestamp" in job["metadata"]]
    ending = [
        name
        for name, job in jobs.items()
        if not (held or job["spec"].get("suspend") or {"Complete", "Failed"} & true_conditions(job))
    ]
    return [f"{each} is still at work" for each in (*[pod["metadata"]["name"] for pod in pods], *deleting, *ending)]


def true_conditions(job: Object) -> set[str]:
    return {each["type"] for each in job["status"].get("conditions", ()) if each["status"] == "True"}


def _of_plan(plan: Object, jobs: dict[str, Object], case: Case, waiting: Sequence[str]) -> list[str]:
    spec, status, uid = plan["spec"], plan["status"], plan["metadata"]["uid"]
    phase = status.get("phase")
    if status.get("observedGeneration") != plan["metadata"]["generation"]:
        return [f"generation {plan['metadata']['generation']} is not observed, but {status.get('observedGeneration')}"]
    job = jobs.get(status.get("taskId", ""))
    mine = job is not None and uid in owners(job) and "deletionTimestamp" not in job["metadata"]
    wrong = _times(status)
    if phase in TERMINAL and not _left_to_others(plan, case):
        wrong += _result(status, case.node.claim.get(status.get("taskKey", "")))
    if not mine or job is None:
        reason = next((each["reason"] for each in status.get("conditions", ()) if each["type"] == "Ready"), "")
        if phase in TERMINAL or (phase == "Suspended" and spec.get("suspend")) or reason in waiting:
            return wrong
        return [*wrong, f"{phase} ({reason}), but there is no Job of its own"]
    expected = _phases(spec, job)
    if phase not in expected:
        wrong.append(f"{phase}, but its Job is {' or '.join(sorted(expected))}")
    if status.get("jobRef", {}).get("uid") != job["metadata"]["uid"]:
        wrong.append(f"names Job UID {status.get('jobRef')}, but it is {job['metadata']['uid']}")
    counts = {"total": job["spec"]["completions"], **_counts(job)}
    if status.get("shards") != counts:
        wrong.append(f"shards {status.get('shards')}, but its Job has {counts}")
    return wrong


def _phases(spec: Object, job: Object) -> set[str]:
    """The phases that a Job's state may be called."""
    true = true_conditions(job)
    if "Complete" in true:
        return {"Completed"}
    if "Failed" in true:
        return {"Failed"}
    if spec.get("cancel"):
        return {"Cancelled"}
    if job["spec"].get("suspend"):
        return {"Suspended"} if spec.get("suspend") else {"Queued"}
    if job["status"].get("failed"):
        return {"Running", "Retrying"}
    return {"Running"} if job["status"].get("active") or job["status"].get("succeeded") else {"Running", "Pending"}


def _counts(job: Object) -> dict[str, int]:
    status = job["status"]
    failed = len([part for part in status.get("failedIndexes", "").split(",") if part])
    return {"active": status.get("active", 0), "succeeded": status.get("succeeded", 0), "failed": failed}


def _left_to_others(plan: Object, case: Case) -> bool:
    """A cancelled plan whose scan went on for others has no result: what is found is theirs, also when their Job has gone."""
    if plan["status"].get("phase") != "Cancelled":
        return False
    name = plan["status"].get("taskId", "")
    seen = [each.object for each in case.history.events(case.namespace) if each.kind == "job"]
    job = next((job for job in reversed(seen) if job["metadata"]["name"] == name), None)
    return job is not None and bool(owners(job) - {plan["metadata"]["uid"]})


def _times(status: Object) -> list[str]:
    """Durations are by the server's clock, whatever the operator's says."""
    if "durationMs" not in status:
        return []
    started, ended = (datetime.fromisoformat(status[name]) for name in ("startTime", "completionTime"))
    by_server = round((ended - started).total_seconds() * 1000)
    if status["durationMs"] != by_server or not 0 <= by_server < 600_000:
        return [f"took {status['durationMs']} ms, from {started} to {ended}"]
    return []


def _result(status: Object, folder: TaskFolder | None) -> list[str]:
    """What was found is published, and the status says so."""
    if folder is None or not folder.printed:
        return []
    digest = _digest(status)
    if digest is None:
        return [f"{len(folder.printed)} findings, and no artifact in the status: {status}"]
    if digest not in folder.merged:
        return [f"an artifact with SHA-256 {digest}, which nobody has published"]
    if status["findings"]["total"] != len(folder.merged[digest]):
        return [f"{status['findings']['total']} findings, but its artifact has {len(folder.merged[digest])}"]
    return []


def _digest(status: Object) -> str | None:
    files = status.get("artifacts", {}).get("files", ())
    return next((file["sha256"] for file in files if file["name"] == MERGED_FILE), None)


def findings_lost(case: Case) -> list[str]:
    """Findings of any attempt that the artifact of a plan that has ended doesn't have."""
    lost: set[str] = set()
    for plan in case.history.now("plan", case.namespace).values():
        status = plan["status"]
        folder = case.node.claim.get(status.get("taskKey", ""))
        if folder and status.get("phase") in TERMINAL and not _left_to_others(plan, case):
            lost |= folder.printed - folder.merged.get(_digest(status) or "", set())
    return sorted(lost)


# the whole history


def always(case: Case) -> tuple[int, list[str]]:
    """The most Jobs that one key has had in all, and every moment at which one key had the pods of two."""
    uids: defaultdict[str, set[str]] = defaultdict(set)
    key_of: dict[str, str] = {}
    alive: defaultdict[str, dict[str, str]] = defaultdict(dict)
    broken: list[str] = []
    for event in case.history.events(case.namespace):
        metadata = event.object["metadata"]
        if event.kind == "job":
            key = metadata.get("annotations", {}).get(labels.TASK_KEY)
            if key:
                uids[f"{metadata['name']} {key}"].add(metadata["uid"])
                key_of[metadata["uid"]] = f"{metadata['name']} {key}"
        elif event.kind == "pod":
            job = metadata.get("labels", {}).get("batch.kubernetes.io/controller-uid", "")
            key = metadata.get("labels", {}).get(labels.TASK, "") + metadata["labels"].get(labels.COMPONENT, "")
            ended = event.gone or event.object["status"].get("phase") in {"Succeeded", "Failed"}
            if ended:
                alive[key].pop(metadata["uid"], None)
            else:
                alive[key][metadata["uid"]] = job
            if len(set(alive[key].values())) > 1:
                broken.append(f"pods of two Jobs at once: {alive[key]}")
    return max(map(len, uids.values()), default=0), broken


def owners(job: Object) -> set[str]:
    """UIDs of a Job's owners."""
    return {reference["uid"] for reference in job["metadata"].get("ownerReferences", ())}
