"""Following the findings of a running scan on its claim. Lost otherwise: a finding that nobody sees for hours, or a false one."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.client.cluster import reader, tail
from scanplan.client.cluster.tail import TICK, Tail
from scanplan.runner.artifacts import publish

SHARDS = "ui_projects/nightly/tasks/0a1b/shards"
SHARD = "00ff"


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    place = tmp_path / SHARDS / SHARD
    place.mkdir(parents=True)
    return place


def growing(shard: Path, attempt: int, content: bytes) -> Path:
    """The findings of an attempt that goes on; more is added to what is there."""
    file = shard / f"attempt-{attempt}" / publish.GROWING
    file.parent.mkdir(exist_ok=True)
    with file.open("ab") as end:
        end.write(content)
    return file


def looked(followed: Tail) -> list[bytes]:
    *frames, last = followed.look()
    assert last == TICK
    return [frame.removesuffix(b"\n") for frame in frames]


def frames(*lines: bytes, attempt: int = 1, kind: bytes = b"F") -> list[bytes]:
    return [b"%s %s %d %s" % (kind, SHARD.encode(), attempt, line) for line in lines]


def test_each_line_comes_once_and_whole(tmp_path: Path, shard: Path) -> None:
    followed = Tail(str(tmp_path), SHARDS)
    assert looked(followed) == []
    growing(shard, 1, b'{"a":1}\n{"b"')
    assert looked(followed) == frames(b'{"a":1}')
    assert looked(followed) == []
    growing(shard, 1, b':2}\n{"c":3}\n')
    assert looked(followed) == frames(b'{"b":2}', b'{"c":3}')


def test_a_scan_that_has_not_begun_has_no_findings(tmp_path: Path) -> None:
    followed = Tail(str(tmp_path), SHARDS)
    assert looked(followed) == []
    (tmp_path / SHARDS).mkdir(parents=True)
    assert looked(followed) == []


def test_what_was_read_while_it_grew_does_not_come_again_once_it_is_published(tmp_path: Path, shard: Path) -> None:
    followed = Tail(str(tmp_path), SHARDS)
    growing(shard, 1, b"1\n").rename(shard / "attempt-1" / layout.FINDINGS)
    assert looked(followed) == frames(b"1")
    with (shard / "attempt-1" / layout.FINDINGS).open("ab") as end:
        end.write(b"2\n")
    assert looked(followed) == frames(b"2")


def test_the_attempt_that_replaces_a_killed_one_is_followed(tmp_path: Path, shard: Path) -> None:
    """The killed one is sealed as the runner does it: its last half line never counts."""
    followed = Tail(str(tmp_path), SHARDS)
    growing(shard, 1, b"1\n2\n3 is not wh")
    assert looked(followed) == frames(b"1", b"2")
    second = publish.begin(shard, records.begun("scan:p:r:e:t:o", 0, 1, "2026-11-01T00:00:00Z"))
    try:
        assert not (shard / "attempt-1" / publish.GROWING).exists()
        growing(shard, 2, b"1\n")
        assert looked(followed) == frames(b"1", attempt=2)
    finally:
        second.abandon()


def test_what_is_set_aside_is_said(tmp_path: Path, shard: Path) -> None:
    followed = Tail(str(tmp_path), SHARDS)
    growing(shard, 1, b"1\n")
    looked(followed)
    publish.set_aside(shard, 1)
    assert looked(followed) == [b"W 00ff 1"]
    assert looked(followed) == []


def test_a_file_that_was_cut_is_read_again(tmp_path: Path, shard: Path) -> None:
    followed = Tail(str(tmp_path), SHARDS)
    file = growing(shard, 1, b"1\n2\n")
    looked(followed)
    file.write_bytes(b"3\n")
    assert looked(followed) == [b"W 00ff 1", *frames(b"3")]


def test_an_older_scan_of_the_same_task_is_left_out(tmp_path: Path, shard: Path) -> None:
    os.utime(growing(shard, 1, b"old\n"), (1_000, 1_000))
    growing(shard, 2, b"new\n")
    assert looked(Tail(str(tmp_path), SHARDS, not_before=2_000)) == frames(b"new", attempt=2)


def test_long_lines_take_no_memory_and_hide_nothing_behind_them(
    tmp_path: Path, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "MOST_LINE_BYTES", 64)
    monkeypatch.setattr(tail, "_BLOCK_BYTES", 16)
    followed = Tail(str(tmp_path), SHARDS)
    growing(shard, 1, b"1\n" + b"x" * 60 + b"\n" + b"y" * 500)
    assert looked(followed) == [*frames(b"1", b"x" * 60), b"L 00ff 1"]
    growing(shard, 1, b"y" * 500 + b"\n2\n")
    assert looked(followed) == frames(b"2")


def test_a_long_file_leaves_the_others_their_turn(tmp_path: Path, shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_TURN_BYTES", 4)
    monkeypatch.setattr(tail, "_BLOCK_BYTES", 4)
    growing(shard, 1, b"1\n" * 20)
    growing(shard, 2, b"2\n")
    came = looked(Tail(str(tmp_path), SHARDS))
    (other,), (own,) = frames(b"2", attempt=2), frames(b"1")
    assert (came.index(other), came.count(own)) == (2, 20)


@pytest.mark.parametrize("where", ["shards", "shard", "attempt", "file", "pipe"])
def test_no_link_leads_out_of_the_claim(tmp_path: Path, where: str) -> None:
    """Whoever may write to the claim would show files of the API's own pod else."""
    claim, outside = tmp_path / "claim", tmp_path / "outside"
    growing_there = growing_file(outside / SHARDS / SHARD)
    places = {
        "shards": (claim / SHARDS, outside / SHARDS),
        "shard": (claim / SHARDS / SHARD, outside / SHARDS / SHARD),
        "attempt": (claim / SHARDS / SHARD / "attempt-1", growing_there.parent),
        "file": (claim / SHARDS / SHARD / "attempt-1" / publish.GROWING, growing_there),
        "pipe": (claim / SHARDS / SHARD / "attempt-1" / publish.GROWING, None),
    }
    link, target = places[where]
    link.parent.mkdir(parents=True)
    link.symlink_to(target) if target else os.mkfifo(link)
    assert looked(Tail(str(claim), SHARDS)) == []


def test_no_path_leads_out_of_the_claim(tmp_path: Path, shard: Path) -> None:
    """A plan's status says where its attempts are, and others may be allowed to write that."""
    growing(shard, 1, b"secret\n")
    (tmp_path / "claim").mkdir()
    for path in (f"../{SHARDS}", f"{tmp_path}/{SHARDS}", f"./../{SHARDS}"):
        assert looked(Tail(str(tmp_path / "claim"), path)) == []


def growing_file(shard: Path) -> Path:
    shard.mkdir(parents=True)
    return growing(shard, 1, b"secret\n")


def test_a_reader_pod_runs_it_with_nothing_but_python(tmp_path: Path, shard: Path) -> None:
    """As its command has it, which must be short: it is a part of a request's address."""
    growing(shard, 1, b'{"a":1}\n')
    command = reader.following(SHARDS, 0.0)
    assert sum(map(len, command)) < 6_000
    here = [sys.executable if word == "python3" else str(tmp_path) if word == "/claim" else word for word in command]
    with subprocess.Popen([here[0], "-I", *here[1:]], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        unpacked, came = zlib.decompressobj(), b""
        while TICK not in came:
            came += unpacked.decompress(os.read(process.stdout.fileno(), 1 << 16))
        process.kill()
    assert came == b'F 00ff 1 {"a":1}\nT\n'
