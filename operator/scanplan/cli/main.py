"""``scanplan``: the command line.

Commands are thin: they read options, call one function of another package and print the outcome. Exit codes follow sysexits(3).
"""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from typing import Annotated

import typer

import scanplan
from scanplan.cli.commands import artifacts, exception, notify, schedule
from scanplan.cli.commands.api import api
from scanplan.cli.commands.cancel import cancel
from scanplan.cli.commands.diff import diff
from scanplan.cli.commands.discover import discover
from scanplan.cli.commands.doctor import doctor
from scanplan.cli.commands.explain import explain
from scanplan.cli.commands.findings import findings
from scanplan.cli.commands.get import get
from scanplan.cli.commands.logs import logs
from scanplan.cli.commands.plan import plan
from scanplan.cli.commands.prune import prune
from scanplan.cli.commands.rerun import rerun
from scanplan.cli.commands.results import results
from scanplan.cli.commands.retest import retest
from scanplan.cli.commands.run import run
from scanplan.cli.commands.submit import submit
from scanplan.cli.commands.watch import watch
from scanplan.cli.commands.worker import worker
from scanplan.cli.nuclei_flags import Flagged
from scanplan.cli.output.help import SETTINGS, Command, Commands
from scanplan.cli.output.terminal import say
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


def crd(
    kinds: Annotated[
        list[str] | None, typer.Argument(metavar="[PLURAL]...", help="Kinds, such as scanplans.", show_default="all")
    ] = None,
) -> None:
    """Print the CustomResourceDefinitions. `kubectl apply --server-side -f -` takes them."""
    import yaml  # noqa: PLC0415 - each command loads only what it needs

    from scanplan.api.schema.crd import DEFINITIONS, custom_resource_definition  # noqa: PLC0415

    if unknown := [kind for kind in kinds or () if kind not in DEFINITIONS]:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(DEFINITIONS)}")
    documents = [custom_resource_definition(DEFINITIONS[kind]) for kind in kinds or DEFINITIONS]
    typer.echo(yaml.safe_dump_all(documents, sort_keys=False, width=110), nl=False)


def reference() -> None:
    """Print the reference of ScanPlan's fields as Markdown."""
    from scanplan.api.schema import reference as page  # noqa: PLC0415

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

    from scanplan import operator as process  # noqa: PLC0415
    from scanplan.controller.app import WatchEnded  # noqa: PLC0415
    from scanplan.controller.engine.http import CannotListen  # noqa: PLC0415
    from scanplan.controller.engine.leadership import LeadershipLost  # noqa: PLC0415
    from scanplan.controller.platform import ServerTooOld  # noqa: PLC0415
    from scanplan.settings.loading import InvalidSettings  # noqa: PLC0415

    try:
        configuration = process.load()
    except (InvalidSettings, ClientError) as error:
        say(f"scanplan operator: wrong settings\n{error}")
        raise typer.Exit(os.EX_CONFIG) from None
    kopf.configure(
        log_format=kopf.LogFormat.JSON if log_format is LogFormat.JSON else kopf.LogFormat.FULL, verbose=verbose
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        asyncio.run(process.run(configuration))
    except (LeadershipLost, WatchEnded) as error:
        say(f"scanplan operator: {error}")
        raise typer.Exit(os.EX_TEMPFAIL) from None
    except ServerTooOld as error:
        say(f"scanplan operator: {error}")
        raise typer.Exit(os.EX_CONFIG) from None
    except CannotListen as error:
        say(f"scanplan operator: {error}")
        raise typer.Exit(os.EX_UNAVAILABLE) from None


for heading, commands in {
    "Scans": (submit, plan, discover, get, watch, explain, logs, cancel, rerun, run),
    "Results": (results, findings, diff, retest, prune),
    "Cluster": (doctor, crd, operator, api, worker),
    "About": (version, reference),
}.items():
    for command in commands:
        app.command(cls=Flagged if command is submit else Command, rich_help_panel=heading)(command)
    if heading == "Scans":
        app.add_typer(schedule.app, name="schedule", rich_help_panel=heading)
        app.add_typer(notify.app, name="notify", rich_help_panel=heading)
    if heading == "Results":
        app.add_typer(artifacts.app, name="artifacts", rich_help_panel=heading)
        app.add_typer(exception.app, name="exception", rich_help_panel=heading)


def main() -> None:
    """Entry point of the console script."""
    app()
