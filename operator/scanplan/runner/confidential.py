"""Keep endpoints that come from a Secret out of what a pod says: its log, and the report that becomes a plan's status.

Messages quote what Nuclei, the system and Python said, so they are searched for hosts rather than trusted to name none. Files on
the claim keep the endpoints: findings are of no use without.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

import msgspec

from scanplan.api.v1alpha1.task import ShardReport, TaskDocument, TaskError
from scanplan.core.planning import endpoints, shards
from scanplan.runner import progress

BLOT = "[redacted]"
_WORD = re.compile(r"""[^\s,\\"`]+""")
"""A word of a message. None of these characters is in an endpoint, so one is never cut in two."""
_HOST = re.compile(r"[\w.:-]+")
"""What may be a host in a word, perhaps with a port."""


class Redaction:
    """Blots out the endpoints of a confidential task; leaves the messages of all others as they are."""

    def __init__(self, document: TaskDocument) -> None:
        self._hosts: frozenset[str] = frozenset()
        self.active = document.confidential
        if self.active:
            self._hosts = frozenset(shards.host_of(endpoint) for endpoint in document.endpoints)

    def text(self, message: str) -> str:
        """A message without any word that names a URL, an address, or a host of the task."""
        return _WORD.sub(self._word, message) if self.active else message

    def error(self, error: TaskError) -> TaskError:
        return msgspec.structs.replace(error, message=self.text(error.message))

    def report(self, report: ShardReport) -> ShardReport:
        """An attempt's report; its counts stay."""
        return msgspec.structs.replace(
            report,
            error=self.error(report.error) if report.error else None,
            warnings=tuple(map(self.text, report.warnings)),
        )

    def event(self, event: progress.Event) -> progress.Event:
        return msgspec.structs.replace(event, message=self.text(event.message))

    def _word(self, match: re.Match[str]) -> str:
        word = unquote(match[0])
        named = "://" in word or any(self._is_named(part) for part in _HOST.findall(word))
        return BLOT if named else match[0]

    def _is_named(self, part: str) -> bool:
        """Whether it is a host of the task, is below one, or is an address, which may be that of one."""
        name = part.strip(".:").lower()
        for candidate in (name, name.rpartition(":")[0], *name.split(":")):
            labels = candidate.strip(".").split(".")
            above = (".".join(labels[count:]) for count in range(len(labels)))
            if _is_address(candidate) or not self._hosts.isdisjoint(above):
                return True
        return False


def _is_address(text: str) -> bool:
    return (text.count(".") == 3 or text.count(":") > 1) and endpoints.parse_address(text) is not None
