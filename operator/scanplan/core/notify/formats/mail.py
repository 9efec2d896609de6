"""A message as mail: plain text, so that nothing in it is markup.

Headers hold our own words and names that the API server has checked. `wording.clean` leaves no line end in them.
"""

from __future__ import annotations

from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from scanplan.api.v1alpha1.notification import Notice
from scanplan.api.v1alpha1.scannotifier import Email
from scanplan.core.notify.formats import wording

_POLICY = policy.SMTP.clone(cte_type="7bit")
"""Lines end as SMTP says, and no server has to take more than seven bits."""


def message(notice: Notice, message_id: str, to: Email) -> EmailMessage:
    """The mail.

    Args:
        message_id: the same for each attempt, so that mailboxes know a repetition.
    """
    mail = EmailMessage(_POLICY)
    mail["Subject"] = f"[scanplan] {wording.clean(wording.title(notice))}"
    mail["From"] = _address(to.from_)
    mail["To"] = [_address(each) for each in to.to]
    mail["Date"] = format_datetime(datetime.fromisoformat(notice.time))
    mail["Message-ID"] = f"<{message_id}@{to.from_.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text(notice), charset="utf-8", cte="quoted-printable")
    return mail


def text(notice: Notice) -> str:
    """The message for people who read plain text."""
    rows = [wording.title(notice), ""]
    if failure := wording.failure(notice):
        rows += [failure, ""]
    rows += [f"{fact.name}: {fact.value}" for fact in wording.facts(notice)]
    if lines := wording.lines(notice):
        rows += ["", "New findings"]
        for line in lines:
            where = f" at {line.where}" if line.where else ""
            rows.append(f"- {line.severity}: {line.name}{where} ({line.template})")
    if more := wording.more(notice):
        rows.append(more)
    if links := wording.links(notice):
        rows += ["", *(f"{link.name}: {link.value}" for link in links)]
    return "\n".join(rows) + "\n"


def _address(text: str) -> Address:
    return Address(addr_spec=text)
