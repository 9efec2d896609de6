"""Sending over HTTP to servers that do what servers do. A bad one costs an attempt, and never more."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scanplan.core.egress.policy import ReceiverPolicy
from scanplan.core.notify.receivers import HttpReceiver as Target
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard
from scanplan.senders import http
from tests.fixtures.receivers import Answer, Certificates, HttpReceiver, certificates, http_receiver

LOCAL = ReceiverPolicy(("*",), Guard(()))
"""As of an owner who lets plans scan their own pod."""
SECONDS = 0.5


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


async def post(
    url: str, policy: ReceiverPolicy = LOCAL, context: ssl.SSLContext | None = None
) -> tuple[str, str] | None:
    target = Target(url, "localhost", 80)
    trouble = await http.post(target, b"{}", {"X-Test": "1"}, policy, context or ssl.create_default_context(), SECONDS)
    if trouble is None:
        return None
    assert "localhost" not in trouble.message
    assert "hook" not in trouble.message
    return trouble.reason.value, trouble.message


async def test_a_receiver_gets_the_message(receiver: HttpReceiver) -> None:
    assert await post(receiver.url("/hook?token=x")) is None
    (request,) = receiver.requests
    assert (request.method, request.path, request.body) == ("POST", "/hook?token=x", b"{}")
    assert request.headers["user-agent"].startswith("scanplan-operator/")
    assert "cookie" not in request.headers


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (Answer(500), "ReceiverRefused", "answered 500"),
        (Answer(403), "ReceiverRefused", "answered 403"),
        (Answer(204), None, ""),
        (Answer(202), None, ""),
        (Answer(301, {"Location": "http://127.0.0.1:1/"}), "ReceiverRefused", "redirects are not followed"),
        (Answer(307, {"Location": "/elsewhere"}), "ReceiverRefused", "redirects are not followed"),
        (Answer(304), "ReceiverRefused", "redirects are not followed"),
        (Answer(hang=True), "ReceiverUnreachable", "in time"),
        (Answer(close=True), "ReceiverUnreachable", "closed"),
        (Answer(200, {"X": "y" * 20_000}), "ReceiverUnreachable", "no HTTP"),
        (Answer(200, {"Set-Cookie": "a=b"}), None, ""),
    ],
)
async def test_what_a_server_does_is_told_in_our_words(
    receiver: HttpReceiver, answer: Answer, reason: str | None, words: str
) -> None:
    receiver.always = answer
    found = await post(receiver.url())
    assert (found[0] if found else None) == reason
    assert words in (found[1] if found else "")
    assert len(receiver.requests) == 1


async def test_an_answer_without_end_is_not_read(receiver: HttpReceiver) -> None:
    receiver.always = Answer(body=b"x" * (64 << 20))
    assert await post(receiver.url()) is None


async def test_a_redirect_is_followed_nowhere(receiver: HttpReceiver) -> None:
    with http_receiver() as other:
        receiver.always = Answer(302, {"Location": other.url()})
        assert await post(receiver.url())
        assert other.requests == []


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert (await post(f"http://127.0.0.1:{port}/hook") or ("",))[0] == "ReceiverUnreachable"


async def test_a_name_that_does_not_exist_is_unreachable() -> None:
    assert (await post("http://does-not-exist.invalid/hook") or ("",))[0] == "ReceiverUnreachable"


async def test_a_name_that_leads_to_a_denied_address_is_refused_before_any_connection(receiver: HttpReceiver) -> None:
    """`localhost` stands for a name of the tenant's own, whose DNS answers with an address of the operator's surroundings."""
    policy = ReceiverPolicy(("*",), Guard(("127.0.0.0/8", "::1/128")))
    found = await post(receiver.url(host="localhost"), policy)
    assert found
    assert found[0] == "ReceiverDenied"
    assert receiver.requests == []


async def test_the_connection_goes_to_the_address_that_was_checked(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A DNS server that answers differently the second time leads nowhere else."""
    asked: list[object] = []
    real = socket.getaddrinfo

    def lookup(host: object, *arguments: object, **named: object) -> object:
        asked.append(host)
        return real("127.0.0.1" if host == "rebinding.test" else host, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    assert await post(f"http://rebinding.test:{receiver.port}/hook") is None
    assert asked.count("rebinding.test") == 1


async def test_certificates_are_checked(issued: Certificates) -> None:
    with http_receiver(issued.right) as right, http_receiver(issued.wrong) as wrong:
        assert await post(right.url(host="localhost"), context=issued.client()) is None
        untrusted = await post(right.url(host="localhost"))
        named = await post(wrong.url(host="localhost"), context=issued.client())
        assert untrusted
        assert named
        assert "certificate" in untrusted[1]
        assert "certificate" in named[1]
        assert wrong.requests == []


async def test_environment_and_netrc_change_nothing(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert await post(receiver.url()) is None
    assert "authorization" not in receiver.requests[0].headers


@pytest.mark.parametrize(
    ("status", "of_message"),
    [(400, True), (413, True), (422, True), (401, False), (404, False), (410, False), (429, False)],
)
def test_which_answers_are_about_the_message(status: int, of_message: bool) -> None:
    trouble = http.answered(status, "", datetime.now(UTC))
    assert trouble
    assert trouble.of_message is of_message


@pytest.mark.parametrize(
    ("status", "header", "expected"),
    [
        (429, "120", 120.0),
        (503, "7", 7.0),
        (500, "120", 0.0),
        (429, "", 0.0),
        (429, "-5", 0.0),
        (429, "soon", 0.0),
        (429, "9" * 40, 0.0),
        (429, "Fri, 27 Nov 2026 12:01:00 GMT", 60.0),
        (429, "Fri, 27 Nov 2026 11:00:00 GMT", 0.0),
        (429, "Fri, 99 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_in_both_forms(status: int, header: str, expected: float) -> None:
    trouble = http.answered(status, header, datetime(2026, 11, 27, 12, tzinfo=UTC))
    assert trouble
    assert trouble.retry_after == expected


def test_loopback_is_denied_by_default() -> None:
    assert ReceiverPolicy(("*",), Guard(DEFAULT_DENIED)).denies("127.0.0.1")
