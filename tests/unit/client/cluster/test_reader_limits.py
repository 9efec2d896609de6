"""What a reader pod may send: its namespace's users may change its image, so it is believed nothing."""

from __future__ import annotations

import io
import itertools
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration
from kubernetes.stream import ws_client

from scanplan.client.cluster import cluster, reader
from scanplan.client.cluster.failure import Failure

OUT, ERR = b"\x01", b"\x02"


class Socket:
    """The connection of an exec, with what a hostile pod sends on it."""

    def __init__(self, frames: Iterator[bytes]) -> None:
        self._frames = frames
        self.timeout = 0.0
        self.closed = False

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def recv_data_frame(self, **_: bool) -> tuple[int, Any]:
        return 2, SimpleNamespace(data=next(self._frames))

    def close(self) -> None:
        self.closed = True


def execute(monkeypatch: pytest.MonkeyPatch, frames: Iterator[bytes], seconds: float) -> tuple[Socket, Iterator[bytes]]:
    socket = Socket(frames)
    monkeypatch.setattr(ws_client, "create_websocket", lambda *_: socket)
    configuration = Configuration(host="https://cluster.invalid")
    made = cluster.Cluster(ApiClient(configuration), "ns")
    return socket, made.execute("ns", "pod", ("true",), until=time.monotonic() + seconds)


@pytest.mark.parametrize("frame", [OUT, ERR + b"x", b"\x07", b""], ids=["nothing", "errors", "no channel", "empty"])
def test_a_command_that_goes_on_and_on_is_ended(monkeypatch: pytest.MonkeyPatch, frame: bytes) -> None:
    """Lost otherwise: a thread of the API for each pod that says a word now and then."""

    def slowly() -> Iterator[bytes]:
        while True:
            time.sleep(0.01)
            yield frame

    socket, output = execute(monkeypatch, slowly(), 0.2)
    with pytest.raises(Failure, match="takes too long"):
        list(output)
    assert socket.closed
    assert socket.timeout <= 0.2, "a pod that says nothing at all"


def test_errors_without_an_end_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = itertools.chain(
        itertools.repeat(ERR + b"e" * 65_536, 400),
        [ERR + b"\nthe reason", b'\x03{"status":"Failure"}'],
    )
    tracemalloc.start()
    with pytest.raises(Failure, match=r"pod: the reason$"):
        list(execute(monkeypatch, frames, 60)[1])
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_bomb_is_unpacked_bit_by_bit() -> None:
    """Lost otherwise: the API's memory; a megabyte unpacks to a gigabyte before anybody can count it."""
    bomb = zlib.compress(bytes(256 << 20))

    class Hostile:
        def execute(self, *_: object, **__: object) -> Iterator[bytes]:
            yield bomb

    class Sink:
        taken = 0

        def write(self, piece: bytes) -> int:
            self.taken += len(piece)
            if self.taken > 1 << 20:
                raise Failure("larger than what was published")
            return len(piece)

    tracemalloc.start()
    hostile: Any = Hostile()
    with pytest.raises(Failure, match="larger"):
        reader.Reader(hostile, "ns", "pod").copy("file", Sink())
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


class Sending:
    """A cluster whose reader pod sends this."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    def execute(self, *_: object, **__: object) -> Iterator[bytes]:
        yield from self._pieces


GARBAGE = b"Traceback (most recent call last):\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [GARBAGE],
        [zlib.compress(b"content")[:-3] + GARBAGE],
        [zlib.compress(b"content")[:-3]],
        [zlib.compress(b"content")[:2], GARBAGE],
        [],
    ],
    ids=["words", "another sum", "a part", "words in between", "nothing"],
)
def test_what_is_not_the_file_is_a_failure(pieces: list[bytes]) -> None:
    """Lost otherwise: an exit code of 1, which means findings, by an image without this version's reader."""
    sending: Any = Sending(*pieces)
    with pytest.raises(Failure, match=r"can't be read|incomplete"):
        reader.Reader(sending, "ns", "pod").copy("file", io.BytesIO())


@pytest.mark.parametrize("pieces", [[GARBAGE], [zlib.compress(b"T\n"), b"more"], [zlib.compress(b"T\n")]])
def test_what_is_no_stream_of_findings_is_a_failure(pieces: list[bytes]) -> None:
    """Lost otherwise: the end of `watch --findings`, which waits for two more looks at the claim."""
    sending: Any = Sending(*pieces)
    with pytest.raises(Failure, match="can't be read"):
        list(reader.Reader(sending, "ns", "pod").follow("folder", 0.0))


@pytest.mark.parametrize("listing", [GARBAGE, b"1\tname\0x\tother\0", b"9" * 5_000 + b"\tname\0"])
def test_what_is_no_list_of_files_is_a_failure(listing: bytes) -> None:
    sending: Any = Sending(listing)
    with pytest.raises(Failure, match="can't be read"):
        reader.Reader(sending, "ns", "pod").files("folder")
