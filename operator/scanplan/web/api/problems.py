"""Turns errors into RFC 9457 problem documents, with the same few types for all routes."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from scanplan.client.errors import InvalidPayload, MissingDependency, QueueUnavailable, UnknownTask
from scanplan.web.artifacts.remote import TooLarge, Unreadable

log = logging.getLogger("scanplan.api")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "5"


def problem(status: int, title: str, detail: str = "", headers: dict[str, str] | None = None) -> web.Response:
    """A problem document as the response."""
    body: dict[str, object] = {"type": "about:blank", "status": status, "title": title}
    if detail:
        body["detail"] = detail
    return web.Response(status=status, text=json.dumps(body), content_type=MEDIA_TYPE, headers=headers)


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever goes wrong into a problem document; what is our own fault is logged and not told."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {name: error.headers[name] for name in ("Allow", "WWW-Authenticate") if name in error.headers}
        return problem(error.status, error.reason, error.text or "", kept)
    except UnknownTask as error:
        return problem(404, "Unknown task", str(error))
    except QueueUnavailable as error:
        log.warning("%s: %s", request.path, error)
        return problem(
            503, "Queue unavailable", "the queue can't be reached: try again", {"Retry-After": RETRY_AFTER_SECONDS}
        )
    except Unreadable as error:
        return problem(502, "Claim unreadable", str(error))
    except TooLarge as error:
        return problem(507, "Artifact too large", str(error))
    except (InvalidPayload, MissingDependency) as error:
        log.error("%s: %s", request.path, error)
        return problem(500, "Damaged record", "what is stored of this task can't be read: see the API's log")
    except Exception:
        if (
            request.transport is None
        ):  # what fails when somebody goes away is no fault of ours, and nobody reads the answer
            return web.Response(status=499)
        log.exception("%s", request.path)
        return problem(500, "Internal error", "see the API's log")
