"""``scanplan api``: the monitoring API as a process of its own, or beside the operator."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

import typer

from scanplan.client import errors
from scanplan.client import settings as queues
from scanplan.core.planning.policy import IDEMPOTENCY_WINDOW_SECONDS

if TYPE_CHECKING:
    from scanplan.client.redis.publication import Publication
    from scanplan.client.redis.sharing import SharedTasks
    from scanplan.controller.extension import Extension


def for_operator() -> Extension:
    """What `scanplan operator` runs with: the API where SCANPLAN_API_ENABLED asks for it, Redis where REDIS_URL names one.

    Raises:
        InvalidSettings: with a line for each wrong variable.
        MissingDependency: the package for Redis is not installed.
    """
    from scanplan.controller.app import PLAIN  # noqa: PLC0415
    from scanplan.web import settings  # noqa: PLC0415

    api_settings = settings.load()
    asked = os.environ.get("REDIS_URL") or os.environ.get("SCANPLAN_SHARED_TASKS")
    told, shared = _in_redis() if asked else (None, None)
    if not api_settings.in_operator and told is None:
        return PLAIN
    from scanplan.web.beside import Surroundings  # noqa: PLC0415

    served = (queues.load(), api_settings) if api_settings.in_operator else None
    return Surroundings(served, told, shared)


def _in_redis() -> tuple[Publication | None, SharedTasks | None]:
    try:
        from scanplan.client.redis import publication, sharing  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        raise errors.MissingDependency("redis", "redis") from error
    chosen = publication.load()
    url, cluster = chosen.redis_url, chosen.cluster_name
    if url is None:
        return None, None
    if not chosen.shared_tasks:
        return publication.Publication(url, cluster), None
    shared = sharing.SharedTasks(url, cluster, IDEMPOTENCY_WINDOW_SECONDS)
    return publication.Publication(url, cluster, shared.settle), shared


def api() -> None:
    """Serve the monitoring API and its page over HTTP. It only reads: states, results, artifacts, metrics.

    Settings come from environment variables; docs/migration.md lists them.
    Exit codes: 78 a setting is wrong; 69 no queue, no cluster, or the port is taken.
    """
    try:
        from scanplan.web import server, settings  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        typer.echo(f"scanplan api: {error.name} is not installed: pip install 'scanplan[operator]'", err=True)
        raise typer.Exit(os.EX_UNAVAILABLE) from None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        queue_settings, api_settings = queues.load(), settings.load()
    except errors.InvalidSettings as error:
        typer.echo(f"scanplan api: wrong settings\n{error}", err=True)
        raise typer.Exit(os.EX_CONFIG) from None
    try:
        asyncio.run(server.serve(queue_settings, api_settings))
    except (errors.ClientError, OSError) as error:
        typer.echo(f"scanplan api: {error}", err=True)
        raise typer.Exit(os.EX_UNAVAILABLE) from None
