"""From a spec and its Secrets to where a message goes; messages about what is wrong quote nothing of a Secret.

`scanplan.core.egress.policy` says which hosts a notifier may name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from scanplan.api import labels
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scannotifier import Email, ScanNotifierSpec, SecretSource, Slack, Teams, Webhook
from scanplan.core.egress.policy import HostDenied, ReceiverPolicy
from scanplan.core.notify.decision import Trouble
from scanplan.core.notify.formats import signing
from scanplan.core.planning.sources import Inputs, Kind, Reference, problem_of

MAX_URL = 4_096
MAX_CREDENTIAL = 1_024
DEFAULT_HOSTS = ("hooks.slack.com", "*.logic.azure.com", "*.api.powerplatform.com")
"""Of Slack's incoming webhooks, and of the workflows of Teams."""


class NoReceiver(Exception):
    """The receiver can't be sent to; `trouble` says why."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.trouble = Trouble(reason, message, lasting=True)


@dataclass(frozen=True, slots=True)
class HttpReceiver:
    """Takes a POST."""

    url: str = field(repr=False)
    host: str = field(repr=False)
    port: int = field(repr=False)
    keys: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class MailReceiver:
    """Takes a mail."""

    email: Email
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


Receiver = HttpReceiver | MailReceiver


def references(spec: ScanNotifierSpec) -> list[Reference]:
    """The Secrets that a notifier names."""
    return list(dict.fromkeys(_reference(each) for each in _sources(spec)))


def receiver_of(spec: ScanNotifierSpec, secrets: Inputs, policy: ReceiverPolicy) -> Receiver:
    """Where the messages of a notifier go.

    Raises:
        NoReceiver: a Secret is not there or not for notifiers, its content is not what it should be, or the owner forbids it.
    """
    for reference in references(spec):
        found = secrets.get(reference)
        if found and (problem := problem_of(reference, found)):
            raise NoReceiver(Reason.SECRET_UNAVAILABLE, problem)
    match spec.receiver:
        case Webhook() as webhook:
            keys = []
            for source in webhook.signing_keys_from:
                try:
                    keys.append(signing.key_of(_value(source, secrets)))
                except ValueError as error:
                    raise NoReceiver(Reason.RECEIVER_INVALID, f"{_named(source)}: {error}") from None
            return _http(webhook.url_from, secrets, policy, ("http", "https"), tuple(keys))
        case Slack() | Teams() as channel:
            return _http(channel.url_from, secrets, policy, ("https",))
        case Email() as email:
            _check(email.host, email.port, policy)
            username, password = (
                _credential(source, secrets) if source else "" for source in (email.username_from, email.password_from)
            )
            return MailReceiver(email, username, password)
        case _:
            raise NoReceiver(Reason.RECEIVER_INVALID, "set exactly one of webhook, slack, teams and email")


def _sources(spec: ScanNotifierSpec) -> Iterator[SecretSource]:
    match spec.receiver:
        case Webhook() as webhook:
            yield webhook.url_from
            yield from webhook.signing_keys_from
        case Slack() | Teams() as channel:
            yield channel.url_from
        case Email() as email:
            yield from (source for source in (email.username_from, email.password_from) if source)
        case _:
            pass


def _reference(source: SecretSource) -> Reference:
    return Reference(Kind.SECRET, source.secret_key_ref.name, labels.USE_NOTIFIER)


def _named(source: SecretSource) -> str:
    return f"{_reference(source)}, key {source.secret_key_ref.key!r}"


def _value(source: SecretSource, secrets: Inputs) -> str:
    reference = _reference(source)
    found = secrets.get(reference)
    content = found.files.get(source.secret_key_ref.key) if found else None
    if content is None:
        raise NoReceiver(Reason.SECRET_UNAVAILABLE, f"{reference} has no key {source.secret_key_ref.key!r}")
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise NoReceiver(Reason.RECEIVER_INVALID, f"{_named(source)} is not text (UTF-8)") from None


def _credential(source: SecretSource, secrets: Inputs) -> str:
    value = _value(source, secrets)
    if not value or len(value) > MAX_CREDENTIAL or not value.isprintable():
        message = f"{_named(source)} is empty, longer than {MAX_CREDENTIAL:,} characters, or has control characters"
        raise NoReceiver(Reason.RECEIVER_INVALID, message)
    return value


def _http(
    source: SecretSource,
    secrets: Inputs,
    policy: ReceiverPolicy,
    schemes: tuple[str, ...],
    keys: tuple[bytes, ...] = (),
) -> HttpReceiver:
    text = _value(source, secrets)
    url = _split(text)
    if url is None or url.scheme not in schemes or not url.hostname or url.username is not None or url.fragment:
        wanted = " or ".join(schemes)
        message = f"{_named(source)} is not one {wanted} URL, without user and fragment"
        raise NoReceiver(Reason.RECEIVER_INVALID, message)
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    _check(url.hostname, port, policy)
    return HttpReceiver(text, url.hostname, port, keys)


def _check(host: str, port: int, policy: ReceiverPolicy) -> None:
    try:
        policy.check(host, port)
    except HostDenied as error:
        raise NoReceiver(error.reason, error.message) from None


def _split(text: str) -> SplitResult | None:
    if (
        len(text) > MAX_URL
        or not text.isascii()
        or any(character.isspace() or not character.isprintable() for character in text)
    ):
        return None
    try:
        url = urlsplit(text)
        _ = url.port, url.hostname
    except ValueError:
        return None
    return url
