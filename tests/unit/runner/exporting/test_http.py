"""The exporter's requests: to checked addresses alone, to servers that prove their name, and never for ever."""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from scanplan.core.egress.policy import ReceiverPolicy
from scanplan.core.planning.targets.guard import Guard
from scanplan.runner.exporting import http
from scanplan.runner.exporting.http import Body, Client
from scanplan.runner.exporting.trouble import Trouble
from tests.fixtures.receivers import Answer, Certificates, HttpReceiver, certificates, http_receiver

ANYWHERE = ReceiverPolicy((), Guard(()))
NO_LOOPBACK = ReceiverPolicy((), Guard(("127.0.0.0/8", "::1/128")))


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


def post(url: str, client: Client | None = None, body: Body | None = None) -> int:
    return (client or Client(ANYWHERE)).request("POST", url, {}, body or Body(2, [b"{}"])).status


def trouble(url: str, client: Client | None = None) -> Trouble:
    with pytest.raises(Trouble) as error:
        post(url, client)
    assert "127.0.0.1" not in str(error.value)
    return error.value


def test_a_receiver_that_says_nothing_is_given_up(receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SILENCE_SECONDS", 0.2)
    receiver.always = Answer(hang=True)
    found = trouble(receiver.url())
    assert (found.reason, found.temporary) == ("ReceiverUnreachable", True)
    assert "in time" in str(found)


def test_nothing_is_sent_to_a_server_that_cannot_prove_its_name_and_what_is_wrong_is_told(issued: Certificates) -> None:
    trusting = Client(ANYWHERE, issued.client())
    of_another = Client(ANYWHERE, ssl.create_default_context(cafile=str(issued.authority.with_name("wrong.crt"))))
    with http_receiver(issued.right) as right, http_receiver(issued.wrong) as wrong:
        assert post(right.url(host="localhost"), trusting) == 200
        for found, flaw in (
            (trouble(wrong.url(host="localhost"), of_another), "it is another host's"),
            (trouble(wrong.url(), of_another), "it is another host's"),
            (trouble(wrong.url(), trusting), "self-signed certificate"),
        ):
            assert (found.reason, found.temporary) == ("ReceiverUnreachable", True)
            assert str(found) == f"the receiver's certificate can't be trusted: {flaw}"
        assert not wrong.requests


def test_a_denied_address_gets_no_connection(receiver: HttpReceiver) -> None:
    connections: list[Any] = []
    receiver.hook = connections.append
    for host in ("127.0.0.1", "localhost", "127.1", "0x7f.1"):
        found = trouble(receiver.url(host=host), Client(NO_LOOPBACK))
        assert (found.reason, found.temporary) == ("ReceiverDenied", False)
    assert not connections


def test_the_connection_goes_to_the_address_that_was_checked(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS that answers differently the second time gets no second question."""
    answers = itertools.chain(["127.0.0.1"], itertools.repeat("169.254.169.254"))
    asked: list[str] = []
    original = socket.getaddrinfo

    def rebinding(host: str, *arguments: Any, **options: Any) -> Any:
        if host != "rebinding.example":
            return original(host, *arguments, **options)
        asked.append(host)
        return original(next(answers), *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert post(receiver.url(host="rebinding.example")) == 200
    assert asked == ["rebinding.example"]
    assert receiver.requests[0].headers["host"] == f"rebinding.example:{receiver.port}"


def test_one_denied_address_among_others_denies_all(receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    original = socket.getaddrinfo

    def several(_: str, *arguments: Any, **options: Any) -> Any:
        return [*original("127.0.0.1", *arguments, **options), *original("169.254.169.254", *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    assert trouble(receiver.url(host="several.example")).reason == "ReceiverDenied"
    assert not receiver.requests


def test_an_early_refusal_of_a_long_body_is_an_answer_and_no_broken_connection() -> None:
    """Lost otherwise: half an hour of retries against a server that has said 413."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass

        threading.Thread(target=refuse, daemon=True).start()
        length = 1 << 22
        body = Body(length, (bytes(1 << 16) for _ in range(length >> 16)))
        assert post(f"http://127.0.0.1:{server.getsockname()[1]}/", body=body) == 413


@pytest.mark.parametrize("said", [b"", b"hello\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a" * 70_000])
def test_what_is_no_http_is_tried_again(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(said)

        threading.Thread(target=speak, daemon=True).start()
        found = trouble(f"http://127.0.0.1:{server.getsockname()[1]}/")
        assert (found.reason, found.temporary) == ("ReceiverUnreachable", True)


def test_certificates_are_verified_by_default() -> None:
    context = Client(ANYWHERE)._context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
