"""Read the task document as the Job mounted it.

A small document is one file, ``task.json``. A large one is gzipped and cut into ``task.json.gz.00``, ``.01``, …, because
a ConfigMap holds at most 1 MiB; the parts are joined in order and unpacked.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from pathlib import Path

import msgspec

from scanplan.api.documents.task import TaskDocument, decode_task
from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.findings.exceptions import Handed, read_handed

DOCUMENT = "task.json"
EXCEPTIONS = "exceptions.json"
PART_PREFIX = "task.json.gz."
_log = logging.getLogger(__name__)
MAX_DOCUMENT_BYTES = 256 << 20
"""Bound on an unpacked document: 100,000 endpoints of 2,048 characters fit."""


def read(directory: Path, digest: str = "") -> TaskDocument:
    """The task document in `directory`.

    Args:
        digest: SHA-256 in hex that the plain document must have; empty: not known.

    Raises:
        NucleiBinaryError: (TaskDocumentInvalid) there is none, or it is not one that this version understands.
    """
    try:
        whole = directory / DOCUMENT
        content = whole.read_bytes() if whole.exists() else _joined(directory)
        if digest and hashlib.sha256(content).hexdigest() != digest:
            raise ValueError("it is not the one that this Job was made for")
        return decode_task(content)
    except (OSError, zlib.error, ValueError, msgspec.MsgspecError) as error:
        raise NucleiBinaryError(
            Reason.TASK_DOCUMENT_INVALID,
            f"The task document in {directory} can't be read: {error}. Operator and runner image must be of the same release.",
        ) from error


def exceptions(directory: Path) -> Handed | None:
    """The exceptions beside the task document; None: the namespace had none.

    A file that can't be read is none too: a scan whose findings are safe must not fail because of how they are counted.
    """
    try:
        return read_handed((directory / EXCEPTIONS).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        _log.warning("Nothing is counted as suppressed: the exceptions can't be read: %s", error)
        return None


def _joined(directory: Path) -> bytes:
    parts = sorted(directory.glob(f"{PART_PREFIX}*"))
    if not parts:
        raise FileNotFoundError(f"neither {DOCUMENT} nor {PART_PREFIX}00 is there")
    numbers = [part.name.removeprefix(PART_PREFIX) for part in parts]
    if numbers != [f"{number:02d}" for number in range(len(parts))]:
        raise ValueError(f"parts are missing: only {', '.join(numbers)} are there")
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    content = unpacking.decompress(b"".join(part.read_bytes() for part in parts), MAX_DOCUMENT_BYTES)
    if unpacking.unconsumed_tail:
        raise ValueError(f"it is larger than {MAX_DOCUMENT_BYTES >> 20} MiB")
    if not unpacking.eof:
        raise ValueError("its last part is cut off")
    return content
