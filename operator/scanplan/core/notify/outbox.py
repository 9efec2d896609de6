"""The outbox of a notifier: the messages in its status that its receiver has not accepted yet."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from scanplan.api.times import format_precise, lenient_time
from scanplan.api.v1alpha1 import scannotifier
from scanplan.api.v1alpha1.scannotifier import Outgoing, ScanNotifierStatus
from scanplan.core.notify import backoff, notices
from scanplan.core.notify.decision import Checked, Notifier, NotSent, Outcome, Sent


def message_id(notifier_uid: str, what: str) -> str:
    """The id of a message. It is the same for each attempt and each process, so a receiver can drop a repetition."""
    digest = hashlib.sha256(f"{notifier_uid}\0{what}".encode()).hexdigest()
    return f"msg_{digest[:32]}"


def id_of_test(notifier_uid: str, value: str) -> str:
    """The id of the test message that a value of `spec.test` asks for."""
    return message_id(notifier_uid, f"test\0{value}")


def with_outcome(notifier: Notifier, status: ScanNotifierStatus, outcome: Outcome) -> ScanNotifierStatus:
    """The status after one attempt to send a message, or after one check of the receiver."""
    match outcome:
        case Sent(id_, time):
            if all(each.id != id_ for each in status.outbox):
                return status
            return status.model_copy(
                update={
                    "outbox": tuple(each for each in status.outbox if each.id != id_),
                    "sent": (status.sent or 0) + 1,
                    "last_sent_time": format_precise(time),
                    "failures": None,
                    "paused_until": None,
                }
            )
        case NotSent(id_, trouble, time):
            failures = (status.failures or 0) + 1
            change: dict[str, Any] = {
                "outbox": tuple(
                    _after_failure(each, time, trouble.retry_after) if each.id == id_ else each
                    for each in status.outbox
                )
            }
            if not trouble.of_message:
                change["failures"] = failures
                change["paused_until"] = format_precise(time + backoff.delay(failures, trouble.retry_after))
            return status.model_copy(update=change)
        case Checked(generation, trouble, time):
            if generation != notifier.generation:
                return status
            # If the receiver answers again, all messages are due at once. Otherwise nothing is sent before the next check.
            until = format_precise(time + timedelta(seconds=backoff.RECHECK_SECONDS)) if trouble else None
            outbox = (
                status.outbox
                if trouble
                else tuple(each.model_copy(update={"next_time": None}) for each in status.outbox)
            )
            return status.model_copy(update={"paused_until": until, "failures": None, "outbox": outbox})


def _after_failure(outgoing: Outgoing, time: datetime, retry_after: float) -> Outgoing:
    attempts = outgoing.attempts + 1
    return outgoing.model_copy(
        update={"attempts": attempts, "next_time": format_precise(time + backoff.delay(attempts, retry_after))}
    )


def with_test_message(notifier: Notifier, status: ScanNotifierStatus, now: datetime) -> ScanNotifierStatus:
    """Add the message that a new value of `spec.test` asks for, if there is room. An emptied value is only recorded."""
    wanted = notifier.spec.test
    if wanted == (status.last_test or "") or len(status.outbox) >= scannotifier.MAX_OUTBOX:
        return status
    change: dict[str, Any] = {"last_test": wanted}
    if wanted:
        notice = notices.of_test(notifier.namespace, notifier.spec, now)
        outgoing = Outgoing(id=id_of_test(notifier.uid, wanted), notice=notice, taken_time=format_precise(now))
        change["outbox"] = (*status.outbox, outgoing)
    return status.model_copy(update=change)


def without_expired(status: ScanNotifierStatus, now: datetime) -> ScanNotifierStatus:
    """Remove the messages that have been in the outbox for longer than `backoff.KEPT`, and count them as lost."""
    kept = tuple(each for each in status.outbox if (lenient_time(each.taken_time) or now) + backoff.KEPT > now)
    if len(kept) == len(status.outbox):
        return status
    return status.model_copy(update={"outbox": kept, "lost": (status.lost or 0) + len(status.outbox) - len(kept)})


def next_message(status: ScanNotifierStatus, now: datetime) -> Outgoing | None:
    """The message to send now; None: no message is due. The fewest attempts come first, then the oldest: the outbox is in order."""
    if backoff.until(status.paused_until, now):
        return None
    ready = [each for each in status.outbox if not backoff.until(each.next_time, now)]
    return min(ready, key=lambda each: each.attempts, default=None)
