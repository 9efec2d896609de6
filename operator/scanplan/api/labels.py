"""Labels, annotations and other names on our objects in a cluster.

The recommended labels are Kubernetes' own (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/).
All others are under our group, which plan authors can't use in their pod templates.
"""

from __future__ import annotations

from collections.abc import Mapping

GROUP = "scanplan.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ScanPlan"
PLURAL = "scanplans"
SCHEDULE_KIND = "ScanSchedule"
SCHEDULE_PLURAL = "scanschedules"
EXCEPTION_KIND = "ScanException"
EXCEPTION_PLURAL = "scanexceptions"
NOTIFIER_KIND = "ScanNotifier"
NOTIFIER_PLURAL = "scannotifiers"

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE = "scanplan-operator"
NAME = "app.kubernetes.io/name"
NAME_VALUE = "scanplan"
COMPONENT = "app.kubernetes.io/component"
COMPONENT_SCANNER = "scanner"
COMPONENT_COLLECTOR = "collector"
COMPONENT_EXPORTER = "exporter"

LINUX = {"kubernetes.io/os": "linux"}
"""Node selector of all our pods: the images are for Linux, and some clusters have Windows nodes too."""

CONTAINER = "scanner"
"""The scan pod's container: the one whose exit code and termination message count."""

TASK = f"{GROUP}/task"
"""Label: the task's Job name, on the Job and its pods; the watch on Jobs is filtered by its presence."""
CLAIM = f"{GROUP}/claim"
"""Label: the claim that a scan pod writes to; pods of a ReadWriteOnce claim find each other by it."""

TASK_KEY = f"{GROUP}/task-key"
"""Annotation on Jobs: the whole task key (a label value ends at 63 characters)."""
TASK_DOCUMENT = f"{GROUP}/task"
"""Annotation on scan pods: the task document, projected into the pod as a file."""
EXCEPTIONS = f"{GROUP}/exceptions"
"""Annotation on scan pods: the exceptions of their namespace, projected into the pod as a file."""
PIN_PREFIX = f"pin.{GROUP}/"
"""Prefix of an annotation on Jobs; an owner's UID follows. The value is the input digest that gave this owner its key."""
NEXT_RUN_DIGEST = f"{GROUP}/next-run-digest"
"""Annotation on Jobs: digest of the fields that only the next run can take up. It shows that a plan was edited in them."""

RETEST = f"{GROUP}/retest"
"""Label on plans that scan one finding of another run again: `true`. They count in no project, and no notifier tells of them."""
CREATOR = f"{GROUP}/creator"
"""Annotation on Jobs: UID of the plan that created the Job. Its other owners share the result."""
ENDPOINT_COUNT = f"{GROUP}/endpoints"
"""Annotation on Jobs: how many endpoints the task has."""

RATE_SHARES = f"{GROUP}/rate-shares"
"""Annotation on Jobs: by how many shards the plan's limit of requests was divided; absent where it has none."""
ASKED = f"{GROUP}/asked"
"""Annotation on Jobs: the values of their mutable fields that the operator last asked for."""

KUEUE_QUEUE = "kueue.x-k8s.io/queue-name"
"""Label on Jobs: the LocalQueue that admits them (https://kueue.sigs.k8s.io/docs/tasks/run/jobs/)."""
KUEUE_PRIORITY = "kueue.x-k8s.io/priority-class"
"""Label on Jobs: their WorkloadPriorityClass."""
KUEUE_JOB_UID = "kueue.x-k8s.io/job-uid"
"""Label on Kueue's Workloads: the Job that they stand for."""
USE = f"{GROUP}/use"
"""Label that a Secret needs before a plan may use it. The value names the use, one of those below."""
USE_ENDPOINTS = "endpoints"
USE_ENDPOINTS_FILE = "endpoints-file"
"""An access key of the S3 server that has the file."""
USE_HEADERS = "headers"
USE_VARIABLES = "variables"
USE_CLIENT_CERTIFICATE = "client-certificate"
USE_CREDENTIALS = "credentials"
USE_INTERACTSH = "interactsh"
SECRET_USES = (
    USE_ENDPOINTS_FILE,
    USE_HEADERS,
    USE_VARIABLES,
    USE_CLIENT_CERTIFICATE,
    USE_CREDENTIALS,
    USE_INTERACTSH,
)
"""Uses of Secrets that scan pods read; their volumes are named so too."""
USE_NOTIFIER = "notifier"
USE_EXPORT = "export"
SCAN = f"{GROUP}/scan"
"""Label that an object of the cluster carries, with the value "true", so that plans may discover its endpoints."""
SCAN_SCHEME = f"{GROUP}/scheme"
"""Annotation on such an object: http or https, whatever else it says."""
SCAN_PATH = f"{GROUP}/path"
"""Annotation on such an object: the path to scan instead of those that it names."""
DISCOVERY = f"{GROUP}/discovery"
"""Annotation on Jobs: what was discovered and left out when the task was made, as JSON."""
FIRST_SEEN = f"{GROUP}/first-seen"
"""Annotation on Jobs: when the task's inputs were first seen. A shard published long before is scanned again."""
DOCUMENT_PARTS = f"{GROUP}/task-parts"
"""Annotation on Jobs: in how many ConfigMaps or Secrets the task document is kept; absent where it is inline."""

SCHEDULE = f"{GROUP}/schedule"
"""Label on ScanPlans: name of the ScanSchedule that they are runs of."""
SCHEDULED_AT = f"{GROUP}/scheduled-at"
"""Annotation on runs of a ScanSchedule: the time of the timetable that they were made for; absent on triggered ones."""
TEMPLATES_DIGEST = f"{GROUP}/templates-digest"
"""Annotation on runs of a ScanSchedule with rescanOn: digest of the images that held their templates."""


def is_retest(found: Mapping[str, str] | None) -> bool:
    """Whether an object with these labels scans one finding of another run again."""
    return (found or {}).get(RETEST) == "true"


def of_claim(claim: str) -> dict[str, str]:
    """The label of all pods that mount a claim. By it the pods of a ReadWriteOnce claim find each other."""
    return {CLAIM: claim[:63].rstrip("-.")}
