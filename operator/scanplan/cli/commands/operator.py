"""``scanplan operator``: the process that watches ScanPlans."""

from __future__ import annotations

import asyncio
import os
from enum import StrEnum
from typing import Annotated

import typer

import scanplan.operator
from scanplan.cli.output.terminal import say
from scanplan.client.errors import ClientError
from scanplan.controller.engine.http import CannotListen
from scanplan.controller.engine.leadership import LeadershipLost
from scanplan.controller.plan_watch import WatchEnded, configure_log
from scanplan.controller.reads.platform import ServerTooOld
from scanplan.settings.loading import InvalidSettings


class LogFormat(StrEnum):
    """How the operator writes its log."""

    TEXT = "text"
    JSON = "json"


def operator(
    log_format: Annotated[
        LogFormat, typer.Option(help="Format of the log.", envvar="SCANPLAN_LOG_FORMAT")
    ] = LogFormat.TEXT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Run the operator. It watches ScanPlans, runs their Jobs and writes their status.

    Settings come from environment variables; docs/configuration.md lists them. SCANPLAN_SCANNER_IMAGE is required.
    """
    try:
        configuration = scanplan.operator.load()
    except (InvalidSettings, ClientError) as error:
        say(f"scanplan operator: wrong settings\n{error}")
        raise typer.Exit(os.EX_CONFIG) from None
    configure_log(json=log_format is LogFormat.JSON, verbose=verbose)
    try:
        asyncio.run(scanplan.operator.run(configuration))
    except (LeadershipLost, WatchEnded) as error:
        say(f"scanplan operator: {error}")
        raise typer.Exit(os.EX_TEMPFAIL) from None
    except ServerTooOld as error:
        say(f"scanplan operator: {error}")
        raise typer.Exit(os.EX_CONFIG) from None
    except CannotListen as error:
        say(f"scanplan operator: {error}")
        raise typer.Exit(os.EX_UNAVAILABLE) from None
