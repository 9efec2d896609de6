"""The published result that is exported: its files, checked against their digests, and its findings in other formats."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

import scanplan
from scanplan.api import layout
from scanplan.api.documents.export import ExportDocument
from scanplan.api.documents.report import ArtifactFile
from scanplan.api.documents.words import ExportFormat, Severity
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.findings import history
from scanplan.findings.exceptions import Handed, Suppressor
from scanplan.findings.history import Entry
from scanplan.findings.lookup import Life, in_file
from scanplan.report import sarif, spreadsheet
from scanplan.report.finding import Finding, Suppressed, all_open, counted, read
from scanplan.report.scan import read_scan
from scanplan.runner.artifacts import durable
from scanplan.runner.exporting.http import Body
from scanplan.runner.exporting.trouble import Trouble

BLOCK_BYTES = 1 << 16
MEDIA_TYPES = {
    ExportFormat.JSON: "application/json",
    ExportFormat.JSONL: "application/x-ndjson",
    ExportFormat.SARIF: "application/sarif+json",
    ExportFormat.CSV: "text/csv; charset=utf-8",
}
_CHANGED = "a file of the result is not on the claim any more, or is not as it was published"


class Result:
    """A result on the claim. Its files are opened once, and never written."""

    def __init__(self, folder: Path, document: ExportDocument, exceptions: Handed | None) -> None:
        self.document = document
        self._folder = folder
        self._suppressed: Suppressed = Suppressor(exceptions.exceptions, exceptions.time) if exceptions else all_open
        self._files: dict[str, BinaryIO] = {}
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def file(self, name: str) -> ArtifactFile:
        """What is known of a published file."""
        found = next((each for each in self.document.files if each.name == name), None)
        if found is None:
            raise Trouble(Reason.ARTIFACTS_CHANGED, f"the scan has published no {name}")
        return found

    def body(self, file: ArtifactFile) -> Body:
        """The bytes of a file. They are as they were published: somebody may have changed them on the claim.

        Raises:
            Trouble: (ArtifactsChanged) they are not.
        """
        opened = self._checked(file)
        return Body(file.bytes, _blocks(opened.fileno(), file.bytes))

    def findings(self, form: ExportFormat) -> tuple[Body, str]:
        """The findings in a format, and the SHA-256 of that in hex. They are made twice, so that nothing is kept."""
        found = self.file(layout.FINDINGS)
        if form is ExportFormat.JSONL:
            return self.body(found), found.sha256
        self._checked(found)
        digest, length = hashlib.sha256(), 0
        for piece in self._pieces(form):
            digest.update(piece)
            length += len(piece)
        return Body(length, self._pieces(form)), digest.hexdigest()

    def history(self) -> Iterator[Entry]:
        """What is known of each finding of the run after this scan."""
        file = self._checked(self.file(layout.HISTORY))
        file.seek(0)
        return history.entries(history.bounded(file))

    def _pieces(self, form: ExportFormat) -> Iterator[bytes]:
        match form:
            case ExportFormat.JSON:
                return _list(self._lines())
            case ExportFormat.SARIF:
                record = self._content(layout.METADATA)
                shown = (each for each in self._found() if each.suppressed is None)
                rendered = sarif.render(
                    read_scan(record),
                    shown,
                    scanplan.__version__,
                    counts=self._open_counts,
                    life=self._life(),
                )
                return _blocked(rendered)
            case _:
                return _blocked(spreadsheet.render(self._found(), self._life()))

    def _found(self) -> Iterator[Finding]:
        return read(self._lines(), self._suppressed)

    def _open_counts(self) -> Counter[Severity]:
        """The findings that fall under no exception, by severity."""
        return counted(self._lines(), self._suppressed)

    def _life(self) -> Life:
        file = self.file(layout.HISTORY)
        descriptor = self._checked(file).fileno()
        return in_file(functools.partial(_part_of, descriptor), file.bytes)

    def _lines(self) -> Iterator[bytes]:
        """The lines of the findings, from the begin."""
        file = os.fdopen(os.dup(self._checked(self.file(layout.FINDINGS)).fileno()), "rb")
        with file:
            file.seek(0)
            yield from file

    def _content(self, name: str) -> bytes:
        file = self.file(name)
        return b"".join(self.body(file).pieces)

    def _checked(self, file: ArtifactFile) -> BinaryIO:
        if file.name not in self._files:
            try:
                opened = self._opened.enter_context(durable.open_regular(self._folder / file.name))
            except FileNotFoundError:
                raise Trouble(Reason.ARTIFACTS_CHANGED, _CHANGED) from None
            digest = hashlib.sha256()
            for block in _blocks(opened.fileno(), file.bytes):
                digest.update(block)
            if digest.hexdigest() != file.sha256 or os.fstat(opened.fileno()).st_size != file.bytes:
                raise Trouble(Reason.ARTIFACTS_CHANGED, _CHANGED)
            self._files[file.name] = opened
        return self._files[file.name]


def _blocks(descriptor: int, length: int) -> Iterator[bytes]:
    """The first bytes of a file, wherever others have read it."""
    offset = 0
    while offset < length and (block := os.pread(descriptor, min(BLOCK_BYTES, length - offset), offset)):
        yield block
        offset += len(block)


def _part_of(descriptor: int, offset: int, size: int) -> bytes:
    return os.pread(descriptor, size, offset)


def _list(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Lines of JSON as one list."""
    begin = b"[\n"
    for line in lines:
        yield begin + line.rstrip(b"\n")
        begin = b",\n"
    yield b"[]\n" if begin == b"[\n" else b"\n]\n"


def _blocked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks: a finding is a small packet."""
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)
