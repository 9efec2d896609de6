"""``scanplan``: the command line.

Commands are thin: they read options, call one function of another package and say how it went. Exit codes follow sysexits(3).
"""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from typing import Annotated

import typer

import scanplan
from scanplan.cli import artifacts
from scanplan.cli.api import api, for_operator
from scanplan.cli.cancel import cancel
from scanplan.cli.diff import diff
from scanplan.cli.doctor import doctor
from scanplan.cli.explain import explain
from scanplan.cli.get import get
from scanplan.cli.help import SETTINGS, Command, Commands
from scanplan.cli.logs import logs
from scanplan.cli.prune import prune
from scanplan.cli.rerun import rerun
from scanplan.cli.results import results
from scanplan.cli.run import run
from scanplan.cli.submit import submit
from scanplan.cli.watch import watch
from scanplan.cli.worker import worker
from scanplan.client.errors import ClientError

app = typer.Typer(
    name="scanplan",
    help="Nuclei at the scale of a cluster: ScanPlans become Kubernetes Jobs, findings land on a volume.",
    cls=Commands,
    context_settings=SETTINGS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class LogFormat(StrEnum):
    """How the operator writes its log."""

    TEXT = "text"
    JSON = "json"


def version() -> None:
    """Print the version."""
    typer.echo(scanplan.__version__)


def crd() -> None:
    """Print the CustomResourceDefinition of ScanPlan. `kubectl apply --server-side -f -` takes it."""
    import yaml  # noqa: PLC0415 - each command loads only what it needs

    from scanplan.api.crd import custom_resource_definition  # noqa: PLC0415

    typer.echo(yaml.safe_dump(custom_resource_definition(), sort_keys=False, width=110), nl=False)


def reference() -> None:
    """Print the reference of ScanPlan's fields as Markdown."""
    from scanplan.api import reference as page  # noqa: PLC0415

    typer.echo(page.markdown(), nl=False)


def operator(
    log_format: Annotated[
        LogFormat, typer.Option(help="Format of the log.", envvar="SCANPLAN_LOG_FORMAT")
    ] = LogFormat.TEXT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Run the operator. It watches ScanPlans, runs their Jobs and writes their status.

    Settings come from environment variables; docs/configuration.md lists them. SCANPLAN_SCANNER_IMAGE is required.
    """
    import asyncio  # noqa: PLC0415

    import kopf  # noqa: PLC0415

    from scanplan.shell import leadership, settings  # noqa: PLC0415
    from scanplan.shell import operator as process  # noqa: PLC0415

    try:
        configuration, extension = settings.load(), for_operator()
    except (settings.InvalidSettings, ClientError) as error:
        typer.echo(f"scanplan operator: wrong settings\n{error}", err=True)
        raise typer.Exit(os.EX_CONFIG) from None
    kopf.configure(
        log_format=kopf.LogFormat.JSON if log_format is LogFormat.JSON else kopf.LogFormat.FULL, verbose=verbose
    )
    for noisy in ("kopf.objects", "kopf._core", "kopf.activities"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        asyncio.run(process.run(configuration, extension=extension))
    except leadership.LeadershipLost as error:
        typer.echo(f"scanplan operator: {error}", err=True)
        raise typer.Exit(os.EX_TEMPFAIL) from None


for heading, commands in {
    "Scans": (submit, get, watch, explain, logs, cancel, rerun, run),
    "Results": (results, diff, prune),
    "Cluster": (doctor, crd, operator, api, worker),
    "About": (version, reference),
}.items():
    for command in commands:
        app.command(cls=Command, rich_help_panel=heading)(command)
    if heading == "Results":
        app.add_typer(artifacts.app, name="artifacts", rich_help_panel=heading)


def main() -> None:
    """Entry point of the console script."""
    app()
