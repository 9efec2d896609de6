"""Artifacts over HTTP: streamed, in ranges, with their checksum; and nothing else that may lie on the volume.

Scan pods write to the claim, so what is on it is not trusted. No symbolic link is followed on the way to a file, and a file
whose size is not the recorded one is not served.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from aiohttp import helpers, web

from scanplan.client.errors import InvalidPayload
from scanplan.client.models import ArtifactRef
from scanplan.runner.artifacts import durable
from scanplan.web.api.blocking import Calls

BLOCK_BYTES = 256 << 10
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_MEDIA_TYPES = {".ndjson": "application/x-ndjson", ".json": "application/json", ".html": "text/html; charset=utf-8"}


class Span(NamedTuple):
    """A part of a file: from `start` up to, not including, `end`."""

    start: int
    end: int


def open_below(root: Path, path: PurePosixPath) -> int:
    """A descriptor of the regular file at `path` below `root`, reached without following any link.

    Raises:
        FileNotFoundError: there is none.
    """
    try:
        return durable.open_below(root, path)
    except OSError as error:
        raise FileNotFoundError(f"{path}: {error.strerror}") from error


def attachment(name: str) -> str:
    """A Content-Disposition that has a file kept under this name, with whatever it has encoded (RFC 6266)."""
    return helpers.content_disposition_header("attachment", filename=_UNPRINTABLE.sub("_", name))


def span_of(header: str | None, size: int) -> Span | None:
    """The part that a Range header asks for; None: all of it (no header, several ranges, or another unit: RFC 9110, 14.2).

    Raises:
        web.HTTPRequestRangeNotSatisfiable: there is nothing at that place.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if first:
        span = Span(int(first), min(int(last) + 1, size) if last else size)
        if last and int(last) < int(first):
            return None
    else:
        span = Span(max(0, size - int(last)), size)
    if span.start >= size or span.start >= span.end:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return span


async def send(
    request: web.Request, root: Path, folder: str, file: ArtifactRef, calls: Calls, name: str = ""
) -> web.StreamResponse:
    """Answer with an artifact, or the part of it that is asked for.

    Args:
        name: to be kept under; by default its own.

    Raises:
        FileNotFoundError: it is not on this volume.
        InvalidPayload: its size is not the recorded one.
    """
    descriptor = await calls.run(open_below, root, PurePosixPath(folder) / file.name)
    with _closing(descriptor):
        size = os.fstat(descriptor).st_size
        if size != file.bytes:
            raise InvalidPayload(f"{folder}/{file.name} has {size} bytes, and {file.bytes} were published")
        tag = f'"{file.sha256}"'
        digest = base64.b64encode(bytes.fromhex(file.sha256)).decode()
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            "Content-Type": _MEDIA_TYPES.get(Path(file.name).suffix, "application/octet-stream"),
            "Content-Disposition": attachment(name or file.name),
            "Content-Security-Policy": "sandbox",  # whatever a browser makes of it: it has what scanned hosts have said
            "ETag": tag,
            "Repr-Digest": f"sha-256=:{digest}:",
            "X-Content-Type-Options": "nosniff",
        }
        if tag in [known.strip() for known in request.headers.get("If-None-Match", "").split(",")]:
            return web.Response(status=304, headers={name: headers[name] for name in ("ETag", "Cache-Control")})
        wanted = request.headers.get("Range")
        if request.headers.get("If-Range", tag) != tag:
            wanted = None
        span = span_of(wanted, size)
        response = web.StreamResponse(status=206 if span else 200, headers=headers)
        if span:
            response.headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
        span = span or Span(0, size)
        response.content_length = span.end - span.start
        await response.prepare(request)
        try:
            if request.method != "HEAD":
                await _copy(descriptor, span, response, calls)
            await response.write_eof()
        except Exception:
            if request.transport:  # half an answer must not look like a whole one, nor be followed by an error's text
                request.transport.abort()
            raise
        return response


async def _copy(descriptor: int, span: Span, response: web.StreamResponse, calls: Calls) -> None:
    position = span.start
    while position < span.end:
        block = await calls.run(os.pread, descriptor, min(BLOCK_BYTES, span.end - position), position)
        if not block:
            raise InvalidPayload("an artifact was cut while it was sent")
        await response.write(block)
        position += len(block)


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)
