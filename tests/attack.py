"""What somebody without a token does to a port: connections by the hundred, each with half of a request."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

ADDRESS = "127.0.0.1"


@contextlib.contextmanager
def half_requests(port: int, number: int, begin: bytes, piece: bytes, pieces: int) -> Iterator[list[socket.socket]]:
    """Connections that have each sent `begin` and then as many pieces as the server took, and send no end.

    Args:
        pieces: at most, for each connection.
    """
    with contextlib.ExitStack() as stack:
        made: list[socket.socket] = []
        for _ in range(number):
            each = stack.enter_context(socket.create_connection((ADDRESS, port), timeout=5))
            with contextlib.suppress(OSError):  # it was cut, or the server takes no more
                each.sendall(begin)
                each.settimeout(0.05)
                for _ in range(pieces):
                    each.sendall(piece)
            made.append(each)
        yield made


def is_cut(connection: socket.socket, within: float) -> bool:
    """Whether the server ends the connection, after whatever it says last."""
    connection.settimeout(within)
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def resident_bytes(pid: int) -> int:
    """Memory that a process has (Linux)."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) << 10
