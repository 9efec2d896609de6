"""Advice for each reason that a plan may stop for: commands to type, shown beside the operator's message.

`NAME` in a command stands for the plan's name. A test checks that every reason of a failure has its advice.
"""

from __future__ import annotations

from scanplan.api.v1alpha1.conditions import Reason

_SPEC = "kubectl edit scanplan NAME"
_LOGS = "scanplan logs NAME"
_AGAIN = "scanplan rerun NAME"

ADVICE: dict[str, tuple[str, ...]] = {
    Reason.INVALID_ENDPOINT: (f"correct the endpoint: {_SPEC}",),
    Reason.TARGET_DENIED: (
        f"remove the endpoint: {_SPEC}",
        "or ask the operator's owner to change SCANPLAN_DENIED_TARGETS",
    ),
    Reason.INPUT_UNAVAILABLE: (
        "create what is missing: it is looked for again by itself, at least every five minutes",
        f"for a file on the claim, put it there and scan again: {_AGAIN}",
    ),
    Reason.INPUTS_TOO_LARGE: (f"name fewer or smaller ConfigMaps and Secrets, or make several plans: {_SPEC}",),
    Reason.INPUTS_CHANGED: (f"scan with what is there now: {_AGAIN}",),
    Reason.INVALID_SPEC: (f"leave it out: {_SPEC}", "or ask the operator's owner to allow it"),
    Reason.NAME_CONFLICT: ("remove the Job that has the name", f"or scan under another: {_AGAIN}"),
    Reason.JOB_REJECTED: (f"correct the field, usually of podTemplate: {_SPEC}",),
    Reason.JOB_ALTERED: (
        "exempt the operator's Jobs from the admission webhook or policy that changes them",
        f"then scan again: {_AGAIN}",
    ),
    Reason.API_REQUEST_FAILED: (
        "give the right, or mend the webhook, that the message names; it is tried again by itself",
    ),
    Reason.NO_FIXED_POINT: ("find what changes the Job back: kubectl get job NAME -o yaml --show-managed-fields",),
    Reason.INTERNAL_ERROR: ("read the operator's log, and report the fault",),
    Reason.QUOTA_EXCEEDED: (
        "nothing: it is tried again by itself, at least every minute",
        "or free, or raise, the quota",
    ),
    Reason.RUNNING_ELSEWHERE: ("nothing: its result is taken over, and if it fails there the scan starts here",),
    Reason.OUTSIDE_WINDOW: (
        "nothing: it goes on in its next window",
        'or let it run at any time: kubectl patch scanplan NAME --type=merge -p \'{"spec":{"windows":null}}\'',
    ),
    Reason.WAITING_FOR_PODS: ("nothing: it goes on when the pods of the old Job have ended",),
    Reason.RUN_ID_CONFLICT: (f"choose another runId: {_SPEC}",),
    Reason.NUCLEI_BINARY_ERROR: (f"read what Nuclei said: {_LOGS}", f"then correct it, and {_AGAIN}"),
    Reason.TEMPLATES_NOT_FOUND: (f"correct templates, or add their source to templatesFrom: {_SPEC}",),
    Reason.NO_TEMPLATES_LOADED: (f"correct templates or severityLevels: {_SPEC}",),
    Reason.NOTHING_SENT: (f"remove the templates that can't be sent, or what keeps them from it: {_SPEC}",),
    Reason.INVALID_OPTIONS: (f"correct scanner: {_SPEC}",),
    Reason.TASK_DOCUMENT_INVALID: ("operator and scanner image are of different versions: install the same of both",),
    Reason.CLAIM_NOT_WRITABLE: ("make the claim's root writable for the group of scan pods, then " + _AGAIN,),
    Reason.OUT_OF_MEMORY: (
        f"raise podTemplate.resources.limits.memory, or lower scanner.concurrency or sharding.maxEndpointsPerShard: {_SPEC}",
        f"then {_AGAIN}",
    ),
    Reason.DISK_FULL: ("enlarge the claim, or remove old runs: scanplan prune", f"then {_AGAIN}"),
    Reason.STORAGE_ERROR: ("look at the claim's storage", f"then {_AGAIN}"),
    Reason.LOGIN_FAILED: (
        "check template, input and variables of the login in the Secret of credentialsFrom",
        f"then {_AGAIN}",
    ),
    Reason.NETWORK_UNAVAILABLE: ("check DNS and network policies of the namespace", f"then {_AGAIN}"),
    Reason.ENDPOINTS_UNREACHABLE: ("check that pods of the namespace reach the endpoints", f"then {_AGAIN}"),
    Reason.SCANNER_ENVIRONMENT: (f"read what Nuclei said: {_LOGS}",),
    Reason.SCANNER_HUNG: ("use smaller shards: sharding.maxEndpointsPerShard", f"then {_AGAIN}"),
    Reason.SCANNER_KILLED: (f"read the log: {_LOGS}", f"then {_AGAIN}"),
    Reason.SCANNER_PANIC: (f"read Nuclei's words: scanplan artifacts get NAME --all, then {_AGAIN}",),
    Reason.ATTEMPT_TIMEOUT: (f"raise timeoutSeconds, or use more shards: {_SPEC}", f"then {_AGAIN}"),
    Reason.INTERRUPTED: (_AGAIN,),
    Reason.UNKNOWN_ERROR: (f"read the log: {_LOGS}", f"then {_AGAIN}"),
    Reason.DEADLINE_EXCEEDED: (f"raise deadlineSeconds or sharding.parallelism: {_SPEC}", f"then {_AGAIN}"),
    Reason.RETRIES_EXHAUSTED: (f"read the log: {_LOGS}", f"then {_AGAIN}"),
    Reason.RESULT_MISSING: ("look at what is on the claim: scanplan artifacts list NAME --all", f"then {_AGAIN}"),
    Reason.POD_FAILED: (f"read the log: {_LOGS}", f"then {_AGAIN}"),
    Reason.IMAGE_PULL_FAILED: (f"correct scanner.image or podTemplate.imagePullSecrets: {_SPEC}",),
    Reason.UNSCHEDULABLE: (f"ask for what nodes have (podTemplate): {_SPEC}", "or add nodes"),
    Reason.EVICTED: (_AGAIN,),
}


def of(reason: str, name: str) -> list[str]:
    """Commands for a reason; empty where it needs none, or where this version does not know the reason."""
    return [words.replace("NAME", name) for words in ADVICE.get(reason, ())]
