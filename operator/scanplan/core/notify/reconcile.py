"""Decides what to do about one ScanNotifier: what comes into its outbox, what is sent next, and what its status says.

It is pure and level-triggered. The outbox is a list in the notifier's status. A message is added to it before it is sent, and
removed once the receiver has accepted it. After a crash in between, it is sent again with the same id (at-least-once delivery).
`outbox` changes that list, and `intake` says which ended scans become messages.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from scanplan.api.times import format_precise, lenient_time
from scanplan.api.v1alpha1.scannotifier import ScanNotifierStatus
from scanplan.core.notify import backoff, choice, conditions, intake, outbox
from scanplan.core.notify.decision import Check, Decision, Notifier, Observed, Send, Wait, Write


def reconcile(observed: Observed, now: datetime) -> Decision:
    """Decide about one notifier.

    Args:
        observed: a snapshot; nothing in it is changed.
        now: the present time, timezone-aware.
    """
    notifier = observed.notifier
    if notifier.deleting or notifier.unreadable:
        return Wait(None)
    status = _next_status(observed, now)
    if status != notifier.status:
        return Write(status)
    if notifier.problem or notifier.spec.suspend:
        return Wait(None)
    if conditions.to_be_checked(notifier, now):
        return Check()
    if (outgoing := outbox.next_message(status, now)) is not None:
        return Send(outgoing)
    return Wait(_next_look(observed, now))


def _next_status(observed: Observed, now: datetime) -> ScanNotifierStatus:
    notifier = observed.notifier
    if notifier.problem:
        return conditions.with_conditions(notifier, notifier.status, (), now)
    status = _with_since(notifier, now)
    for outcome in observed.outcomes:
        status = outbox.with_outcome(notifier, status, outcome)
    if not notifier.spec.suspend:
        status = outbox.with_test_message(notifier, status, now)
        status = intake.with_ended_scans(observed, status, now)
    status = outbox.without_expired(status, now)
    status = status.model_copy(update={"pending": len(status.outbox)})
    return conditions.with_conditions(notifier, status, observed.outcomes, now)


def _with_since(notifier: Notifier, now: datetime) -> ScanNotifierStatus:
    """Set `since` to now for a new notifier, after a change of what it selects, and after a suspension."""
    status, chosen = notifier.status, choice.digest(notifier.spec)
    resumed = conditions.was_suspended(status) and not notifier.spec.suspend
    if lenient_time(status.since) and status.choice_digest == chosen and not resumed:
        return status
    change: dict[str, Any] = {"since": format_precise(now), "choice_digest": chosen, "settled": ()}
    if status.choice_digest is None:  # new notifier: its first value of `spec.test` sends no message
        change["last_test"] = notifier.spec.test
    return status.model_copy(update=change)


def _next_look(observed: Observed, now: datetime) -> datetime | None:
    status = observed.notifier.status
    paused = backoff.until(status.paused_until, now)
    times = [max(filter(None, (backoff.until(each.next_time, now), paused)), default=now) for each in status.outbox]
    times += [until for each in observed.scans if (until := intake.grace_ends(each, now))]
    if paused and conditions.is_stalled(status):
        times.append(paused)
    return min(times, default=None)
