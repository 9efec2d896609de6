"""``scanplan artifacts``: lists and fetches the files that a scan has left on its claim."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from scanplan.api.v1alpha1.scanplan_status import PublishedFile
from scanplan.cli import options, plans
from scanplan.cli.output.failure import DATA, NO_INPUT, Failure, told
from scanplan.cli.output.help import SETTINGS, Command
from scanplan.cli.output.terminal import answers, line, say, waiting
from scanplan.cli.plans import here
from scanplan.cli.result_source import check
from scanplan.kube.resources import PLANS

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.client.cluster.reader import Reader
    from scanplan.kube.objects import Object

app = typer.Typer(
    help="List and fetch the files of a scan.", no_args_is_help=True, rich_markup_mode=None, context_settings=SETTINGS
)


@app.command("list", cls=Command)
@told
def show(
    name: options.PlanName,
    every: Annotated[bool, typer.Option("--all", help="Of all attempts too, with Nuclei's logs.")] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List the files of a plan's result. With --all the claim itself is looked at.

    Exit codes: 0; 66 no such plan, or it has published nothing yet.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(namespace, context, kubeconfig)
    plan = cluster.named(PLANS, name)
    if every:
        with _opened(cluster, plan) as (reader, folder):
            files = reader.files(folder)
    else:
        files = [(file.name, file.bytes) for file in _published(plan)]
        if not files:
            raise Failure(f"{name} has published nothing yet", f"scanplan explain {name}", NO_INPUT)
    for path, size in files:
        answers().print(Text(f"{size:>14,}  ") + line(path))


@app.command("get", cls=Command)
@told
def fetch(
    name: options.PlanName,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Names as `list` shows them; by default the result's."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="DIR",
            help="Folder to write to; by default one called as the plan.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Of all attempts too, with Nuclei's logs.")] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Fetch files of a plan. Those of its result are checked against their published SHA-256 sums.

    Exit codes: 0; 65 a file is not what was published; 66 no such plan or file.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(namespace, context, kubeconfig)
    plan = cluster.named(PLANS, name)
    published = {file.name: file for file in _published(plan)}
    target = into or Path(name)
    with _opened(cluster, plan) as (reader, folder):
        wanted = [path for path, _ in reader.files(folder)] if every else files or list(published)
        if not wanted:
            raise Failure(f"{name} has published nothing", f"scanplan artifacts list {name} --all", NO_INPUT)
        for path in wanted:
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise Failure(f"{path!r} leads out of the plan's folder", code=DATA)
            copy = target / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            with copy.open("wb") as content:
                reader.copy(f"{folder}/{path}", content)
            if listed := published.get(path):
                check(copy, path, listed.bytes, listed.sha256)
            say(f"{copy} ({copy.stat().st_size:,} bytes{', checked' if listed else ''})")


@contextmanager
def _opened(cluster: Cluster, plan: Object) -> Iterator[tuple[Reader, str]]:
    """Open a reader of the plan's claim; gives it with the task's folder on the claim."""
    from scanplan.client.cluster import reader  # noqa: PLC0415 - needs the `kubernetes` extra

    status = plans.status(plan)
    name, artifacts = plans.name(plan), status.artifacts
    if artifacts is None:
        raise Failure(f"{name} has no folder yet: it hasn't started", f"scanplan explain {name}", NO_INPUT)
    here(plan)
    with ExitStack() as resources:
        with waiting(f"Starting a reader for claim {artifacts.claim_name}"):
            image = status.scanner.image if status.scanner else ""
            opened = resources.enter_context(reader.opened(cluster, plan, artifacts.claim_name, image))
        yield opened, artifacts.path


def _published(plan: Object) -> tuple[PublishedFile, ...]:
    """The files of the plan's result; empty before there is one."""
    artifacts = plans.status(plan).artifacts
    return (artifacts.files if artifacts else None) or ()
