"""A full /tmp: the scan ends by itself, with a reason and its findings, before the kubelet evicts the pod without either."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scanplan.api import environment
from scanplan.runner.nuclei.scratch import Scratch

SIZE = 1 << 20


def filled(folder: Path, size: int) -> Path:
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/file").write_bytes(os.urandom(size))
    return folder


@pytest.mark.parametrize(("limit", "full"), [("1Mi", True), ("1200Ki", True), ("2Mi", False), ("", False)])
def test_it_is_full_by_a_margin(tmp_path: Path, limit: str, full: bool) -> None:
    filled(tmp_path, SIZE)
    assert Scratch.of({environment.TMP_SIZE_LIMIT: limit}, tmp_path).nearly_full() is full


def test_without_a_limit_nothing_is_full(tmp_path: Path) -> None:
    assert not Scratch.of({}, filled(tmp_path, SIZE)).nearly_full()


def test_what_lies_behind_a_link_and_holes_count_nothing(tmp_path: Path) -> None:
    """As for the kubelet, which counts blocks: a sparse file of Nuclei's must not end a scan."""
    filled(tmp_path / "elsewhere", SIZE)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp/link").symlink_to(tmp_path / "elsewhere")
    with (tmp_path / "tmp/holes").open("wb") as file:
        file.truncate(100 * SIZE)
    assert Scratch(tmp_path / "tmp", SIZE).used() < SIZE // 2


def test_what_is_gone_counts_nothing(tmp_path: Path) -> None:
    assert Scratch(tmp_path / "none", SIZE).used() == 0
