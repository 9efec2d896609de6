"""Checks of a claim: whether it is there, and what a trial in a pod says of its volume, with the usual causes and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from scanplan.api.v1alpha1.volume_trial import VolumeTrial
from scanplan.cli.checks.check import SETTINGS_UNREAD, Check, Verdict
from scanplan.cli.output.failure import Failure
from scanplan.cli.output.terminal import waiting
from scanplan.kube.resources import CLAIMS

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster

CLAIM, VOLUME = "claim", "volume"
DEFAULT_CLAIM = "scanplan-artifacts"
LITTLE_BYTES = 1 << 30
"""Less free space than this is worth a warning: findings with their answers take some megabytes for a thousand endpoints."""
_REFUSED = ("EACCES", "EPERM")
_UNABLE = ("ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EINVAL", *_REFUSED)
_MODES = {
    "ReadWriteOnce": "all shards run on one node",
    "ReadWriteOncePod": "one pod at a time can use it, so shards wait for each other; use ReadWriteMany or ReadWriteOnce",
}


def claim(cluster: Cluster, environment: Mapping[str, str], name: str | None) -> Check:
    """Whether a claim is there, and what its access modes mean; by default the operator's own."""
    name = name or environment.get("SCANPLAN_CLAIM_NAME") or DEFAULT_CLAIM
    found = cluster.find(cluster.path(CLAIMS, name, namespace=cluster.namespace))
    if found is None:
        return Check(
            CLAIM,
            Verdict.FAILED,
            f"there is no PersistentVolumeClaim {name} in namespace {cluster.namespace}",
            "create it, or name another in artifacts.claimName",
        )
    phase = found.get("status", {}).get("phase", "Pending")
    if phase == "Lost":
        return Check(CLAIM, Verdict.FAILED, f"{name} has lost its volume", f"kubectl describe pvc {name}")
    modes = found["spec"].get("accessModes", [])
    size = found.get("status", {}).get("capacity", {}).get("storage", "")
    seen = f"{name} is {phase}, {', '.join(modes)} {size}".strip()
    verdict, words = of_modes(modes)
    if verdict is not Verdict.FAILED and phase != "Bound":
        return Check(
            CLAIM, Verdict.WARNING, seen, "it may be bound by the first scan; `kubectl describe pvc` says if not"
        )
    return Check(CLAIM, verdict, f"{seen}: {words}" if words else seen)


def of_modes(modes: list[str]) -> tuple[Verdict, str]:
    """What the access modes of a claim mean for scans; empty words: nothing."""
    if "ReadWriteMany" in modes:
        return Verdict.WELL, ""
    if "ReadWriteOnce" in modes:
        return Verdict.WELL, _MODES["ReadWriteOnce"]
    if "ReadWriteOncePod" in modes:
        return Verdict.WARNING, _MODES["ReadWriteOncePod"]
    return Verdict.FAILED, "scans can't write to it: it is read-only for all"


def volume(cluster: Cluster, claim: str, image: str) -> Iterator[Check]:
    """Try a claim in a pod of the scanner's image; empty: it is not known."""
    from scanplan.client.cluster import volume_trial  # noqa: PLC0415 - needs the `kubernetes` extra

    if not image:
        yield Check(VOLUME, Verdict.UNKNOWN, SETTINGS_UNREAD, "--image IMAGE, the scanner's")
        return
    try:
        with waiting(f"Trying claim {claim} in a pod"):
            trial = volume_trial.tried(cluster, claim, image)
    except Failure as failure:
        yield Check(VOLUME, Verdict.FAILED, failure.message, failure.hint)
        return
    yield from of_trial(claim, trial)


def of_trial(claim: str, trial: VolumeTrial) -> Iterator[Check]:
    """What the pod that tried a claim saw."""
    who = f"user {trial.user}, group {trial.group}"
    root = f"its root belongs to {trial.owner}:{trial.owner_group}, mode {trial.mode:04o}"
    if trial.failed:
        first = trial.failed[0]
        seen = f"{claim} can't {first.what} ({first.error}); pods are {who}, {root}"
        yield Check(VOLUME, Verdict.FAILED, seen, _advice(first.what, first.error, trial))
        return
    yield Check(VOLUME, Verdict.WELL, f"{claim} does all that scans need, as {who}")
    for each in trial.attempts:
        if each.error:
            yield Check(VOLUME, Verdict.WARNING, f"{claim} can't {each.what} ({each.error})", _LESS.get(each.what, ""))
    free = f"{trial.free_bytes / (1 << 30):,.1f} GiB free"
    if trial.free_bytes < LITTLE_BYTES:
        yield Check("space", Verdict.WARNING, free, "a larger claim, or `scanplan prune`")
    else:
        yield Check("space", Verdict.WELL, free)


_LESS = {
    "make a hard link": "nothing: files are published by a rename instead (SMB and S3 mounts have no links)",
    "make a symbolic link": "nothing: a run has no link `artifacts` to its newest task",
    "rename a folder": "`scanplan prune` removes runs in place, which readers may see",
    "sync a folder": "nothing: after a crash of the storage, a file just published may be missing",
    "remove a folder": "remove the hidden folder .scanplan-trial… by hand: this storage keeps what is deleted",
}


def _advice(what: str, error: str, trial: VolumeTrial) -> str:
    """What to do, by the error and what was tried."""
    if error == "EROFS":
        return "a claim whose volume is not mounted read-only"
    if error in {"ENOSPC", "EDQUOT"}:
        return "a larger claim, or `scanplan prune`: the volume is full"
    if what == "make a folder" and error in _REFUSED:
        return (
            f"let {trial.user}:{trial.group} write to the root. NFS with root squash and hostPath ignore fsGroup: chown it on the "
            f"server, or set scanner.podSecurityContext to its owner. EFS: an access point with user {trial.user}. "
            f"SMB: mount options uid={trial.user},gid={trial.group}"
        )
    if (
        what in {"append to a file", "rename a file over another", "refuse a second file of one name"}
        and error in _UNABLE
    ):
        return "a file system: mounts of S3, GCS and other object stores can't append or rename. NFS, EFS, CephFS and disks can"
    if what in {"refuse a second file of one name", "read back what was written"}:
        return "another storage class: this one loses or mixes what two writers write"
    return "another storage class, or its documentation; the error is the file system's own"
