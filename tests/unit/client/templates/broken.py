"""Servers that answer what is no whole answer of HTTP."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

ANSWERS = [
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", id="breaks off"),
    pytest.param(b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", id="a refusal"),
    pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
    pytest.param(b"", id="nothing"),
]


@contextlib.contextmanager
def server(answer: bytes) -> Iterator[str]:
    """A server on this machine that gives this answer to everybody; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(1 << 16)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
