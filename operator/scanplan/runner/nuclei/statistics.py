"""What Nuclei says on stderr: its statistics and its log.

With `-stats -sj` a JSON line of strings comes every few seconds, between log lines for people. From both we learn how far
the scan is, whether it still moves, which version it is, how many templates it loaded, and which hosts it gave up. The
`percent` of the statistics is 2^63 while `total` is 0, so ours is computed from `requests` and `total`.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Callable

import msgspec

from scanplan.runner import wire

_TAIL_LINES = 60
_TAIL_COLUMNS = 600
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_VERSION = re.compile(r"Current nuclei version: (\S+)")
_LOADED = re.compile(r"(?:Templates|Workflows) loaded for current scan: (\d+)")
_TARGETS = re.compile(r"Targets loaded for current scan: (\d+)")
_EXCLUDED = re.compile(r"Number of hosts excluded from input: (\d+)")
_SKIPPED = re.compile(r"Skipped (\S+) from target list as found unresponsive")
_NOT_FOUND = re.compile(r"Could not find template '([^']+)'")
_NOT_LOADED = re.compile(r"(?:Error occurred (?:loading|parsing)|Could not (?:load|parse)) template (\S+): ")


class _Statistics(msgspec.Struct):
    requests: str = "0"
    total: str = "0"
    errors: str = "0"
    hosts: str = "0"


_decode = msgspec.json.Decoder(_Statistics).decode


class ScannerLog:
    """The state of a scan as its log tells it."""

    def __init__(self, now: float) -> None:
        self.version = ""
        self.templates_loaded: int | None = None
        """None: Nuclei never got as far as saying it."""
        self.targets_loaded = 0
        self.excluded = 0
        """Targets that were struck off the list because they are denied."""
        self.requests = 0
        self.total = 0
        self.errors = 0
        self.hosts = 0
        self.skipped: set[str] = set()
        """``host:port`` of the hosts that Nuclei gave up."""
        self.not_loaded: set[str] = set()
        """Templates that Nuclei could not find or read, by the path that it names."""
        self.moved_at = now
        """When `requests` last changed, or the scan began; on the clock of `feed`."""
        self.redact: Callable[[str], str] = str
        """Takes secrets out of a line before it is kept; by default there are none."""
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)

    @property
    def percent(self) -> int:
        """How far the scan is, 0 to 100."""
        return min(100, self.requests * 100 // self.total) if self.total > 0 else 0

    @property
    def text(self) -> str:
        """The last log lines."""
        return "\n".join(self._tail)

    def feed(self, line: bytes, now: float) -> bool:
        """Take one line of stderr.

        Returns:
            True where it was a line of statistics, False where it belongs to the log.
        """
        if line.startswith(b"{") and self._statistics(line, now):
            return True
        text = _COLOUR.sub("", line.decode(errors="replace")).rstrip()
        if not text:
            return False
        self._tail.append(self.redact(text)[:_TAIL_COLUMNS])
        if match := _LOADED.search(text):
            self.templates_loaded = (self.templates_loaded or 0) + int(match[1])
            self.moved_at = now
        elif match := _TARGETS.search(text):
            self.targets_loaded = int(match[1])
        elif match := _EXCLUDED.search(text):
            self.excluded = int(match[1])
        elif match := _VERSION.search(text):
            self.version = match[1]
        elif match := _SKIPPED.search(text):
            self.skipped.add(match[1])
        elif match := (_NOT_FOUND.search(text) or _NOT_LOADED.search(text)):
            self.not_loaded.add(match[1])
        return False

    def _statistics(self, line: bytes, now: float) -> bool:
        try:
            statistics = _decode(line)
            requests, total = int(statistics.requests), int(statistics.total)
            self.errors, self.hosts = int(statistics.errors), int(statistics.hosts)
        except (*wire.UNREADABLE, ValueError):
            return False
        if requests != self.requests:
            self.moved_at = now
        self.requests, self.total = requests, total
        return True
