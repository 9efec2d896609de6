"""``scanplan doctor``: checks whether this cluster is ready for scans, and whether the user may ask for them.

The checks are in `cli.checks`. What the user may not read is unknown, which is no failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from scanplan.cli import options
from scanplan.cli.checks import images, network, operators, queueing, rights, server, storage
from scanplan.cli.checks.check import Check, Verdict, tried
from scanplan.cli.output.failure import UNAVAILABLE, USAGE, Failure, told
from scanplan.cli.output.terminal import say, write_json

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster


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
    yield server.api_server(cluster)  # without the API server no other check can run
    operator, environment = _operator(cluster)
    yield operator
    yield from server.definitions(cluster, environment)
    yield tried(images.SCANNER_IMAGE, lambda: images.scanner(cluster, environment))
    yield operators.scan_defaults(environment)
    yield tried(storage.CLAIM, lambda: storage.claim(cluster, environment, claim))
    if claim:
        yield from storage.volume(cluster, claim, image or environment.get("SCANPLAN_SCANNER_IMAGE", ""))
    yield tried(queueing.QUOTA, lambda: queueing.quota(cluster))
    yield tried(network.NETWORK, lambda: network.egress(cluster))
    yield tried(queueing.KUEUE, lambda: queueing.kueue(cluster))
    yield from rights.of_user(cluster)


def _operator(cluster: Cluster) -> tuple[Check, Mapping[str, str]]:
    """The check of the operator, and the operator's environment variables; none if they can't be read."""
    environment: Mapping[str, str] = {}
    try:
        found = operators.Operators.of(cluster)
        environment = found.environment
        check = operators.working(cluster, found)
    except Failure as failure:
        check = Check.failed_to_look(operators.OPERATOR, failure)
    return check, environment
