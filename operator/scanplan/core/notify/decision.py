"""What can be decided about a ScanNotifier, and what came of it. One of `Check`, `Send`, `Write` and `Wait` holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scannotifier import Outgoing, ScanNotifierSpec, ScanNotifierStatus
from scanplan.core.notify.scans import Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifier:
    """A ScanNotifier object as the core reads it."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: datetime
    resource_version: str
    deleting: bool
    spec: ScanNotifierSpec
    status: ScanNotifierStatus
    problem: str = ""
    """Why the spec can't be read."""
    unreadable: str = ""
    """Which fields the status has of a newer version of the operator; `status` is without them. Nothing may be written then."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The receiver has taken a message."""

    id: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the receiver did not take a message, or could not take one. Its words name no URL, and nothing of a Secret."""

    reason: Reason
    message: str
    lasting: bool = False
    """It takes a person's change: a Secret that is not there, a host that the owner does not allow."""
    of_message: bool = False
    """Only this message was refused; others may be taken."""
    retry_after: float = 0.0
    """Seconds for which the receiver wants to be left alone."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """An attempt has failed."""

    id: str
    trouble: Trouble
    time: datetime


@dataclass(frozen=True, slots=True)
class Checked:
    """The receiver of a generation was looked at, without a message: its Secrets, and whether the owner allows it."""

    generation: int
    trouble: Trouble | None
    time: datetime


Outcome = Sent | NotSent | Checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """All that a decision depends on, besides the time."""

    notifier: Notifier
    scans: Sequence[Ended]
    """The ended scans of its namespace."""
    outcomes: Sequence[Outcome] = ()
    """Of what this process has done, and not yet written."""
    page_url: str = ""
    """Where the API and its page are served; empty: nobody has said so."""


@dataclass(frozen=True, slots=True)
class Write:
    """Write the status; then all outcomes are on it."""

    status: ScanNotifierStatus


@dataclass(frozen=True, slots=True)
class Check:
    """Look whether the receiver can be sent to."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message that is on the written status."""

    outgoing: Outgoing


@dataclass(frozen=True, slots=True)
class Wait:
    """There is nothing to be done before `until`; None: before something changes."""

    until: datetime | None


Decision = Write | Check | Send | Wait
