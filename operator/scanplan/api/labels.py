"""Labels, annotations and other names that our objects carry in a cluster.

The recommended labels are Kubernetes' own (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/);
everything else lives under our group, which plan authors can't use in their pod templates.
"""

from __future__ import annotations

GROUP = "scanplan.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ScanPlan"
PLURAL = "scanplans"

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE = "scanplan-operator"
NAME = "app.kubernetes.io/name"
NAME_VALUE = "scanplan"
COMPONENT = "app.kubernetes.io/component"
COMPONENT_SCANNER = "scanner"

TASK = f"{GROUP}/task"
"""Label: the task's Job name, on the Job and its pods; the watch on Jobs is filtered by its presence."""
CLAIM = f"{GROUP}/claim"
"""Label: the claim that a scan pod writes to; pods of a ReadWriteOnce claim find each other by it."""

TASK_KEY = f"{GROUP}/task-key"
"""Annotation on Jobs: the whole task key (a label value ends at 63 characters)."""
TASK_DOCUMENT = f"{GROUP}/task"
"""Annotation on scan pods: the task document, projected into the pod as a file."""
PINNED = f"{GROUP}/pinned"
"""Annotation on Jobs: what each owner's (generation, rerun) was resolved to, as JSON."""

RESERVED_PREFIXES = (GROUP, "kubernetes.io", "k8s.io")
"""Label and annotation prefixes, with their subdomains, that a plan's podTemplate may not set."""
