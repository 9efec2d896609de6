"""``scanplan doctor``: checks whether this cluster is ready for scans, and whether the user may ask for them.

Each check is a function that returns what it saw and, if that is bad, what to do. What the user may not read is unknown, which
is no failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scanplan.api import labels
from scanplan.cli import operator_settings, options, policies, volumes
from scanplan.cli.commands.explain import used_up
from scanplan.cli.output.checks import Check, Verdict
from scanplan.cli.output.failure import UNAVAILABLE, USAGE, Failure, Forbidden, told
from scanplan.cli.output.terminal import say, waiting, write_json
from scanplan.core.planning import server_version
from scanplan.core.status.failure import IMAGE_REASONS
from scanplan.kube import resources
from scanplan.kube.resources import CLAIMS, DEFINITIONS, NETWORK_POLICIES, NODES, PODS, RESOURCE_QUOTAS

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object

PUSH = "`make push REGISTRY=…` and the values that it writes; for a private registry, imagePullSecrets"
DEFAULT_CLAIM = "scanplan-artifacts"
SWITCHES = {
    labels.PLURAL: "",
    labels.SCHEDULE_PLURAL: "SCANPLAN_SCHEDULES",
    labels.EXCEPTION_PLURAL: "",
    labels.NOTIFIER_PLURAL: "SCANPLAN_NOTIFIERS",
}
"""The operator's setting that says whether it acts on a kind, and so needs its definition; empty: it always does."""
RIGHTS = (
    (
        "watch plans",
        (
            ("get", labels.GROUP, "scanplans", ""),
            ("list", labels.GROUP, "scanplans", ""),
            ("watch", labels.GROUP, "scanplans", ""),
        ),
    ),
    (
        "submit, rerun and cancel plans",
        (("create", labels.GROUP, "scanplans", ""), ("patch", labels.GROUP, "scanplans", "")),
    ),
    ("see progress and logs", (("list", "", "pods", ""), ("get", "", "pods", "log"))),
    (
        "read results and artifacts",
        (
            ("create", "", "pods", ""),
            ("get", "", "pods", ""),
            ("delete", "", "pods", ""),
            ("get", "", "pods", "exec"),
            ("create", "", "pods", "exec"),
        ),
    ),
    ("explain plans", (("list", "batch", "jobs", ""), ("list", "", "events", ""), ("list", "", "resourcequotas", ""))),
)


@told
def doctor(
    claim: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Try this claim in a pod: write, sync, rename, link, space.", show_default=False
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="The scanner's, for --claim where you can't read the operator's settings.",
            show_default=False,
        ),
    ] = None,
    output: options.TextFormat = options.TextOrJson.TEXT,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Check that a cluster is ready for scans. API server, operator, CRDs, image, claim, quota, network, Kueue, your own rights.

    \b
      scanplan doctor
      scanplan doctor --claim scanplan-artifacts      does the storage do what scans need?

    Nothing is changed. With --claim, a pod writes a hidden folder to the claim and removes it.

    Exit codes: 0 ready, perhaps with warnings; 69 it is not.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    if image and not claim:
        raise Failure("--image is for the pod that tries a claim", "--claim NAME", USAGE)
    seen = []
    for check in _checks(connect(namespace, context, kubeconfig), claim, image):
        seen.append(check)
        if output is options.TextOrJson.TEXT:
            check.print()
    failed = sum(check.verdict is Verdict.FAILED for check in seen)
    if output is options.TextOrJson.JSON:
        write_json({"ready": not failed, "checks": [asdict(check) for check in seen]})
    if failed:
        say(f"not ready: {failed} of the checks failed", "red")
        raise typer.Exit(UNAVAILABLE)


def _checks(cluster: Cluster, claim: str | None, image: str | None) -> Iterator[Check]:
    yield _server(cluster)  # without the API server no other check can run
    environment: dict[str, str] = {}
    yield _allowed(_operator, cluster, environment)
    yield from _definitions(cluster, environment)
    yield _allowed(_image, cluster, environment)
    yield _allowed(_scan_defaults, cluster, environment)
    yield _allowed(partial(_claim, name=claim), cluster, environment)
    if claim:
        yield from _volume(cluster, claim, image or environment.get("SCANPLAN_SCANNER_IMAGE", ""))
    yield _allowed(_quota, cluster, environment)
    yield _allowed(_network, cluster, environment)
    yield _allowed(_kueue, cluster, environment)
    for what, rights in RIGHTS:
        missing = [_spelled(right) for right in rights if not cluster.allowed(*right)]
        seen = f"you may not: {', '.join(missing)}" if missing else "you may"
        yield Check(what, Verdict.WARNING if missing else Verdict.WELL, f"{seen} (namespace {cluster.namespace})")


def _allowed(look: Any, cluster: Cluster, environment: dict[str, str]) -> Check:
    """Run a check; its verdict is unknown where the user lacks the right."""
    try:
        check: Check = look(cluster, environment)
    except Forbidden as failure:
        return Check(_named(look), Verdict.UNKNOWN, failure.message)
    except Failure as failure:
        return Check(_named(look), Verdict.FAILED, failure.message, failure.hint)
    return check


def _named(look: Any) -> str:
    return str(getattr(look, "func", look).__name__).strip("_")


def _server(cluster: Cluster) -> Check:
    version = cluster.get("/version")
    numbers = server_version.parsed(version)
    seen = f"Kubernetes {version.get('gitVersion', '?')} at {cluster.address}"
    if numbers is None or numbers < server_version.OLDEST:
        oldest = server_version.spelled(server_version.OLDEST)
        return Check(
            "API server", Verdict.FAILED, seen, f"Kubernetes {oldest} or newer: retries of single shards need it"
        )
    lacking = [f"{each.field} (from {server_version.spelled(each.since)})" for each in server_version.missing(numbers)]
    return Check("API server", Verdict.WELL, f"{seen}; without {', '.join(lacking)}" if lacking else seen)


def _definitions(cluster: Cluster, environment: dict[str, str]) -> Iterator[Check]:
    """The CRDs of the kinds that the operator acts on."""
    for plural, switch in SWITCHES.items():
        if not operator_settings.is_on(environment, switch):
            continue
        check = _definition(cluster, plural)
        if switch and not environment and check.verdict is Verdict.FAILED:
            check = replace(check, verdict=Verdict.UNKNOWN, seen=f"{check.seen}; the operator's settings can't be read")
        yield check


def _definition(cluster: Cluster, plural: str) -> Check:
    """Whether a kind's CRD is installed, and has all fields that this version knows."""
    what, advice = "CRD", f"scanplan crd {plural} | kubectl apply --server-side -f -"
    name = f"{plural}.{labels.GROUP}"
    try:
        found = cluster.find(cluster.path(DEFINITIONS, name, namespace=None))
    except Forbidden:
        served = cluster.find(resources.group(labels.API_VERSION))
        if served is None or plural not in [each["name"] for each in served["resources"]]:
            return Check(what, Verdict.FAILED, f"{name} is not served", advice)
        return Check(what, Verdict.WELL, f"{name} is served")
    if found is None:
        return Check(what, Verdict.FAILED, f"{name} is not installed", advice)
    conditions = {each["type"]: each["status"] for each in (found.get("status") or {}).get("conditions") or ()}
    if conditions.get("Established") != "True":
        return Check(what, Verdict.FAILED, f"{name} is not established", f"kubectl describe crd {name}")
    from scanplan.api.schema import crd  # noqa: PLC0415 - loads all models

    missing = _fields(crd.custom_resource_definition(crd.DEFINITIONS[plural])) - _fields(found)
    if missing:
        return Check(
            what,
            Verdict.WARNING,
            f"{name} is older than this program: it lacks {', '.join(sorted(missing)[:5])}",
            advice,
        )
    return Check(what, Verdict.WELL, name)


def _fields(definition: Object) -> set[str]:
    """Paths of all fields of the served version's schema."""
    found: set[str] = set()

    def walk(schema: Any, path: str) -> None:
        for name, below in (schema.get("properties") or {}).items():
            found.add(f"{path}.{name}".strip("."))
            walk(below, f"{path}.{name}")
        if isinstance(schema.get("items"), dict):
            walk(schema["items"], f"{path}[]")

    for version in definition["spec"]["versions"]:
        if version["name"] == labels.VERSION:
            walk(version["schema"]["openAPIV3Schema"], "")
    return found


def _operator(cluster: Cluster, environment: dict[str, str]) -> Check:
    """Whether an operator runs. Puts its environment variables into `environment`."""
    what = "operator"
    found = list(operator_settings.deployments(cluster))
    if not found:
        return Check(
            what,
            Verdict.FAILED,
            "no Deployment of it in any namespace",
            "kubectl apply -k examples/install, or the Helm chart",
        )
    here = [each for each in found if operator_settings.works_here(cluster, operator_settings.environment(each))]
    deployment = (here or found)[0]
    metadata, status = deployment["metadata"], deployment.get("status", {})
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    environment.update(operator_settings.environment(deployment))
    where = f"{metadata['namespace']}/{metadata['name']}"
    if not status.get("readyReplicas"):
        selector = {
            "labelSelector": ",".join(f"{k}={v}" for k, v in deployment["spec"]["selector"]["matchLabels"].items())
        }
        if unpulled := _unpulled(cluster, metadata["namespace"], selector):
            return Check(what, Verdict.FAILED, f"{where}: {unpulled}", PUSH)
        return Check(
            what,
            Verdict.FAILED,
            f"{where} is not ready",
            f"kubectl -n {metadata['namespace']} describe deployment {metadata['name']}",
        )
    if len(here) > 1:
        return Check(
            what,
            Verdict.WARNING,
            f"{len(here)} work on {cluster.namespace}: {where} and others",
            "give each its own namespaces: SCANPLAN_NAMESPACES, or SCANPLAN_NAMESPACE_SELECTOR",
        )
    if not here:
        return Check(
            what,
            Verdict.FAILED,
            f"{where} watches {operator_settings.namespaces_in(environment)}, not {cluster.namespace}",
            "label the namespace so that the selector finds it"
            if environment.get("SCANPLAN_NAMESPACE_SELECTOR")
            else "add it to SCANPLAN_NAMESPACES",
        )
    return Check(what, Verdict.WELL, f"{where}, {container['image']}")


def _scan_defaults(_: Cluster, environment: dict[str, str]) -> Check:
    """What the owner sets for all plans, and who their pods run as."""
    what = "scan defaults"
    if not environment:
        return Check(what, Verdict.UNKNOWN, "the operator's settings can't be read")
    words = operator_settings.defaults_in(environment)
    return Check(what, Verdict.WELL, words or "none: plans have the values of the reference")


def _image(cluster: Cluster, environment: dict[str, str]) -> Check:
    image = environment.get("SCANPLAN_SCANNER_IMAGE", "")
    if not image:
        return Check("scanner image", Verdict.UNKNOWN, "the operator's settings can't be read")
    scans = {"labelSelector": labels.TASK}
    if unpulled := _unpulled(cluster, cluster.namespace, scans):
        return Check("scanner image", Verdict.FAILED, unpulled, PUSH)
    try:
        nodes = [image in _images(node) for node in cluster.each(cluster.path(NODES, namespace=None))]
    except Forbidden:
        return Check("scanner image", Verdict.UNKNOWN, f"{image}: nodes may not be looked at")
    if any(nodes):
        return Check("scanner image", Verdict.WELL, f"{image}, on {sum(nodes)} of {len(nodes)} nodes")
    return Check(
        "scanner image",
        Verdict.WARNING,
        f"{image} is on no node yet",
        "the first scan pulls it; `scanplan explain` says if that fails",
    )


def _unpulled(cluster: Cluster, namespace: str, selector: dict[str, str]) -> str:
    """Which image a pod can't get, in words; empty where none is missing, or where pods may not be listed."""
    try:
        pods = list(cluster.each(cluster.path(PODS, namespace=namespace), selector))
    except Forbidden:
        return ""
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses", ()):
            waiting = container.get("state", {}).get("waiting", {})
            if waiting.get("reason") in IMAGE_REASONS:
                return f"image {container['image']} can't be pulled ({waiting['reason']}): {waiting.get('message', 'see the pod')}"
    return ""


def _images(node: Object) -> set[str]:
    """The images on a node. The kubelet lists only the largest fifty."""
    # The API server answers null for the names of an image that has none.
    images = (node.get("status") or {}).get("images") or ()
    return {name for image in images for name in image.get("names") or ()}


def _claim(cluster: Cluster, environment: dict[str, str], name: str | None) -> Check:
    what = "claim"
    name = name or environment.get("SCANPLAN_CLAIM_NAME") or DEFAULT_CLAIM
    found = cluster.find(cluster.path(CLAIMS, name, namespace=cluster.namespace))
    if found is None:
        return Check(
            what,
            Verdict.FAILED,
            f"there is no PersistentVolumeClaim {name} in namespace {cluster.namespace}",
            "create it, or name another in artifacts.claimName",
        )
    phase = found.get("status", {}).get("phase", "Pending")
    if phase == "Lost":
        return Check(what, Verdict.FAILED, f"{name} has lost its volume", f"kubectl describe pvc {name}")
    modes = found["spec"].get("accessModes", [])
    size = found.get("status", {}).get("capacity", {}).get("storage", "")
    seen = f"{name} is {phase}, {', '.join(modes)} {size}".strip()
    verdict, words = volumes.of_modes(modes)
    if verdict is not Verdict.FAILED and phase != "Bound":
        return Check(
            what, Verdict.WARNING, seen, "it may be bound by the first scan; `kubectl describe pvc` says if not"
        )
    return Check(what, verdict, f"{seen}: {words}" if words else seen)


def _volume(cluster: Cluster, claim: str, image: str) -> Iterator[Check]:
    """Try a claim in a pod."""
    from scanplan.client.cluster import volume_trial  # noqa: PLC0415 - needs the `kubernetes` extra

    if not image:
        yield Check("volume", Verdict.UNKNOWN, "the operator's settings can't be read", "--image IMAGE, the scanner's")
        return
    try:
        with waiting(f"Trying claim {claim} in a pod"):
            trial = volume_trial.tried(cluster, claim, image)
    except Failure as failure:
        yield Check("volume", Verdict.FAILED, failure.message, failure.hint)
        return
    yield from volumes.checks(claim, trial)


def _quota(cluster: Cluster, _: dict[str, str]) -> Check:
    quotas = list(cluster.each(cluster.path(RESOURCE_QUOTAS, namespace=cluster.namespace)))
    full = [f"{resource} ({used} of {hard})" for quota in quotas for resource, used, hard in used_up(quota)]
    if full:
        return Check("quota", Verdict.WARNING, f"used up: {', '.join(full)}", "scans wait until some is free")
    return Check(
        "quota", Verdict.WELL, f"{len(quotas)} in the namespace, none used up" if quotas else "none in the namespace"
    )


def _network(cluster: Cluster, _: dict[str, str]) -> Check:
    """Whether a NetworkPolicy in this namespace bounds the egress of its scan pods."""
    found = policies.bounding(cluster.each(cluster.path(NETWORK_POLICIES, namespace=cluster.namespace)))
    if not found:
        return Check(
            "network",
            Verdict.WARNING,
            f"no NetworkPolicy bounds what scan pods of namespace {cluster.namespace} reach; the target guard does",
            "networkPolicy.enabled and scanNamespaces of the Helm chart",
        )
    return Check(
        "network", Verdict.WELL, f"scan pods are under {', '.join(found)}, where the network enforces policies"
    )


def _kueue(cluster: Cluster, _: dict[str, str]) -> Check:
    group = cluster.find(resources.group(resources.KUEUE))
    if group is None:
        return Check("Kueue", Verdict.WELL, "not installed; only plans with queueName need it")
    local_queues = resources.local_queues(group["preferredVersion"]["groupVersion"])
    path = cluster.path(local_queues, namespace=cluster.namespace)
    queues = [queue["metadata"]["name"] for queue in cluster.each(path)]
    return Check(
        "Kueue",
        Verdict.WELL,
        f"LocalQueues {', '.join(queues)}" if queues else "installed, no LocalQueue in the namespace",
    )


def _spelled(right: tuple[str, str, str, str]) -> str:
    verb, _, resource, subresource = right
    return f"{verb} {resource}{'/' if subresource else ''}{subresource}"
