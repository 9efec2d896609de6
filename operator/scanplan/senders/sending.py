"""Sends one message of a notifier in the format of its receiver."""

from __future__ import annotations

import functools
import ssl
import time

from scanplan.api.v1alpha1.notification import Notice
from scanplan.api.v1alpha1.scannotifier import ScanNotifierSpec
from scanplan.core.egress.policy import ReceiverPolicy
from scanplan.core.notify.decision import Trouble
from scanplan.core.notify.formats import cloudevents, mail, signing, slack, teams
from scanplan.core.notify.receivers import HttpReceiver, MailReceiver, Receiver
from scanplan.senders import http, smtp

_JSON = "application/json; charset=UTF-8"


class Sender:
    """Sends to any receiver. The certificates that it trusts are read once, when they are first needed."""

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    async def send(
        self,
        spec: ScanNotifierSpec,
        receiver: Receiver,
        notice: Notice,
        message_id: str,
        notifier: str,
        policy: ReceiverPolicy,
    ) -> Trouble | None:
        """Send a message; returns why it was not taken.

        Args:
            spec: whose receiver it is.
            message_id: the same for each attempt.
            notifier: name of the ScanNotifier.
            policy: which addresses nothing is sent to.
        """
        match receiver:
            case MailReceiver(email):
                return await smtp.deliver(receiver, mail.message(notice, message_id, email), policy, self._context)
            case HttpReceiver():
                if spec.webhook:
                    body = cloudevents.body(notice, message_id, notifier)
                    headers = signing.headers(receiver.keys, message_id, int(time.time()), body)
                    headers["Content-Type"] = cloudevents.CONTENT_TYPE
                else:
                    body = slack.body(notice) if spec.slack else teams.body(notice)
                    headers = {"Content-Type": _JSON}
                return await http.post(receiver, body, headers, policy, self._context)
