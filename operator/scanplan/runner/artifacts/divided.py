"""The shards of a task: their folders, and what each of them scans.

The name of a shard's folder is a digest of what the shard scans. If the task document lists the endpoints, each reader cuts the
shard's part out of that list. If they are in a file, only the shard itself knows its part. It writes that part into its folder
(`layout.ENDPOINTS`), where merges and collectors read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from scanplan.api import layout, wire
from scanplan.api.documents.records import Record, ShardEndpoints, ShardRecord, Unlisted
from scanplan.api.documents.report import THROTTLING, Trouble
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import EndpointsFileReport
from scanplan.core.planning import keys, shards
from scanplan.runner.artifacts import durable

LISTED = 100
"""Endpoints of each state that the records of a shard of a file list: a million would take more than a record may have."""


class Shard(NamedTuple):
    """A shard of a task."""

    number: int
    """From 0."""
    folder: Path
    endpoints: Sequence[str] | None
    """None: they are in a file."""


class _Counts(Record, frozen=True, kw_only=True):
    """A `ShardEndpoints` without its endpoints, which are many."""

    file: EndpointsFileReport


def parts(run: Path, document: TaskDocument) -> list[Shard]:
    """All shards of a task, by index."""
    if (file := document.endpoints_file) is not None:
        count = document.shards
        return [
            Shard(index, _folder(run, document, shards.file_digest(file.sha256, index, count)), None)
            for index in range(count)
        ]
    return [
        Shard(index, shard_folder(run, document, endpoints), endpoints)
        for index, endpoints in enumerate(shards.cut(document.endpoints, document.shards))
    ]


def shard_folder(run: Path, document: TaskDocument, endpoints: Sequence[str]) -> Path:
    """The folder of the shard with these endpoints."""
    return _folder(run, document, shards.content_digest(endpoints))


def _folder(run: Path, document: TaskDocument, content: str) -> Path:
    return run / layout.shard_directory(keys.key_digest(document.key), content)


def keep(shard: Path, own: ShardEndpoints) -> None:
    """Leave a shard's part of a file in its folder.

    Raises:
        OSError: the claim refused.
    """
    durable.make_folder(shard)
    path, content = shard / layout.ENDPOINTS, msgspec.json.encode(own) + b"\n"
    if not durable.holds(path, content):
        durable.replace(path, content)


def kept(shard: Path) -> tuple[str, ...]:
    """The endpoints that a shard of a file has left; none where there is nothing that can be read."""
    try:
        return wire.decode(durable.read_record(shard / layout.ENDPOINTS), ShardEndpoints).endpoints
    except (FileNotFoundError, PermissionError, *wire.UNREADABLE):
        return ()


def counts(shard: Path) -> EndpointsFileReport:
    """What a shard of a file has counted in it; nothing where there is nothing that can be read."""
    try:
        return wire.decode(durable.read_record(shard / layout.ENDPOINTS), _Counts).file
    except (FileNotFoundError, PermissionError, *wire.UNREADABLE):
        return EndpointsFileReport()


def bounded(record: ShardRecord) -> ShardRecord:
    """The record of a shard of a file, with no more than `LISTED` endpoints of each state; the others are counted."""
    troubled = record.endpoints_troubled[LISTED:]
    return msgspec.structs.replace(
        record,
        endpoints_unreachable=record.endpoints_unreachable[:LISTED],
        endpoints_skipped=record.endpoints_skipped[:LISTED],
        endpoints_troubled=record.endpoints_troubled[:LISTED],
        endpoints_unlisted=Unlisted(
            unreachable=len(record.endpoints_unreachable[LISTED:]),
            skipped=len(record.endpoints_skipped[LISTED:]),
            throttled=sum(each.trouble in THROTTLING for each in troubled),
            blocked=sum(each.trouble is Trouble.BLOCKED for each in troubled),
        ),
    )
