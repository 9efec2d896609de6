"""Files of which every byte is checked."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scanplan.runner.artifacts import durable

BLOCKS = [b"one\n" * 50_000, b"two\n", b"three\n" * 70_000]


def test_a_digest_made_beside_is_that_of_the_file(tmp_path: Path) -> None:
    """Lost otherwise: the digest that people check what they download with."""
    with ThreadPoolExecutor(1) as beside:
        file = durable.CheckedFile(tmp_path / "file", beside)
        for block in BLOCKS:
            file.write(block)
        file.close()
        told = file.artifact("file")
    content = (tmp_path / "file").read_bytes()
    assert content == b"".join(BLOCKS)
    assert (told.bytes, told.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_full_volume_leaves_whole_lines_and_their_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a digest of bytes that the volume never took."""
    write, room = os.write, [6, 12]

    def full(descriptor: int, data: memoryview) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: room.pop(0)])

    monkeypatch.setattr(os, "write", full)
    with ThreadPoolExecutor(1) as beside:
        file = durable.CheckedFile(tmp_path / "file", beside)
        file.write(b"first\n")
        with pytest.raises(OSError, match="No space"):
            file.write(b"four\n" * 50_000)
        told = file.artifact("file")
    content = (tmp_path / "file").read_bytes()
    assert content == b"first\nfour\nfour\n"
    assert told.sha256 == hashlib.sha256(content).hexdigest()
