"""The decision about one ScanNotifier: what comes into its outbox, what is sent next, and what its status says.

Pure and level-triggered. The outbox is a list in the notifier's status. A message is added to it before it is sent, and removed
once the receiver has accepted it. After a crash in between, it is sent again with the same id (at-least-once delivery). Scans that
ended before `since`, and those whose ids are in `settled`, need no message any more. So a restart repeats no message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from scanplan.api import labels
from scanplan.api.times import lenient_time
from scanplan.api.v1alpha1 import scannotifier
from scanplan.api.v1alpha1.scannotifier import FailingRun, Outgoing, ScanNotifierStatus
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.core.notify import backoff, choice, conditions, notices
from scanplan.core.notify.decision import (
    Check,
    Checked,
    Decision,
    Notifier,
    NotSent,
    Observed,
    Outcome,
    Send,
    Sent,
    Wait,
    Write,
)
from scanplan.core.notify.scans import Ended

REMEMBERED = timedelta(minutes=10)
"""Ids in `settled` are kept for this long, because the end of a scan may be seen this much later than the end of a newer one."""
MOST_QUIET = 50
"""Scans without a message are not written to `settled` at once, but looked at again. From this number on, they are written."""
GRACE = timedelta(seconds=60)
"""Grace period before a plan that can't run as written is reported. In GitOps, what it names may be created a moment later."""


def decide(observed: Observed, now: datetime) -> Decision:
    """What to do about a notifier now."""
    notifier = observed.notifier
    if notifier.deleting:
        return Wait(None)
    status = _next(observed, now)
    if status != notifier.status:
        return Write(status)
    if notifier.problem or notifier.spec.suspend:
        return Wait(None)
    if conditions.to_be_checked(notifier, now):
        return Check()
    if (outgoing := _next_message(status, now)) is not None:
        return Send(outgoing)
    return Wait(_next_look(observed, now))


def message_id(notifier_uid: str, what: str) -> str:
    """The id of a message. It is the same for each attempt and each process, so a receiver can drop a repetition."""
    digest = hashlib.sha256(f"{notifier_uid}\0{what}".encode()).hexdigest()
    return f"msg_{digest[:32]}"


def id_of_test(notifier_uid: str, value: str) -> str:
    """The id of the test message that a value of `spec.test` asks for."""
    return message_id(notifier_uid, f"test\0{value}")


# the status


def _next(observed: Observed, now: datetime) -> ScanNotifierStatus:
    notifier = observed.notifier
    if notifier.problem:
        return conditions.told(notifier, notifier.status, (), now)
    status = _with_since(notifier, now)
    for outcome in observed.outcomes:
        status = _with_outcome(notifier, status, outcome)
    if not notifier.spec.suspend:
        status = _with_test_message(notifier, status, now)
        status = _with_ended_scans(observed, status, now)
    status = _without_expired(status, now)
    status = status.model_copy(update={"pending": len(status.outbox)})
    return conditions.told(notifier, status, observed.outcomes, now)


def _with_since(notifier: Notifier, now: datetime) -> ScanNotifierStatus:
    """Set `since` to now for a new notifier, after a change of what it selects, and after a suspension."""
    status, chosen = notifier.status, choice.digest(notifier.spec)
    resumed = conditions.was_suspended(status) and not notifier.spec.suspend
    if lenient_time(status.since) and status.choice_digest == chosen and not resumed:
        return status
    change: dict[str, Any] = {"since": precise(now), "choice_digest": chosen, "settled": ()}
    if status.choice_digest is None:  # a value of `spec.test` that is there from the creation sends no message
        change["last_test"] = notifier.spec.test
    return status.model_copy(update=change)


def _with_outcome(notifier: Notifier, status: ScanNotifierStatus, outcome: Outcome) -> ScanNotifierStatus:
    match outcome:
        case Sent(id_, time):
            if all(each.id != id_ for each in status.outbox):
                return status
            return status.model_copy(
                update={
                    "outbox": tuple(each for each in status.outbox if each.id != id_),
                    "sent": (status.sent or 0) + 1,
                    "last_sent_time": precise(time),
                    "failures": None,
                    "paused_until": None,
                }
            )
        case NotSent(id_, trouble, time):
            failures = (status.failures or 0) + 1
            change: dict[str, Any] = {
                "outbox": tuple(
                    _tried(each, time, trouble.retry_after) if each.id == id_ else each for each in status.outbox
                )
            }
            if not trouble.of_message:
                change["failures"] = failures
                change["paused_until"] = precise(time + backoff.delay(failures, trouble.retry_after))
            return status.model_copy(update=change)
        case Checked(generation, trouble, time):
            if generation != notifier.generation:
                return status
            until = precise(time + timedelta(seconds=backoff.RECHECK_SECONDS)) if trouble else None
            outbox = (
                status.outbox
                if trouble
                else tuple(each.model_copy(update={"next_time": None}) for each in status.outbox)
            )
            return status.model_copy(update={"paused_until": until, "failures": None, "outbox": outbox})


def _tried(outgoing: Outgoing, time: datetime, retry_after: float) -> Outgoing:
    attempts = outgoing.attempts + 1
    return outgoing.model_copy(
        update={"attempts": attempts, "next_time": precise(time + backoff.delay(attempts, retry_after))}
    )


def _with_test_message(notifier: Notifier, status: ScanNotifierStatus, now: datetime) -> ScanNotifierStatus:
    wanted = notifier.spec.test
    if wanted == (status.last_test or "") or len(status.outbox) >= scannotifier.MAX_OUTBOX:
        return status
    change: dict[str, Any] = {"last_test": wanted}
    if wanted:
        notice = notices.of_test(notifier.namespace, notifier.spec, now)
        outgoing = Outgoing(id=id_of_test(notifier.uid, wanted), notice=notice, taken_time=precise(now))
        change["outbox"] = (*status.outbox, outgoing)
    return status.model_copy(update=change)


def _with_ended_scans(observed: Observed, status: ScanNotifierStatus, now: datetime) -> ScanNotifierStatus:
    """Add messages for ended scans to the outbox, in the order of their ends, until it is full."""
    notifier, since = observed.notifier, _since(status, now)
    settled = set(status.settled)
    news = sorted(
        (
            each
            for each in observed.scans
            if each.time >= since and each.id not in settled and _grace_ends(each, now) is None
        ),
        key=lambda each: (each.time, each.id),
    )
    if not news:
        return status
    outbox, failing = list(status.outbox), {each.run: each.time for each in status.failing}
    waiting: list[Ended] = []
    quiet: set[str] = set()
    """Ids of scans without a message. Another look at them gives the same answer, so they need not be written now."""
    for ended in news:
        scan = ended.scan
        if labels.is_retest(scan.labels) or not choice.selects(notifier.spec.selector, scan.labels):
            quiet.add(ended.id)
            continue
        failed_at = lenient_time(failing.get(scan.run))
        recovered = scan.status.phase is Phase.COMPLETED and failed_at is not None and failed_at <= ended.time
        event = choice.event_of(scan, notifier.spec, recovered=recovered)
        if event and len(outbox) >= scannotifier.MAX_OUTBOX:
            waiting.append(ended)
            break
        if scan.status.phase is Phase.FAILED:
            failing[scan.run] = precise(ended.time)
        elif recovered:
            del failing[scan.run]
        elif not event:
            quiet.add(ended.id)
            continue
        settled.add(ended.id)
        if event:
            notice = notices.of_scan(ended, event, notifier.spec, recovered=recovered, page_url=observed.page_url)
            outbox.append(Outgoing(id=message_id(notifier.uid, ended.id), notice=notice, taken_time=precise(now)))
    if settled == set(status.settled) and len(quiet) < MOST_QUIET:
        return status
    settled |= quiet
    begin, kept = _trimmed(observed.scans, settled, since, waiting)
    return status.model_copy(
        update={
            "outbox": tuple(outbox),
            "failing": tuple(FailingRun(run=run, time=time) for run, time in failing.items())[
                -scannotifier.MAX_FAILING :
            ],
            "since": precise(begin),
            "settled": kept,
        }
    )


def _trimmed(
    scans: Iterable[Ended], settled: set[str], since: datetime, waiting: list[Ended]
) -> tuple[datetime, tuple[str, ...]]:
    """The new `since` and `settled`. `since` never passes the end of a scan that waits for room in the outbox."""
    done = sorted((each for each in scans if each.id in settled), key=lambda each: (each.time, each.id))
    if not done:
        return since, ()
    begin = max(since, min([done[-1].time - REMEMBERED, *(each.time for each in waiting)]))
    if len(done) > scannotifier.MAX_SETTLED:
        begin = max(begin, done[-scannotifier.MAX_SETTLED].time)
    return begin, tuple(each.id for each in done if each.time >= begin)[-scannotifier.MAX_SETTLED :]


def _since(status: ScanNotifierStatus, now: datetime) -> datetime:
    """The time from which on scans are reported: at most `backoff.KEPT` ago, in whole seconds like the times in a plan's status."""
    since = lenient_time(status.since) or now
    return max(since.astimezone(UTC).replace(microsecond=0), now - backoff.KEPT)


def _grace_ends(ended: Ended, now: datetime) -> datetime | None:
    """When the grace period of a failure that may pass is over; None: it is over, or the scan has none."""
    until = ended.time + GRACE
    return until if not ended.lasting and now < until else None


def _without_expired(status: ScanNotifierStatus, now: datetime) -> ScanNotifierStatus:
    """Remove the messages that were tried for `backoff.KEPT`, and count them as lost."""
    kept = tuple(each for each in status.outbox if (lenient_time(each.taken_time) or now) + backoff.KEPT > now)
    if len(kept) == len(status.outbox):
        return status
    return status.model_copy(update={"outbox": kept, "lost": (status.lost or 0) + len(status.outbox) - len(kept)})


# what is next


def _next_message(status: ScanNotifierStatus, now: datetime) -> Outgoing | None:
    """The message to send now: the one with the fewest attempts, and the oldest among equals."""
    paused = lenient_time(status.paused_until)
    if paused and now < paused:
        return None
    ready = [each for each in status.outbox if (lenient_time(each.next_time) or now) <= now]
    return min(ready, key=lambda each: each.attempts, default=None)


def _next_look(observed: Observed, now: datetime) -> datetime | None:
    status = observed.notifier.status
    paused = lenient_time(status.paused_until)
    times = [max(filter(None, (lenient_time(each.next_time), paused)), default=now) for each in status.outbox]
    times += [until for each in observed.scans if (until := _grace_ends(each, now))]
    if paused and conditions.is_stalled(status):
        times.append(paused)
    return min(times, default=None)


def precise(moment: datetime) -> str:
    """A time as text with microseconds, so that events of one second keep their order."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
