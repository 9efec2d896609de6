"""Sending mail to a server that offers, refuses, hangs and lies. A password goes over TLS to the right server, or nowhere."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from email import message_from_bytes, policy
from typing import Any

import pytest

from scanplan.api.v1alpha1.notification import Notice
from scanplan.api.v1alpha1.scannotifier import Email
from scanplan.core.egress.policy import ReceiverPolicy
from scanplan.core.notify.decision import Trouble
from scanplan.core.notify.formats import mail
from scanplan.core.notify.receivers import MailReceiver
from scanplan.core.planning.targets.guard import Guard
from scanplan.senders import smtp
from tests.fixtures.receivers import Certificates, MailServer, certificates

LOCAL = ReceiverPolicy(("*",), Guard(()))
LOGIN = ("me", "pässword")


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@contextlib.contextmanager
def serving(context: ssl.SSLContext, **options: Any) -> Iterator[MailServer]:
    server = MailServer(context, **options)
    try:
        yield server
    finally:
        server.stop()


async def deliver(
    server: MailServer,
    context: ssl.SSLContext,
    host: str = "localhost",
    login: tuple[str, str] = ("", ""),
    guard: ReceiverPolicy = LOCAL,
    text: str = "it failed",
) -> Trouble | None:
    email = Email.model_validate(
        {
            "host": host,
            "port": server.port,
            "encryption": "TLS" if server.tls else "STARTTLS",
            "from": "scans@example.com",
            "to": ["one@example.com", "two@example.com"],
        }
    )
    notice = Notice(event="Failed", time="2026-11-27T02:10:00Z", namespace="shop", plan="nightly-1", message=text)
    message = mail.message(notice, "msg_1", email)
    trouble = await smtp.deliver(MailReceiver(email, *login), message, guard, context, 1.0)
    assert trouble is None or (LOGIN[1] not in trouble.message and "localhost" not in trouble.message)
    return trouble


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("mechanisms", ["PLAIN LOGIN", "LOGIN"])
async def test_a_mail_arrives_whole(issued: Certificates, tls: bool, mechanisms: str) -> None:
    with serving(issued.right, tls=tls, login=LOGIN, mechanisms=mechanisms) as server:
        assert await deliver(server, issued.client(), login=LOGIN, text="a\n.\n.b\u20ac" + "x" * 300) is None
        (content,) = server.mails
        found = message_from_bytes(content, policy=policy.default)
        assert found["Message-ID"] == "<msg_1@example.com>"
        assert "a . .b€" in found.get_content()
        assert [each for each in server.commands if each.startswith("RCPT")] == [
            "RCPT TO:<one@example.com>",
            "RCPT TO:<two@example.com>",
        ]


async def test_without_a_user_nobody_logs_in(issued: Certificates) -> None:
    with serving(issued.right, login=LOGIN) as server:
        assert await deliver(server, issued.client()) is None
        assert not any(each.startswith("AUTH") for each in server.commands)


async def test_nothing_is_sent_without_encryption(issued: Certificates) -> None:
    with serving(issued.right, offers_starttls=False, login=LOGIN) as server:
        trouble = await deliver(server, issued.client(), login=LOGIN)
        assert trouble
        assert "STARTTLS" in trouble.message
        assert server.commands == ["EHLO scanplan-operator.invalid"]


@pytest.mark.parametrize("tls", [True, False])
async def test_nothing_is_sent_to_a_server_that_cannot_prove_its_name(issued: Certificates, tls: bool) -> None:
    with serving(issued.wrong, tls=tls, login=LOGIN) as server:
        context = ssl.create_default_context()
        trouble = await deliver(server, context, login=LOGIN)
        assert trouble
        assert "certificate" in trouble.message
        assert not any(each.startswith("AUTH") for each in server.commands)


async def test_what_came_before_the_encryption_is_no_answer(issued: Certificates) -> None:
    """A man in the middle adds answers in the clear: with them, mail would be taken for delivered."""
    injected = b"250 x\r\n250 x\r\n250 x\r\n354 x\r\n250 x\r\n"
    with serving(issued.right, injected=injected) as server:
        trouble = await deliver(server, issued.client())
        assert trouble is not None or len(server.mails) == 1


ONE, TWO = "RCPT TO:<one@example.com>", "RCPT TO:<two@example.com>"


@pytest.mark.parametrize(
    ("refusals", "reason", "of_message"),
    [
        ({"connection": "421 busy"}, "ReceiverRefused", False),
        ({"connection": "hello"}, "ReceiverRefused", False),
        ({"EHLO": "500 what"}, "ReceiverRefused", False),
        ({"STARTTLS": "454 not now"}, "ReceiverRefused", False),
        ({"AUTH": "535 no"}, "ReceiverRefused", False),
        ({"MAIL": "550 no"}, "ReceiverRefused", True),
        ({"RCPT": "550 unknown"}, "ReceiverRefused", True),
        ({"RCPT": "450 later"}, "ReceiverRefused", False),
        ({ONE: "550 unknown", TWO: "552 full"}, "ReceiverRefused", True),
        ({ONE: "550 unknown", TWO: "450 later"}, "ReceiverRefused", False),
        ({TWO: "452 full"}, "ReceiverRefused", False),
        ({ONE: "550 unknown", TWO: "close"}, "ReceiverUnreachable", False),
        ({"DATA": "554 no"}, "ReceiverRefused", True),
        ({".": "552 too large"}, "ReceiverRefused", True),
        ({".": "451 later"}, "ReceiverRefused", False),
        ({"EHLO": "hang"}, "ReceiverUnreachable", False),
        ({"MAIL": "hang"}, "ReceiverUnreachable", False),
        ({"EHLO": "close"}, "ReceiverUnreachable", False),
        ({"RCPT": "close"}, "ReceiverUnreachable", False),
        ({"EHLO": "250-" + "x" * 5_000}, "ReceiverUnreachable", False),
        ({"EHLO": "\r\n".join(["250-x"] * 100)}, "ReceiverRefused", False),
    ],
)
async def test_what_a_server_does_is_told_in_our_words(
    issued: Certificates, refusals: dict[str, str], reason: str, of_message: bool
) -> None:
    with serving(issued.right, login=LOGIN, refusals=refusals) as server:
        trouble = await deliver(server, issued.client(), login=LOGIN)
        assert trouble
        assert (trouble.reason, trouble.of_message) == (reason, of_message)
        assert server.mails == []


@pytest.mark.parametrize("refused", [ONE, TWO])
@pytest.mark.parametrize("answer", ["550 unknown", "552 full"])
async def test_a_recipient_who_is_refused_takes_the_mail_from_nobody_else(
    issued: Certificates, refused: str, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Lost otherwise: every message of a notifier, once one of its recipients has left."""
    with serving(issued.right, refusals={refused: answer}) as server:
        assert await deliver(server, issued.client()) is None
        assert len(server.mails) == 1
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"1 of 2 recipients ({answer[:3]})" in record.getMessage()
    assert "msg_1" in record.getMessage()
    assert "one@" not in record.getMessage()


async def test_the_next_address_is_tried_where_one_takes_no_connection(
    issued: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: all mail, where a server has an address of IPv6 and the operator's network has none."""

    async def checked(*_: object) -> list[tuple[socket.AddressFamily, str]]:
        return [(socket.AF_INET, address) for address in ("127.9.9.9", "127.0.0.1")]

    monkeypatch.setattr(smtp, "checked", checked)
    with serving(issued.right) as server:
        assert await deliver(server, issued.client()) is None
        assert len(server.mails) == 1


async def test_a_denied_address_is_refused_before_any_connection(issued: Certificates) -> None:
    guard = ReceiverPolicy(("*",), Guard(("127.0.0.0/8", "::1/128")))
    with serving(issued.right) as server:
        trouble = await deliver(server, issued.client(), guard=guard)
        assert trouble
        assert trouble.reason == "ReceiverDenied"
        assert server.commands == []


async def test_a_server_that_closes_after_the_mail_has_taken_it(issued: Certificates) -> None:
    """Otherwise it would be sent again, though everybody has it."""
    with serving(issued.right, refusals={"QUIT": "close"}) as server:
        assert await deliver(server, issued.client()) is None
        assert len(server.mails) == 1
