"""What admission changed of an object that the operator has written: the paths at which the API server's answer differs.

Mutating webhooks and policies change objects on their way in. The answer to a write is what there is, so the operator accepts
it. It refuses a Job, or a part of its task document, only where the change would lose or repeat a scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scanplan.api import environment, labels
from scanplan.core.planning import quantities

Object = Mapping[str, Any]

MOST = 20
"""Paths that a message names."""
ADDED = " (added)"
"""Ends the path of what was not written."""
MUTABLE = frozenset(
    {"spec.ttlSecondsAfterFinished", "spec.activeDeadlineSeconds", "spec.parallelism", "spec.suspend"},
)
"""Left out: `scanplan.core.observed.asked` compares these at any time, not only when the Job is made."""
_KEYS = ("name", "mountPath", "uid", "key", "type")
"""Fields by which elements of a list are found again, in this order."""
_SERVERS_OWN = ("batch.kubernetes.io/", "controller-uid", "job-name")
"""Labels and annotations that the API server adds to a Job and its pods."""
_CONTENTS = ("binaryData", "data")
"""What a ConfigMap or Secret holds, by key."""
_OPEN_MAPS = {"labels", "annotations", "nodeSelector", "limits", "requests", *_CONTENTS}
"""Maps to which the API server adds nothing but `_SERVERS_OWN`."""
_NEVER_DEFAULTED = {
    *(
        "affinity",
        "annotations",
        "args",
        "command",
        "dnsConfig",
        "envFrom",
        "finalizers",
        "hostAliases",
        "hostIPC",
        "hostNetwork",
    ),
    *("hostPID", "imagePullSecrets", "initContainers", "labels", "lifecycle", "livenessProbe", "managedBy", "nodeName"),
    *("nodeSelector", "overhead", "ports", "priorityClassName", "readinessProbe", "resources", "runtimeClassName"),
    *("serviceAccountName", "shareProcessNamespace", "startupProbe", "successPolicy", "tolerations"),
    *("topologySpreadConstraints", "workingDir", "limits", "requests"),
    *(
        "activeDeadlineSeconds",
        "add",
        "appArmorProfile",
        "fsGroup",
        "hostname",
        "hostUsers",
        "manualSelector",
        "medium",
    ),
    *("mountPropagation", "os", "privileged", "readinessGates", "readOnly", "recursiveReadOnly", "resourceClaims"),
    *("restartPolicyRules", "runAsGroup", "runAsUser", "schedulingGates", "seLinuxOptions", "setHostnameAsFQDN"),
    *("sizeLimit", "stdin", "stdinOnce", "subdomain", "subPathExpr", "supplementalGroups", "sysctls", "tty"),
    *("volumeDevices", "windowsOptions"),
}
"""Fields that stay empty unless somebody sets them."""
_DEFAULTS = {"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"}
"""Fields that the API server sets so, unless somebody has set them."""
_JOB_CONTROLLERS = {"", "kubernetes.io/job-controller"}
_POD = "spec.template.spec"
_SCANNER = f"{_POD}.containers[{labels.CONTAINER}]"
_ESSENTIAL = (
    "metadata.name",
    "metadata.ownerReferences",
    f"metadata.labels[{labels.GROUP}/",
    f"metadata.labels[{labels.MANAGED_BY}]",
    f"metadata.labels[{labels.COMPONENT}]",
    f"metadata.annotations[{labels.GROUP}/",
    f"metadata.annotations[{labels.PIN_PREFIX}",
    "spec.completionMode",
    "spec.completions",
    f"spec.template.metadata.labels[{labels.GROUP}/",
    f"spec.template.metadata.labels[{labels.COMPONENT}]",
    f"spec.template.metadata.annotations[{labels.GROUP}/",
    f"{_SCANNER}.args",
    f"{_SCANNER}.command",
    f"{_SCANNER}.env[SCANPLAN_",
    f"{_SCANNER}.volumeMounts[",
    f"{_SCANNER}.terminationMessagePath",
    *(f"{_POD}.volumes[{volume}]" for volume in ("claim", "task", "endpoints", "requests", *labels.SECRET_USES)),
    f"{_POD}.volumes[{labels.USE_EXPORT}-",
)
"""Without these as they were written, a task is not recognized, or not all of it is scanned once."""
_CLAIM_MOUNT = f"{_SCANNER}.volumeMounts[{environment.RUN_MOUNT}]"
_ESSENTIAL_IF_ADDED = {
    *(f"{_SCANNER}.args", f"{_SCANNER}.command"),
    *(f"{_CLAIM_MOUNT}.readOnly", f"{_CLAIM_MOUNT}.subPathExpr"),
}
_ESSENTIAL_IF_GONE = (_SCANNER, f"{_POD}.volumes[")


def of(sent: Object, answered: Object) -> tuple[str, ...]:
    """Paths of fields that have another value than was written, and of what was added; without the mutable ones of a Job."""
    parts = sent.keys() - {"apiVersion", "kind"}
    changes = {change for part in parts for change in _of_value(sent[part], answered.get(part), part)}
    for part in set(_CONTENTS) - sent.keys():
        changes |= set(_of_map({}, answered.get(part) or {}, part))
    return tuple(sorted(changes - MUTABLE))


def essential(paths: Sequence[str], answered: Object) -> tuple[str, ...]:
    """Those changes of a Job that the operator can't accept."""
    elsewhere = answered["spec"].get("managedBy", "") not in _JOB_CONTROLLERS
    return tuple(path for path in paths if _is_essential(path) or (elsewhere and path.startswith("spec.managedBy")))


def essential_of_document(paths: Sequence[str]) -> tuple[str, ...]:
    """Those changes of a ConfigMap or Secret without which the scan pods can't read their task, or not the right one."""
    return tuple(path for path in paths if path == "metadata.name" or _is_content(path))


def _is_content(path: str) -> bool:
    return path.startswith(_CONTENTS) and (not path.endswith(ADDED) or f"[{environment.TASK_FILE}" in path)


def named(paths: Sequence[str]) -> str:
    """The paths in a message."""
    more = f" and {len(paths) - MOST} more" if len(paths) > MOST else ""
    return ", ".join(paths[:MOST]) + more


def _is_essential(path: str) -> bool:
    if path.endswith(ADDED):
        # A sidecar's injector adds mounts and variables at other names; the image's own command runs the scan.
        return path.removesuffix(ADDED) in _ESSENTIAL_IF_ADDED
    gone = path.startswith(_ESSENTIAL_IF_GONE) and path.endswith("]") and path.count("[") == 1
    return gone or path.startswith(_ESSENTIAL)


def _of_map(sent: Object, answered: Object, path: str) -> Iterator[str]:
    open_map = path.rpartition(".")[2] in _OPEN_MAPS
    for name, value in sent.items():
        yield from _of_value(value, answered.get(name), _joined(path, name, open_map))
    for name in answered.keys() - sent.keys():
        known = name.startswith(_SERVERS_OWN) if open_map else _is_default(name, answered[name])
        if not known and not _is_empty(answered[name]):
            yield f"{_joined(path, name, open_map)}{ADDED}"


def _is_default(name: str, value: Any) -> bool:
    return name not in _NEVER_DEFAULTED and value == _DEFAULTS.get(name, value)


def _joined(path: str, name: str, open_map: bool) -> str:
    if open_map:
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else name


def _of_value(sent: Any, answered: Any, path: str) -> Iterator[str]:
    if isinstance(sent, Mapping) and isinstance(answered, Mapping):
        yield from _of_map(sent, answered, path)
    elif isinstance(sent, list | tuple) and isinstance(answered, list | tuple):
        yield from _of_list(sent, answered, path)
    elif not _same(sent, answered):
        yield path


def _of_list(sent: Sequence[Any], answered: Sequence[Any], path: str) -> Iterator[str]:
    key = _key(sent, path)
    if key is None:
        if len(sent) != len(answered):
            yield path
        else:
            for number, (before, after) in enumerate(zip(sent, answered, strict=True)):
                yield from _of_value(before, after, f"{path}[{number}]")
        return
    found = {each.get(key): each for each in answered if isinstance(each, Mapping)}
    for element in sent:
        place = f"{path}[{element[key]}]"
        if element[key] in found:
            yield from _of_value(element, found[element[key]], place)
        else:
            yield place
    yield from (f"{path}[{name}]{ADDED}" for name in found.keys() - {each[key] for each in sent})


def _key(elements: Sequence[Any], path: str) -> str | None:
    """The field that tells the elements of a list apart; a claim may be mounted twice, so its name tells nothing."""
    for key in ("mountPath",) if path.endswith(".volumeMounts") else _KEYS:
        if elements and all(isinstance(each, Mapping) and isinstance(each.get(key), str) for each in elements):
            return key if len({each[key] for each in elements}) == len(elements) else None
    return None


def _same(sent: Any, answered: Any) -> bool:
    if sent == answered or (_is_empty(sent) and _is_empty(answered)):
        return True
    try:
        return quantities.quantity(str(sent)) == quantities.quantity(str(answered))
    except ValueError:
        return False


def _is_empty(value: Any) -> bool:
    """The API server leaves out what is empty or false."""
    return value is None or value is False or (isinstance(value, str | Mapping | list) and not value)
