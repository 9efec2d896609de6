"""Which ended scans become messages of a notifier.

A scan needs no message if it ended before `since`, or if its id is in `settled`. Both are in the notifier's status, so a restart
repeats no message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from scanplan.api import labels
from scanplan.api.times import format_precise, lenient_time
from scanplan.api.v1alpha1 import scannotifier
from scanplan.api.v1alpha1.scannotifier import FailingRun, Outgoing, ScanNotifierStatus
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.core.notify import backoff, choice, notices, outbox
from scanplan.core.notify.decision import Notifier, Observed
from scanplan.core.notify.scans import Ended, Scan

MAX_DELAY = timedelta(minutes=10)
"""How long ids stay in `settled`. The end of a scan can become known this much later than the end of a newer scan."""
MAX_UNRECORDED = 50
"""Ids of scans without a message are written to `settled` only with the next change, or when there are this many."""
SKEW = timedelta(minutes=1)
"""Clocks of API servers differ by less."""
GRACE = timedelta(seconds=60)
"""Grace period before a plan that can't run as written is reported. In GitOps, what it names may be created a moment later."""


def with_ended_scans(observed: Observed, status: ScanNotifierStatus, now: datetime) -> ScanNotifierStatus:
    """Add messages for ended scans to the outbox, in the order of their ends, until it is full."""
    since, settled = _since(observed.notifier, status, now), set(status.settled)
    news = [
        each
        for each in observed.scans
        if each.time >= since and each.id not in settled and grace_ends(each, now) is None
    ]
    failing_since = {each.run: each.time for each in status.failing}
    intake = _Intake(observed, now, {each.id for each in news}, list(status.outbox), failing_since)
    for ended in sorted(news, key=_order):
        if not intake.add(ended):
            break
    if not intake.recorded and len(intake.without_message) < MAX_UNRECORDED:
        return status
    done = settled | intake.recorded | intake.without_message
    begin, kept = _trimmed(observed.scans, done, since, intake.waiting, now)
    failing = tuple(FailingRun(run=run, time=time) for run, time in intake.failing.items())
    return status.model_copy(
        update={
            "outbox": tuple(intake.outbox),
            "failing": failing[-scannotifier.MAX_FAILING :],
            "since": format_precise(begin),
            "settled": kept,
        }
    )


@dataclass(slots=True)
class _Intake:
    """Takes in ended scans, the oldest first."""

    observed: Observed
    now: datetime
    left: set[str]
    """Ids of scans that are still to be taken in."""
    outbox: list[Outgoing]
    failing: dict[str, str]
    """The runs whose last scan failed, each with the time when that scan ended."""
    recorded: set[str] = field(default_factory=set)
    """Ids of scans that changed the outbox or `failing`."""
    without_message: set[str] = field(default_factory=set)
    """Ids of other scans. Another look at them gives the same answer, so they need not be written now."""
    waiting: Ended | None = None
    """The first scan whose message does not fit into the outbox."""

    def add(self, ended: Ended) -> bool:
        """Take in a scan; False: the outbox has no room for its message."""
        self.left.discard(ended.id)
        notifier, scan = self.observed.notifier, ended.scan
        if not self._takes(scan):
            self.without_message.add(ended.id)
            return True
        repeated = self._has_news(scan) and self._has_told_result(ended)
        if repeated:
            scan = scan.without_new_findings()
        failed_at = lenient_time(self.failing.get(scan.run))
        recovered = scan.status.phase is Phase.COMPLETED and failed_at is not None and failed_at <= ended.time
        event = choice.event_of(scan, notifier.spec, recovered=recovered)
        if event and len(self.outbox) >= scannotifier.MAX_OUTBOX:
            self.waiting = ended
            return False
        failed = scan.status.phase is Phase.FAILED
        if failed:
            self.failing[scan.run] = format_precise(ended.time)
        elif recovered:
            del self.failing[scan.run]
        if event:
            id_, page = outbox.message_id(notifier.uid, ended.id), self.observed.page_url
            notice = notices.of_scan(ended, scan, event, notifier.spec, recovered=recovered, page_url=page)
            self.outbox.append(Outgoing(id=id_, notice=notice, taken_time=format_precise(self.now)))
        # Of a repeated one the answer changes if the plan is deleted that has told the same: so it is written down.
        (self.recorded if event or failed or recovered or repeated else self.without_message).add(ended.id)
        return True

    def _takes(self, scan: Scan) -> bool:
        selector = self.observed.notifier.spec.selector
        return choice.selects(selector, scan.labels) and not labels.is_retest(scan.labels)

    def _has_news(self, scan: Scan) -> bool:
        return bool(choice.new_findings(scan.status, self.observed.notifier.spec.min_severity))

    def _has_told_result(self, ended: Ended) -> bool:
        """Whether a plan that shares the scan was taken in before, and has told its new findings."""
        others = (
            each.scan
            for each in self.observed.scans
            if each.result == ended.result and each.id != ended.id and each.id not in self.left
        )
        return bool(ended.result) and any(self._takes(other) and self._has_news(other) for other in others)


def _trimmed(
    scans: Iterable[Ended], settled: set[str], since: datetime, waiting: Ended | None, now: datetime
) -> tuple[datetime, tuple[str, ...]]:
    """The new `since` and `settled`. `since` never passes the end of a scan that waits for room in the outbox."""
    done = sorted((each for each in scans if each.id in settled), key=_order)
    if not done:
        return since, ()
    begin = max(since, min([min(done[-1].time, now) - MAX_DELAY, *([waiting.time] if waiting else ())]))
    if len(done) > scannotifier.MAX_SETTLED:
        begin = max(begin, done[-scannotifier.MAX_SETTLED].time)
    return begin, tuple(each.id for each in done if each.time >= begin)[-scannotifier.MAX_SETTLED :]


def _order(ended: Ended) -> tuple[datetime, str]:
    return ended.time, ended.id


def _since(notifier: Notifier, status: ScanNotifierStatus, now: datetime) -> datetime:
    """Scans that ended before this time are not reported.

    It is `since` of the status, cut to whole seconds because plans store times so, but not before now - `backoff.KEPT`. A time in
    the future was written while the clock was ahead. Then the last `MAX_DELAY` counts, as far as the notifier existed.
    """
    since = lenient_time(status.since) or now
    if since > now + SKEW:
        earliest = now - MAX_DELAY
        since = notifier.created if earliest < notifier.created <= now else earliest
    return max(since.astimezone(UTC).replace(microsecond=0), now - backoff.KEPT)


def grace_ends(ended: Ended, now: datetime) -> datetime | None:
    """When the grace period of a scan ends; None: it is over, or there is none, because the task really ended (`lasting`)."""
    until = ended.time + GRACE
    return until if not ended.lasting and now < until else None
