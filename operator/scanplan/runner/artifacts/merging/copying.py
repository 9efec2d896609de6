"""Copies the findings of all shards into one file, and shows them to those who count them or make the history."""

from __future__ import annotations

import collections
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from scanplan.api import layout
from scanplan.api.documents.records import ShardRecord
from scanplan.findings import fingerprint
from scanplan.runner.artifacts import durable, findings, publish
from scanplan.runner.artifacts.merging.parts import Part
from scanplan.runner.artifacts.merging.suppression import Suppression

if TYPE_CHECKING:
    from scanplan.runner.artifacts.merging.history import HistoryWriter
    from scanplan.runner.artifacts.merging.overview import Overview

_BLOCK_BYTES = 1 << 20
_SWITCH_SECONDS = 0.0005


def has_sightings(part: Part, history: HistoryWriter) -> bool:
    """Whether the history is made without this shard's findings: it has no attempt, or one that has left its sightings."""
    folders = [publish.folder(part.folder, attempt.attempt) for attempt in part.attempts]
    return not folders or (len(folders) == 1 and history.has_sightings(folders[0], part.attempts[0]))


def copy(
    merged: durable.CheckedFile,
    parts: Sequence[Part],
    read: Sequence[Part],
    overview: Overview,
    history: HistoryWriter,
    suppression: Suppression,
) -> collections.Counter[str]:
    """Copy the findings of all shards, and bring them to the disk.

    Args:
        read: the shards whose findings the history has to take.

    Returns:
        How many there are, by severity.
    """
    counts: collections.Counter[str] = collections.Counter()
    buffers = [memoryview(bytearray(_BLOCK_BYTES)) for _ in range(2)]
    for part in parts:
        if len(part.attempts) == 1:
            (attempt,) = part.attempts
            wanted = (
                overview.watch(attempt.findings),
                history.take if part in read else None,
                suppression.see_all if suppression else None,
            )
            with durable.open_regular(_published(part, attempt)) as file:
                if takers := [take for take in wanted if take]:
                    _copy_lines(merged, file, takers)
                else:
                    _copy_bytes(merged, file, buffers)
            found = attempt.findings
            counts.update({severity: getattr(found, severity) for severity in found.__struct_fields__})
            continue
        for line in _union(part):
            merged.write(line)
            history.take(line)
            if (severity := findings.severity_of(line)) is not None:
                counts[severity] += 1
                overview.see(line, severity)
                if suppression:
                    suppression.see(line, severity)
    merged.close()
    return counts


def _copy_lines(merged: durable.CheckedFile, file: BinaryIO, takers: Sequence[Callable[[bytes], None]]) -> None:
    """Copy a file, and give each block of whole lines to all `takers`."""
    while block := file.read(_BLOCK_BYTES):
        if not block.endswith(b"\n"):
            block += file.readline()
        merged.write(block)
        for take in takers:
            take(block)


def _copy_bytes(merged: durable.CheckedFile, file: BinaryIO, buffers: list[memoryview]) -> None:
    """Copy a file through the first of two buffers, then swap them: what was written last is still being hashed."""
    while size := os.readv(file.fileno(), buffers[:1]):
        merged.write(buffers[0][:size])
        buffers.reverse()


def _union(part: Part) -> Iterator[bytes]:
    """The lines of all attempts of a shard. A finding is repeated as often as in the attempt that repeats it most."""
    taken: collections.Counter[bytes] = collections.Counter()
    for attempt in part.attempts:
        here: collections.Counter[bytes] = collections.Counter()
        with durable.open_regular(_published(part, attempt)) as file:
            for line in file:
                mark = fingerprint.of(line)
                here[mark] += 1
                if here[mark] > taken[mark]:
                    taken[mark] = here[mark]
                    yield line


def _published(part: Part, attempt: ShardRecord) -> Path:
    return publish.folder(part.folder, attempt.attempt) / layout.FINDINGS


@contextlib.contextmanager
def frequent_switches() -> Iterator[None]:
    """Let the thread that copies have the interpreter soon: it needs it often and briefly, beside one that makes the history."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
