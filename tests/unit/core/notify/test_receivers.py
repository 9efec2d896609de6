"""Where messages may go: a notifier is no way into what its author can't reach, and its Secrets are in no word of ours."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api import labels
from scanplan.core.egress.policy import ReceiverPolicy
from scanplan.core.notify.receivers import HttpReceiver, MailReceiver, NoReceiver, receiver_of, references
from scanplan.core.planning.sources import Input, Kind, Reference
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard
from tests.unit.core.notify.objects import EMAIL, WEBHOOK, spec

HOOK = Reference(Kind.SECRET, "hook", labels.USE_NOTIFIER)
KEY = "whsec_" + "QUFB" * 8
SECRET = "hunter2-is-secret"
ANYWHERE = ReceiverPolicy(("*",), Guard(DEFAULT_DENIED))


def secrets(url: str | None = "https://example.com/x", signing: str = KEY, use: str = "notifier") -> dict[Any, Input]:
    files = {"signing": signing.encode()} | ({"url": url.encode()} if url is not None else {})
    return {HOOK: Input(files=files, labels={labels.USE: use})}


def channel(kind: str) -> Any:
    return spec(webhook=None, **{kind: {"urlFrom": {"secretKeyRef": {"name": "hook", "key": "url"}}}})


def refused(*arguments: Any) -> tuple[str, str]:
    with pytest.raises(NoReceiver) as error:
        receiver_of(*arguments)
    assert error.value.trouble.lasting
    assert SECRET not in error.value.trouble.message
    return error.value.trouble.reason, error.value.trouble.message


def test_a_webhook_has_its_url_and_its_keys_from_secrets() -> None:
    found = receiver_of(spec(), secrets("https://example.com:8443/x?y=z"), ANYWHERE)
    assert isinstance(found, HttpReceiver)
    assert (found.host, found.port, found.keys) == ("example.com", 8443, (b"AAA" * 8,))
    assert "example" not in repr(found)
    assert references(spec()) == [HOOK]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "SecretUnavailable"),
        ({HOOK: Input(problem="there is none in namespace shop")}, "SecretUnavailable"),
        (secrets(use="headers"), "SecretUnavailable"),
        (secrets(use="endpoints"), "SecretUnavailable"),
        (secrets(url=None), "SecretUnavailable"),
        (secrets(url=f"{SECRET}"), "ReceiverInvalid"),
        (secrets(url=f"ftp://example.com/{SECRET}"), "ReceiverInvalid"),
        (secrets(url=f"https://user:{SECRET}@example.com/"), "ReceiverInvalid"),
        (secrets(url=f"https://example.com/{SECRET}\nx"), "ReceiverInvalid"),
        (secrets(url=f"https://example.com/{SECRET} x"), "ReceiverInvalid"),
        (secrets(url=f"https://example.com:{SECRET}/"), "ReceiverInvalid"),
        (secrets(url=f"https:///{SECRET}"), "ReceiverInvalid"),
        (secrets(url=f"https://example.com/#{SECRET}"), "ReceiverInvalid"),
        (secrets(url="https://[::1"), "ReceiverInvalid"),
        (secrets(url=f"https://exämple.com/{SECRET}"), "ReceiverInvalid"),
        (secrets(signing=SECRET), "ReceiverInvalid"),
        (secrets(signing=f"whsec_{SECRET}"), "ReceiverInvalid"),
        (secrets(signing="whsec_QUFB"), "ReceiverInvalid"),
        (secrets(signing=KEY.removeprefix("whsec_")), "ReceiverInvalid"),
        (
            {HOOK: Input(files={"url": b"\xff", "signing": KEY.encode()}, labels={labels.USE: "notifier"})},
            "ReceiverInvalid",
        ),
    ],
)
def test_what_is_wrong_with_a_secret_is_told_without_a_word_of_it(given: dict[Any, Input], reason: str) -> None:
    assert refused(spec(), given, ANYWHERE)[0] == reason


@pytest.mark.parametrize("kind", ["slack", "teams"])
def test_channels_take_https_only(kind: str) -> None:
    assert isinstance(receiver_of(channel(kind), secrets(), ANYWHERE), HttpReceiver)
    assert refused(channel(kind), secrets("http://example.com/x"), ANYWHERE)[0] == "ReceiverInvalid"


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "0xa9fea9fe",
        "2852039166",
        "169.254.43518",
        "127.0.0.1",
        "localhost",
        "a.localhost",
        "METADATA.google.internal",
        "metadata.google.internal.",
        "kubernetes.default.svc.cluster.local",
    ],
)
def test_no_list_of_hosts_allows_what_nothing_is_sent_to(host: str) -> None:
    assert refused(spec(), secrets(f"http://{host}/"), ANYWHERE)[0] == "ReceiverDenied"


def test_metadata_services_stay_denied_where_plans_may_scan_everything() -> None:
    policy = ReceiverPolicy(("*",), Guard(()))
    assert refused(spec(), secrets("http://169.254.169.254/"), policy)[0] == "ReceiverDenied"
    assert isinstance(receiver_of(spec(), secrets("http://127.0.0.1/"), policy), HttpReceiver)
    assert policy.denies("169.254.169.254")
    assert policy.denies("fe80::1%eth0")
    assert policy.denies("nonsense")
    assert not policy.denies("127.0.0.1")


@pytest.mark.parametrize(
    ("allowed", "url", "expected"),
    [
        (("hooks.slack.com",), "https://hooks.slack.com/services/x", True),
        (("hooks.slack.com",), "https://HOOKS.slack.com/services/x", True),
        (("hooks.slack.com",), "https://hooks.slack.com.evil.example/", False),
        (("hooks.slack.com",), "https://evil.example/hooks.slack.com", False),
        (("*.logic.azure.com",), "https://prod-1.westeurope.logic.azure.com:443/workflows/x", True),
        (("*.logic.azure.com",), "https://logic.azure.com/", False),
        (("hook?.example.com",), "https://hook1.example.com/", True),
        (("hook[12].example.com",), "https://hook1.example.com/", False),
        (("relay.ci.svc:8080",), "http://relay.ci.svc:8080/", True),
        (("relay.ci.svc:8080",), "http://relay.ci.svc/", False),
        (("relay.ci.svc",), "http://relay.ci.svc:9999/", True),
        ((), "https://example.com/", False),
    ],
)
def test_the_owner_lists_the_hosts(allowed: tuple[str, ...], url: str, expected: bool) -> None:
    policy = ReceiverPolicy(allowed, Guard(DEFAULT_DENIED))
    if expected:
        receiver_of(spec(), secrets(url), policy)
    else:
        reason, message = refused(spec(), secrets(url), policy)
        assert reason == "ReceiverDenied"
        assert "notifiers.allowedHosts" in message
        assert "evil" not in message


def test_mail_takes_its_login_from_secrets() -> None:
    login = {name: {"secretKeyRef": {"name": "hook", "key": name}} for name in ("usernameFrom", "passwordFrom")}
    mail = spec(webhook=None, email={**EMAIL["email"], **login})
    files = {"usernameFrom": b"me", "passwordFrom": SECRET.encode() + b"\n"}
    found = receiver_of(mail, {HOOK: Input(files=files, labels={labels.USE: "notifier"})}, ANYWHERE)
    assert isinstance(found, MailReceiver)
    assert (found.username, found.password) == ("me", SECRET)
    assert SECRET not in repr(found)
    broken = files | {"passwordFrom": f"{SECRET}\r\nRCPT TO:<x>".encode()}
    reason, _ = refused(mail, {HOOK: Input(files=broken, labels={labels.USE: "notifier"})}, ANYWHERE)
    assert reason == "ReceiverInvalid"


def test_a_mail_server_is_on_the_list_too() -> None:
    assert refused(spec(webhook=None, **EMAIL), {}, ReceiverPolicy((), Guard(())))[0] == "ReceiverDenied"
    assert WEBHOOK["webhook"]
