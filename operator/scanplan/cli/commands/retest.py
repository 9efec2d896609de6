"""``scanplan retest``: scans one finding again, by a plan of its own, and says whether it is still there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any

import typer

from scanplan.api import labels, wire
from scanplan.api.documents.records import ScanMetadata
from scanplan.api.errors import InvalidEndpoint
from scanplan.api.names import LIST_ENTRY
from scanplan.api.v1alpha1.plan.selection import TEMPLATE
from scanplan.cli import options, plans, result_source
from scanplan.cli.commands.watch import watch_to_end
from scanplan.cli.finding import found
from scanplan.cli.output.failure import ANSWER_IS_NO, DATA, UNAVAILABLE, USAGE, Failure, told
from scanplan.cli.output.terminal import answers, line, remarks, say, write_json
from scanplan.core.manifests.pod import IMAGE_TEMPLATES_DIRECTORY
from scanplan.core.planning.targets.endpoints import canonical
from scanplan.core.planning.task import TEMPLATES_DIRECTORY
from scanplan.findings.identity import PORTS, address, identity
from scanplan.kube.resources import PLANS

Object = Mapping[str, Any]

KEPT = (
    "projectId",
    "templatesFrom",
    "scanner",
    "dnsConfig",
    "hostAliases",
    "artifacts",
    "retry",
    "timeoutSeconds",
    "queueName",
    "queuePriorityClassName",
    "ttlSecondsAfterFinished",
    "podTemplate",
)
"""Fields of the plan that a retest has too: with what, how and where it scans."""


class Verdict(StrEnum):
    """What a retest has shown."""

    OPEN = "open"
    FIXED = "fixed"
    UNKNOWN = "unknown"


@told
def retest(
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="Of a finding of RUN, or the first 6 characters of it.")
    ],
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="The plan, runId or RUN~1 that has the finding.")],
    output: options.TextFormat = options.TextOrJson.TEXT,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Scan one finding again, and say open or fixed.

    \b
      scanplan retest 3f2a9c --run nightly

    A plan of its own scans the template of the finding on its target. It takes image, templates, resolvers and pod settings from
    the plan of RUN, and stays: kubectl delete scanplan removes it.

    Exit codes: 0 fixed; 1 open; 66 RUN has no such finding; 69 the scan could not tell.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(namespace, context, kubeconfig)
    with result_source.opened(None, namespace, context, kubeconfig) as shelves:
        result = shelves.find(run)
        finding, raw = found(result, fingerprint)
    name = f"retest-{identity(raw)[:10]}-{plans.now():%Y%m%d%H%M%S}"
    cluster.apply_plan(manifest(cluster.named(PLANS, result.scan.plan.name), raw, name))
    say(f"{name}: scans {finding.template_id} at {finding.matched_at or finding.host} again")
    completed = watch_to_end(cluster, [name], remarks())
    with result_source.opened(None, namespace, context, kubeconfig) as shelves:
        verdict = Verdict.UNKNOWN
        if completed or plans.findings(cluster.named(PLANS, name)):
            again = shelves.find(name)
            with again.findings.path.open("rb") as lines:
                verdict = verdict_of(raw, lines, again.scan)
    if output is options.TextOrJson.JSON:
        write_json({"plan": name, "fingerprint": finding.fingerprint, "verdict": verdict.value})
    else:
        answers().print(line(f"{verdict}: {finding.name} at {finding.matched_at or finding.host}"))
    if verdict is Verdict.OPEN:
        raise typer.Exit(ANSWER_IS_NO)
    if verdict is Verdict.UNKNOWN:
        raise Failure(f"{name} could not tell", f"scanplan explain {name}", UNAVAILABLE)


def manifest(plan: Object, raw: bytes, name: str) -> dict[str, Any]:
    """The plan that scans one finding again.

    Args:
        plan: whose result has the finding.
        raw: the finding's line.

    Raises:
        Failure: the finding does not say what to scan, or the target must not be named in a plan.
    """
    spec = plan["spec"]
    if any("secretKeyRef" in source for source in spec.get("endpointsFrom") or ()):
        hint = f"scanplan rerun {plan['metadata']['name']} --follow"
        raise Failure(
            "the targets of this plan come from a Secret, and a retest would name one in its spec", hint, USAGE
        )
    try:
        event = wire.decode(raw, dict[str, Any])
    except wire.UNREADABLE:
        event = {}
    template, endpoint = _template(event), _endpoint(event, spec.get("endpoints") or ())
    if not template or not endpoint:
        raise Failure("the finding does not say which template and target it is of", "scanplan rerun", DATA)
    wanted = {field: spec[field] for field in KEPT if field in spec}
    wanted |= {"runId": name, "rerun": name, "endpoints": [endpoint], "templates": [template]}
    return {
        "apiVersion": labels.API_VERSION,
        "kind": labels.KIND,
        "metadata": {"name": name, "labels": {labels.RETEST: "true"}},
        "spec": wanted,
    }


def verdict_of(raw: bytes, lines: Iterable[bytes], scan: ScanMetadata) -> Verdict:
    """Whether a finding is still there; fixed only where a complete scan has really looked, and was answered."""
    wanted = identity(raw)
    if any(identity(each) == wanted for each in lines):
        return Verdict.OPEN
    return Verdict.FIXED if scan.endpoints_scanned and scan.missed_nothing else Verdict.UNKNOWN


def _template(event: Object) -> str:
    """The template's path below its source; empty where the finding has none that a plan can name."""
    given = event.get("template-path")
    path = PurePosixPath(given if isinstance(given, str) else "")
    for folder in (
        PurePosixPath(IMAGE_TEMPLATES_DIRECTORY),
        *(PurePosixPath(TEMPLATES_DIRECTORY, str(n)) for n in range(20)),
    ):
        if path.is_relative_to(folder):
            text = str(path.relative_to(folder))
            return text if re.fullmatch(TEMPLATE, text) else ""
    return ""


def _endpoint(event: Object, endpoints: Iterable[str]) -> str:
    """The endpoint of the plan that the finding is of; otherwise the target that the finding names.

    Nuclei writes the endpoint as the finding's URL. Where it writes another one, such as for a host that it has tried on its ports,
    the endpoint has the same host and port. Of several it is one that Nuclei asks at that port (where it names none, at the default
    ports), and of these the one with the longest path.
    """
    members = (event.get(name) for name in ("url", "matched-at", "host", "port"))
    url, matched, host, port = (member if isinstance(member, str) else "" for member in members)
    if host and port and ":" not in host:
        host = f"{host}:{port}"
    where = _canonical(url or matched or host)
    found, closest = "", (False, -1)
    for endpoint in endpoints:
        written = _canonical(endpoint)
        if written == where:
            return endpoint
        close = _closeness(written, where)
        if close and close > closest:
            found, closest = endpoint, close
    target = url or host or matched
    return found or (target if re.fullmatch(LIST_ENTRY, target) else "")


def _canonical(written: str) -> str:
    """An endpoint as a scan names it; any other text, such as a range, as it is."""
    try:
        return canonical(written)
    except InvalidEndpoint:
        return written


def _closeness(endpoint: str, where: str) -> tuple[bool, int] | None:
    """Whether Nuclei asks an endpoint at a place's port, and how long its path is; None: the place is not on its host and port, or
    not at its path or below it."""
    own, place = address(endpoint), address(where)
    path, below = _below_host(endpoint), _below_host(where)
    same_port = own.port in {place.port, ""}
    if own.host != place.host or not same_port or not (below == path or below.startswith((f"{path}/", f"{path}?"))):
        return None
    return own.port == place.port or place.port in PORTS.values(), len(path)


def _below_host(written: str) -> str:
    """Path and query, without a slash at the end."""
    return re.sub(r"^(\w+://)?[^/?#]*", "", written).rstrip("/")
