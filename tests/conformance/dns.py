"""A DNS server on loopback, of the tests' own, whose answers may change from one question to the next."""

from __future__ import annotations

import collections
import ipaddress
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

A, AAAA = 1, 28


class Zone:
    """Addresses by name: one list of addresses an answer, the last of them for ever. IPv6 ones never change."""

    def __init__(self, six: Mapping[str, str] | None = None, **answers: Sequence[Sequence[str]]) -> None:
        self.six = six or {}
        self._answers = {name.replace("_", "."): list(lists) for name, lists in answers.items()}
        self.asked: collections.Counter[str] = collections.Counter()

    def addresses(self, name: str) -> Sequence[str]:
        lists = self._answers.get(name, [[]])
        answer = lists[min(self.asked[name], len(lists) - 1)]
        self.asked[name] += 1
        return answer


@contextmanager
def serving(zone: Zone, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve a zone on a loopback address; yields ``address:port``."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            message, own = self.request
            name, end = _name(message)
            kind = struct.unpack("!H", message[end : end + 2])[0]
            found = zone.addresses(name) if kind == A else [zone.six[name]] if kind == AAAA and name in zone.six else []
            packed = [ipaddress.ip_address(address).packed for address in found]
            answers = b"".join(
                b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(address)) + address for address in packed
            )
            head = message[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0)
            own.sendto(head + message[12 : end + 4] + answers, self.client_address)

    class Server(socketserver.ThreadingUDPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    with Server((host, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"[{host}]" if ":" in host else host
        yield f"{where}:{server.server_address[1]}"
        server.shutdown()


def _name(message: bytes) -> tuple[str, int]:
    """The name that is asked for, and where it ends in the message."""
    labels, at = [], 12
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), at + 1
