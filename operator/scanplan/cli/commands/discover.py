"""``scanplan discover``: shows what a plan would take from the cluster, before anything is scanned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from scanplan.api import labels
from scanplan.api.errors import InvalidPlan
from scanplan.cli import options
from scanplan.cli.manifests import read_plans, spec_of
from scanplan.cli.output.failure import DATA, Failure, NotFound, told
from scanplan.cli.output.terminal import answers, say, write_json
from scanplan.core.discovery import gateways
from scanplan.core.discovery.reading import Found, Skipped, read
from scanplan.core.discovery.selection import Selection, selections
from scanplan.core.planning.policy import Policy
from scanplan.kube.resources import DISCOVERED, GATEWAYS_OF

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster

Object = dict[str, Any]


@told
def discover(
    file: Annotated[
        Path,
        typer.Option(
            "--file", "-f", metavar="FILE", help="ScanPlan manifests (YAML); - is standard input.", allow_dash=True
        ),
    ],
    output: options.TableFormat = options.TableOrJson.TABLE,
    any_selector: Annotated[
        bool,
        typer.Option("--any-selector", help="Also objects without the label scanplan.dev/scan, as some owners allow."),
    ] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show the endpoints that plans would discover. What is left out is told with its cause; nothing is scanned or written.

    \b
      scanplan discover -f scanplan.yaml
      scanplan discover -f scanplan.yaml -o json | jq -r '.endpoints[].endpoint'

    It reads with your own rights; the operator reads with its own. Its owner's list of denied targets is not known here: the
    list that it has by default is taken.

    Exit codes: 0; 65 something in the plan is wrong; 66 no such file, or nothing is discovered.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(namespace, context, kubeconfig)
    policy = Policy(scanner_image="", discovery_any_selector=any_selector, discovery_namespaces=("*",))
    found: list[Found] = []
    left_out: list[Skipped] = []
    for manifest in read_plans(file):
        for selection in _selections(cluster, manifest, policy):
            for each in _usable(cluster, selection, policy):
                if isinstance(each, Found):
                    found.append(each)
                else:
                    left_out.append(each)
    if output is options.TableOrJson.JSON:
        write_json(
            {
                "endpoints": [each._asdict() for each in found],
                "leftOut": [{"origin": each.origin, "why": each.why} for each in left_out],
            }
        )
    else:
        _print(found, left_out)
    if not found:
        hint = f"kubectl label ingress NAME {labels.SCAN}=true, and endpointsFrom in the plan"
        raise NotFound("nothing is discovered", hint)


def _selections(cluster: Cluster, manifest: Object, policy: Policy) -> list[Selection]:
    place = str(manifest["metadata"].get("namespace") or cluster.namespace)
    spec = spec_of(manifest)
    try:
        return [each for source in spec.endpoints_from for each in selections(source, place, policy)]
    except InvalidPlan as error:
        raise Failure(error.message, code=DATA) from None


def _usable(cluster: Cluster, selection: Selection, policy: Policy) -> list[Found | Skipped]:
    """What the objects of a selection name; the endpoints in their canonical form, each once."""
    known: dict[gateways.Gateway, gateways.Places | None] = {}
    told: dict[Found | Skipped, None] = {}
    path = cluster.path(DISCOVERED[selection.kind], namespace=selection.namespace)
    for item in cluster.each(path, {"labelSelector": selection.selector}):
        for gateway in gateways.gateways(selection.kind, item):
            if gateway not in known:
                known[gateway] = _gateway(cluster, gateway)
        for each in read(selection, item, known):
            told[_checked(each, policy)] = None
    return list(told)


def _gateway(cluster: Cluster, gateway: gateways.Gateway) -> gateways.Places | None:
    try:
        body = cluster.find(cluster.path(GATEWAYS_OF[gateway.kind], gateway.name, namespace=gateway.namespace))
    except Failure:
        return None
    return gateways.places_of(body) if body else None


def _checked(each: Found | Skipped, policy: Policy) -> Found | Skipped:
    if isinstance(each, Skipped):
        return each
    try:
        return Found(policy.guard.canonical(each.endpoint), each.origin)
    except InvalidPlan as error:
        return Skipped(each.origin, error.message)


def _print(found: list[Found], left_out: list[Skipped]) -> None:
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    for column in ("ENDPOINT", "NAMED BY"):
        table.add_column(column, overflow="fold")
    for each in found:
        table.add_row(Text(each.endpoint), Text(each.origin))
    if found:
        answers().print(table)
    for skipped in left_out:
        say(f"left out: {skipped}")
