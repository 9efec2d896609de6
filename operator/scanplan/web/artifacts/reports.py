"""A scan as SARIF, CSV or an HTML page, made from its artifacts as they are asked for, piece by piece.

An HTML page only where the scan has left none beside its findings, which is served as it is. Made on a thread and sent as it
comes, so a scan of any size is reported in little memory. What findings say comes from scanned hosts: a page is sent to be
kept, never to be shown as one of ours.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from aiohttp import web

import scanplan
from scanplan.api import layout
from scanplan.api.documents.records import ScanMetadata
from scanplan.api.documents.words import Severity
from scanplan.client.errors import InvalidPayload
from scanplan.client.models import ScanResult
from scanplan.findings.exceptions import Suppressor
from scanplan.findings.lookup import Life, in_file, nowhere
from scanplan.report import page, sarif, spreadsheet
from scanplan.report.finding import Finding, counted, read
from scanplan.report.scan import read_scan
from scanplan.web.api.blocking import Calls
from scanplan.web.artifacts.files import BLOCK_BYTES, attachment, open_below

Counts = Callable[[], Mapping[Severity, int]]
"""Counts the findings of a report by severity."""
Render = Callable[[ScanMetadata, Iterator[Finding], Counts | None, Life], Iterator[bytes]]
"""Without counts, they are all of the scan's."""
SARIF = "sarif"
"""Its readers take findings under an exception for alerts, so it has them only where they are asked for."""

FORMATS: dict[str, tuple[str, Render]] = {
    SARIF: (
        "application/sarif+json",
        lambda scan, found, counts, life: sarif.render(scan, found, scanplan.__version__, counts=counts, life=life),
    ),
    "csv": ("text/csv; charset=utf-8", lambda _, found, _counts, life: spreadsheet.render(found, life)),
    "html": (
        "text/html; charset=utf-8",
        lambda scan, found, _counts, life: page.render(scan, found, scanplan.__version__, life=life),
    ),
}
"""By name: the media type, and who makes it."""


def made_before(scan: bytes, suppressed: Suppressor) -> bool:
    """Whether the report that a scan has left says what is so today: no exception was counted then, and there is none now."""
    return not suppressed and read_scan(scan).exceptions is None


async def metadata(root: Path, result: ScanResult, calls: Calls) -> bytes:
    """The record of a scan.

    Raises:
        FileNotFoundError: it is not on this volume.
    """
    with await calls.run(_opened, root, PurePosixPath(result.artifact_path or "") / layout.METADATA) as file:
        return await calls.run(file.read)


async def send(
    request: web.Request, root: Path, result: ScanResult, name: str, calls: Calls, suppressed: Suppressor
) -> web.StreamResponse:
    """Answer with a report of a result that has artifacts.

    Args:
        suppressed: says which findings fall under an exception now.

    Raises:
        FileNotFoundError: the artifacts are not on this volume.
        InvalidPayload: they can't be read.
    """
    media_type, render = FORMATS[name]
    folder = PurePosixPath(result.artifact_path or "")
    content = await metadata(root, result, calls)
    with contextlib.ExitStack() as files:
        lines = files.enter_context(await calls.run(_opened, root, folder / layout.FINDINGS))
        life = files.enter_context(await calls.run(_lives, root, folder / layout.HISTORY))
        try:
            found = read(lines, suppressed)
            counts = None
            if suppressed and name == SARIF and request.query.get("include_suppressed") != "true":
                found = (finding for finding in found if finding.suppressed is None)
                counts = functools.partial(_open_counts, root, folder / layout.FINDINGS, suppressed)
            pieces = render(read_scan(content), found, counts, life)
        except ValueError as error:
            raise InvalidPayload(str(error)) from error
        headers = {
            "Content-Type": media_type,
            "Content-Disposition": attachment(f"{result.run_id}.{name}"),
            "Cache-Control": "private, no-store",
            "Content-Security-Policy": "sandbox",
            "X-Content-Type-Options": "nosniff",
        }
        block = await calls.run(_block, pieces)  # what can't be begun is still an error with a status of its own
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            while block and request.method != "HEAD":
                await response.write(block)
                block = await calls.run(_block, pieces)
            await response.write_eof()
        except Exception:
            if request.transport:  # half a report must not look like a whole one
                request.transport.abort()
            raise
        return response


def _opened(root: Path, path: PurePosixPath) -> BinaryIO:
    return os.fdopen(open_below(root, path), "rb")


def _open_counts(root: Path, path: PurePosixPath, suppressed: Suppressor) -> Mapping[Severity, int]:
    """How many findings of a file fall under no exception, by severity."""
    with _opened(root, path) as lines:
        return counted(lines, suppressed)


@contextlib.contextmanager
def _lives(root: Path, path: PurePosixPath) -> Iterator[Life]:
    """Looks up what is known of a finding; nothing where the result has no history."""
    try:
        file = _opened(root, path)
    except FileNotFoundError:
        yield nowhere
        return
    with file:
        descriptor = file.fileno()
        yield in_file(lambda offset, size: os.pread(descriptor, size, offset), os.fstat(descriptor).st_size)


def _block(pieces: Iterator[bytes]) -> bytes:
    """The next pieces, about a block of them; empty at the end."""
    taken, size = [], 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            break
    return b"".join(taken)
