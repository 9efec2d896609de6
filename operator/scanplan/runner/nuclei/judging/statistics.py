"""What Nuclei says: its statistics, its log, and which templates it loaded.

With `-stats -sj` a JSON line of strings comes every few seconds on stderr, between log lines for people. With `-v`, `-vv` and
`NUCLEI_LOG_ALL` the log names each template that was not loaded, with the cause, and each that could not be sent. The loaded
ones are listed on stdout. The `percent` of the statistics is 2^63 while `total` is 0, so ours is computed from `requests` and
`total`. It is for people only, since `total` counts steps that may never come.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Callable

import msgspec

from scanplan.api import wire

_TAIL_LINES = 60
_TAIL_COLUMNS = 600
_REASON_COLUMNS = 240
_REQUEST_WARNINGS = 100
"""So many warnings about single requests go to the log that is kept."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_VERSION = re.compile(r"Current nuclei version: (\S+)")
_LOADED = re.compile(r"(?:Templates|Workflows) loaded for current scan: (\d+)")
_TARGETS = re.compile(r"Targets loaded for current scan: (\d+)")
_EXCLUDED = re.compile(r"Number of hosts excluded from input: (\d+)")
_SKIPPED = re.compile(r"Skipped (\S+) from target list as found unresponsive")
_LISTED = re.compile(rb"\[([A-Za-z0-9_-]+)\] .*\[(?:info|low|medium|high|critical|unknown|undefined)?\]\s*")
_FUNCTIONS = re.compile(rb"\t\w+\(.*\).*")
"""The list of DSL functions that `-v` prints after a template which names another."""
_UNSIGNED = re.compile(rb"\[\x1b\[\d+mWRN\x1b\[0m\] Template \S+ is not signed or tampered\s*")
_CRASH = re.compile(r"(?:panic: |fatal error: |runtime: (?:out of memory|cannot allocate)|SIG[A-Z]+: )")
_NOT_LOADED = (
    re.compile(r"Could not find template '(?P<path>[^']+)': (?P<why>.*)"),
    re.compile(r"(?:Error occurred (?:loading|parsing)|Could not (?:load|parse)) template (?P<path>.+?): (?P<why>.*)"),
    re.compile(r"(?P<why>-\S+ flag is required for .* template) \"(?P<path>.+)\"\.?$"),
    re.compile(r"(?P<why>Unverified \w+ template) at \"(?P<path>.+)\"$"),
    re.compile(r"\] (?P<path>/.+?) (?P<why>excluded from default run using \.nuclei-ignore)"),
    re.compile(r"(?P<why>Skipping duplicate template ID '.*') from path '(?P<path>.+)'"),
)
_NOT_SENT = re.compile(
    r"\[WRN\] \[(?P<id>[^\]]+)\] Could not "
    r"(?:execute code(?!: cause=\"exit status )|(?:make|execute) (?!code:).*? (?:for|on) \(?\S+?\)? ?): (?P<why>.*)"
)
"""A program of a template that ended with another code than 0 has run."""
_NOISE = ("[VER]", "[DBG]")


class _Statistics(msgspec.Struct):
    requests: str = "0"
    total: str = "0"
    errors: str = "0"
    hosts: str = "0"


_decode = wire.decoder(_Statistics).decode


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
        self.skipped: set[str] = set()
        """``host:port`` of the hosts that Nuclei gave up."""
        self.loaded: set[str] = set()
        """Ids of the templates that Nuclei loaded."""
        self.not_loaded: dict[str, str] = {}
        """Why a template was not loaded, by its path."""
        self.not_sent: dict[str, str] = {}
        """Why a request of a template was not sent, or failed, by its id: the first cause that was told."""
        self.crash = ""
        """The line with which a crash of Nuclei begins."""
        self.moved_at = now
        """When Nuclei last moved, on the clock of `feed`: it loaded templates, or sent a request. At first, when the scan began."""
        self.redact: Callable[[str], str] = str
        """Takes secrets out of a line before anything of it is kept; by default there are none."""
        self._request_warnings = 0
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)

    @property
    def percent(self) -> int:
        """How far the scan is, 0 to 100."""
        return min(100, self.requests * 100 // self.total) if self.total > 0 else 0

    @property
    def text(self) -> str:
        """The last log lines, with the beginning of a crash."""
        return "\n".join([self.crash, *self._tail] if self.crash else self._tail)

    def feed(self, line: bytes, now: float) -> bool:
        """Take one line of stderr.

        Returns:
            True where it is for the log that is kept, False for statistics and remarks about single requests.
        """
        if line.startswith(b"{") and self._statistics(line, now):
            return False
        text = self.redact(_COLOUR.sub("", line.decode(errors="replace")).rstrip())
        if not text:
            return False
        if text.startswith(_NOISE):
            self._template(text)
            return False
        if match := _NOT_SENT.match(text):
            self.not_sent.setdefault(match["id"], match["why"][:_REASON_COLUMNS])
            self._request_warnings += 1
            return self._request_warnings <= _REQUEST_WARNINGS
        if not self.crash and _CRASH.match(text):
            self.crash = text[:_TAIL_COLUMNS]
        self._tail.append(text[:_TAIL_COLUMNS])
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
        else:
            self._template(text)
        return True

    def listed(self, line: bytes) -> bool:
        """Take a line of stdout that is no finding.

        Returns:
            Whether it is one that Nuclei writes there for people: a template that it loaded, or a DSL function.
        """
        if match := _LISTED.fullmatch(line):
            self.loaded.add(match[1].decode())
            return True
        return (_FUNCTIONS.fullmatch(line) or _UNSIGNED.fullmatch(line)) is not None

    def _template(self, text: str) -> None:
        for pattern in _NOT_LOADED:
            if match := pattern.search(text):
                why = match["why"].replace('\\"', '"').removesuffix('"')
                self.not_loaded.setdefault(match["path"], why[:_REASON_COLUMNS])
                return

    def _statistics(self, line: bytes, now: float) -> bool:
        try:
            statistics = _decode(line)
            requests, total = int(statistics.requests), int(statistics.total)
        except (*wire.UNREADABLE, ValueError):
            return False
        if requests != self.requests:
            self.moved_at = now
        self.requests, self.total = requests, total
        return True
