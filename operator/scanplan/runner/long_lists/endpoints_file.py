"""A shard's part of a file of endpoints, which may have a million lines.

Each pod reads the whole file, and keeps the lines whose hosts belong to its shard. So memory does not grow with the file. The
operator has not seen the file. So the pod brings lines into canonical form and checks them by the target guard, by the rules
that the operator has for a plan's own endpoints. A line that is no endpoint, or a denied one, is left out, counted and
reported. One wrong line in a list that a program has made must not stop the scan. Each such line belongs to one shard, so it is
counted once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO

from scanplan.api.documents.records import ShardEndpoints
from scanplan.api.documents.report import MergedResult, TaskError
from scanplan.api.documents.task import MAX_ENDPOINT_LENGTH, EndpointsFile, TaskDocument
from scanplan.api.documents.words import EndpointsFileReport, ErrorClass
from scanplan.api.errors import ClaimError, InvalidEndpoint, InvalidPlan, TargetDenied
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning import shards
from scanplan.core.planning.targets import endpoints, ranges
from scanplan.core.planning.targets.guard import Guard
from scanplan.runner.artifacts import durable
from scanplan.runner.long_lists import endpoints_object
from scanplan.runner.long_lists.endpoints_object import Readable

if TYPE_CHECKING:
    from hashlib import _Hash

MOST_OF_A_SHARD = 100_000
"""Endpoints that one shard may have. Only large hosts lead to so many, since all endpoints of a host are in one shard."""
_EXAMPLES = 3
_BLOCK_BYTES = 256 << 10
_LINE_BYTES = 4 * MAX_ENDPOINT_LENGTH + 1
"""Of a longer line no more is kept: it is no endpoint."""

_PLAIN = re.compile(
    rb"([Hh][Tt][Tt][Pp][Ss]?://)?"
    rb"((?:[A-Za-z0-9_.-]*\.)?[A-Za-z][A-Za-z0-9_-]*|(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2}))"
    rb"(?::[0-9]+)?(?(1)(?:/[!-~]*)?)\r?"
)
"""A line whose host is in canonical form, but for its case, as most are. One that is another shard's is read no further."""


def own_part(document: TaskDocument, file: EndpointsFile, index: int) -> ShardEndpoints:
    """Read the file, and return what one shard scans of it.

    Raises:
        ClaimError: there is no such file, or it is another one than the plan says, or there is nothing or too much in it.
        TemporaryError: the server that has it failed, or was not reached.
        OSError: the volume failed.
    """
    guard = Guard(document.denied_targets)
    part = _Part(file, index, document.shards, guard)
    digest = hashlib.sha256()
    if file.bucket:
        endpoints_object.read(file, file.bucket, guard, lambda content: part.take_all(_lines(content, digest)))
    else:
        with _opened(file) as content:
            part.take_all(_lines(content, digest))
    if digest.hexdigest() != file.sha256:
        raise ClaimError(
            Reason.INPUTS_CHANGED,
            f"The file of endpoints has SHA-256 {digest.hexdigest()}, and the plan says {file.sha256}. Put the file back that the "
            "plan means, or write the other digest into the plan.",
        )
    return part.result()


def doubt(merged: MergedResult) -> TaskError | None:
    """The error of a scan that is complete but had no endpoint to scan; None: it had one."""
    told = merged.endpoints_file
    if told is None or told.endpoints:
        return None
    message = f"No line of the file can be scanned, such as {'; '.join(told.examples)}."
    return TaskError(error_class=ErrorClass.FATAL, reason=Reason.INVALID_ENDPOINT, message=message)


@contextlib.contextmanager
def _opened(file: EndpointsFile) -> Iterator[BinaryIO]:
    try:
        descriptor = durable.open_below(Path(file.root), PurePath(file.path))
    except FileNotFoundError:
        problem = "There is no file of endpoints where the plan says; links are not followed"
    except PermissionError:
        problem = f"The file of endpoints can't be read by user {os.geteuid()}, group {os.getegid()}"
    else:
        with os.fdopen(descriptor, "rb", buffering=0) as content:
            yield content
        return
    raise ClaimError(Reason.INPUT_UNAVAILABLE, f"{problem}: {file.path}. Put it there, and scan again.")


def _lines(content: Readable, digest: _Hash) -> Iterator[bytes]:
    """All lines without their newlines; what is read is added to the digest."""
    rest = b""
    while block := content.read(_BLOCK_BYTES):
        digest.update(block)
        *lines, last = block.split(b"\n")
        if lines:
            yield rest + lines[0]
            yield from lines[1:]
            rest = b""
        rest = (rest + last)[:_LINE_BYTES]
    yield rest


class _Part:
    """What is known of a shard's part, line by line."""

    def __init__(self, file: EndpointsFile, index: int, count: int, guard: Guard) -> None:
        self._file = file
        self._index = index
        self._count = count
        self._guard = guard
        self._budget = ranges.Budget(file.most_addresses)
        self._all = 0
        """Endpoints of all shards, as far as lines and ranges tell."""
        self._own: set[str] = set()
        self._duplicates = 0
        self._refused = 0
        self._examples: list[str] = []

    def take_all(self, lines: Iterable[bytes]) -> None:
        """Take all lines of the file. Nearly all of a million lines belong to other shards, so this loop does little for those."""
        plain_line, of_host, index, count = _PLAIN.fullmatch, shards.of_host, self._index, self._count
        passed = 0
        for number, line in enumerate(lines, 1):
            plain = plain_line(line)
            if plain is None:
                self._take(number, line.strip())
            elif of_host(host := plain[2].lower(), count) == index:
                self._take(number, line.strip(), host)
            else:
                passed += 1
        self._all += passed

    def _take(self, number: int, content: bytes, host: bytes = b"") -> None:
        """Take a line without space around it; `host` is known where it is plain."""
        if not content or content.startswith(b"#"):
            return
        self._all += 1
        try:
            targets = self._targets(content, f"line {number}")
        except InvalidPlan as error:
            if self._has(host or content):
                self._refuse(error.message)
        else:
            for target in targets:
                if self._has(shards.host_of(target).encode()):
                    self._add(target)

    def _has(self, host: bytes) -> bool:
        return shards.of_host(host, self._count) == self._index

    def _targets(self, content: bytes, where: str) -> Iterable[str]:
        """What a line stands for, in canonical form.

        Raises:
            InvalidPlan: it is no endpoint, or a denied one.
        """
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise InvalidEndpoint(f"{where} is not text (UTF-8)") from None
        if len(text) > MAX_ENDPOINT_LENGTH:
            raise InvalidEndpoint(f"{where} is longer than {MAX_ENDPOINT_LENGTH:,} characters")
        network = endpoints.range_of(text, self._budget, where)
        if network is None:
            return (self._guard.canonical(text, where),)
        try:
            self._guard.check_ranges([(network, where)])
        except TargetDenied:
            self._budget.give_back(network)
            raise
        self._all += network.num_addresses - 1
        return ranges.addresses(network)

    def _add(self, target: str) -> None:
        if target in self._own:
            self._duplicates += 1
            return
        self._own.add(target)
        if len(self._own) > MOST_OF_A_SHARD:
            raise ClaimError(
                Reason.INVALID_ENDPOINT,
                f"Shard {self._index} would have more than {MOST_OF_A_SHARD:,} endpoints of the file, since all of a host are in "
                "one shard. Make several files of it, or list fewer endpoints of its largest hosts.",
            )

    def _refuse(self, why: str) -> None:
        self._refused += 1
        if len(self._examples) < _EXAMPLES:
            self._examples.append(why)

    def result(self) -> ShardEndpoints:
        """The part, once all lines were taken.

        Raises:
            ClaimError: the file has no endpoint, or more than the plan says.
        """
        if not self._all:
            raise ClaimError(Reason.INVALID_ENDPOINT, "The file names no endpoint: every line is empty or a comment.")
        if self._all > self._file.most:
            raise ClaimError(
                Reason.INVALID_ENDPOINT,
                f"The file names {self._all:,} endpoints, and the plan says {self._file.most:,} at most: write the larger number "
                "into the plan, up to a million, or make several files of it.",
            )
        report = EndpointsFileReport(
            endpoints=len(self._own),
            refused=self._refused,
            duplicates=self._duplicates,
            examples=tuple(self._examples),
        )
        return ShardEndpoints(file=report, endpoints=tuple(sorted(self._own)))
