"""``scanplan api``: runs the monitoring API as a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os

import typer

from scanplan.cli.output.terminal import say
from scanplan.client import errors
from scanplan.client.settings import load_settings


def api() -> None:
    """Serve the monitoring API and its page over HTTP. It only reads: states, results, artifacts, metrics.

    Settings come from environment variables; docs/migration.md lists them.
    Exit codes: 78 a setting is wrong; 69 no queue, no cluster, or the port is taken.
    """
    try:
        from scanplan.web import server, settings  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        say(f"scanplan api: {error.name} is not installed: pip install 'scanplan[operator]'")
        raise typer.Exit(os.EX_UNAVAILABLE) from None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        queue_settings, api_settings = load_settings(), settings.load()
    except errors.InvalidSettings as error:
        say(f"scanplan api: wrong settings\n{error}")
        raise typer.Exit(os.EX_CONFIG) from None
    try:
        asyncio.run(server.serve(queue_settings, api_settings))
    except (errors.ClientError, OSError) as error:
        say(f"scanplan api: {error}")
        raise typer.Exit(os.EX_UNAVAILABLE) from None
