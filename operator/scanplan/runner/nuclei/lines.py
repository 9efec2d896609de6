"""Cuts a stream into lines, in flat memory.

Pipes deliver blocks, and findings are lines of up to several megabytes. Whoever reads gets whole lines, and what is longer
than any honest line comes through in pieces instead of piling up in memory.
"""

from __future__ import annotations

MAX_LINE_BYTES = 64 << 20
"""Longer lines are no findings: Nuclei caps a response at 1 MiB, and a finding holds few of them."""


class Lines:
    """Cuts a stream of chunks into lines; holds no more than one unfinished line."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._rest = bytearray()
        self._limit = limit
        self._overlong = False

    def feed(self, chunk: bytes) -> tuple[list[bytes], list[bytes]]:
        """Take the next bytes.

        Returns:
            Whole lines without their newline, and pieces of lines that are longer than the limit (whose last piece ends
            with a newline).
        """
        overlong: list[bytes] = []
        if self._overlong:
            end = chunk.find(b"\n")
            if end < 0:
                return [], [chunk]
            overlong.append(chunk[: end + 1])
            chunk = chunk[end + 1 :]
            self._overlong = False
        end = chunk.rfind(b"\n")
        if end < 0:
            self._rest += chunk
            if len(self._rest) > self._limit:
                overlong.append(self.rest())
                self._overlong = True
            return [], overlong
        lines = chunk[:end].split(b"\n")
        if self._rest:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += chunk[end + 1 :]
        return lines, overlong

    def rest(self) -> bytes:
        """Take the unfinished line out, at the end of the stream."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest
