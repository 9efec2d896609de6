"""A ScanNotifier: who is told of a scan that has ended, of which ones, and how.

The spec is what a user writes. The status holds the outbox: what is still to be sent, and what has been. `scanplan.core.notify`
decides what is told and when; `scanplan.senders` sends it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from scanplan.api.documents.words import Severity
from scanplan.api.names import DNS_SUBDOMAIN
from scanplan.api.v1alpha1.model import Model, cel, one_of
from scanplan.api.v1alpha1.notification import Notice
from scanplan.api.v1alpha1.plan.discovery import LabelSelector
from scanplan.api.v1alpha1.references import KeyReference
from scanplan.api.v1alpha1.status import Status

MAX_NAME = 63
"""Characters of a notifier's name."""
MAX_RECIPIENTS = 20
MAX_OUTBOX = 16
"""Messages in the outbox: each takes up to some KiB of the status. Further ones wait on the statuses of their plans."""
MAX_SETTLED = 4_000
"""Ids of scans in a status."""
MAX_FAILING = 200
"""Runs whose failure is remembered until they recover."""
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOMAIN = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = rf"^{_ATOM}(\.{_ATOM})*@{_DOMAIN}(\.{_DOMAIN})*$"
"""An e-mail address without a name and without quotes, so that no part of it can end a line or a command."""
_LABEL = r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"
_LINE = r"^[^\x00-\x1f\x7f]*$"
_RECEIVERS = ("webhook", "slack", "teams", "email")

Address = Annotated[str, Field(min_length=3, max_length=254, pattern=_ADDRESS)]
_TIME: Any = {"format": "date-time"}


class EventType(StrEnum):
    """What may be told of a scan that has ended."""

    NEW_FINDINGS = "NewFindings"
    """It has found something new that is severe enough and falls under no exception."""
    FAILED = "Failed"
    """It has failed."""
    RECOVERED = "Recovered"
    """It is complete, and the one before it in its run had failed."""
    COMPLETED = "Completed"
    """It is complete."""


class Encryption(StrEnum):
    """How a mail server is talked to. There is no third way: a password never goes in the clear."""

    STARTTLS = "STARTTLS"
    TLS = "TLS"


class SecretSource(Model):
    """One key of a Secret in the notifier's namespace, which carries the label scanplan.dev/use: notifier."""

    secret_key_ref: KeyReference


_URL = "Where to send to: an https URL in a Secret. The operator's owner lists the hosts that it may name."


class Webhook(Model):
    """CloudEvents 1.0 over HTTP, signed as Standard Webhooks says."""

    url_from: Annotated[
        SecretSource,
        Field(
            description="Where to send to: an http or https URL in a Secret. The operator's owner lists the hosts that "
            "it may name."
        ),
    ]
    signing_keys_from: Annotated[
        list[SecretSource],
        Field(
            min_length=1,
            max_length=2,
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
            description="Keys that sign each message, in the form whsec_… (base64 of 24 to 64 bytes). With two of "
            "them, both sign: so a key is replaced without a gap.",
        ),
    ]


class Slack(Model):
    """An incoming webhook of Slack."""

    url_from: Annotated[SecretSource, Field(description=_URL)]


class Teams(Model):
    """A workflow of Microsoft Teams that takes webhook requests."""

    url_from: Annotated[SecretSource, Field(description=_URL)]


class Email(Model):
    """A mail server that takes messages by SMTP."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "has(self.usernameFrom) == has(self.passwordFrom)",
                    "set both usernameFrom and passwordFrom, or none",
                )
            ]
        }
    )

    host: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=DNS_SUBDOMAIN,
            description="Name of the mail server. Its certificate must be for this name.",
        ),
    ]
    port: Annotated[int, Field(ge=1, le=65_535, description="Port of the mail server.")] = 587
    encryption: Annotated[
        Encryption, Field(description="STARTTLS on the connection (port 587), or TLS from its begin (port 465).")
    ] = Encryption.STARTTLS
    from_: Annotated[Address, Field(alias="from", description="Address of the sender.")]
    to: Annotated[
        list[Address],
        Field(
            min_length=1,
            max_length=MAX_RECIPIENTS,
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
            description="Addresses of the recipients.",
        ),
    ]
    username_from: Annotated[SecretSource | None, Field(description="User name, where the server asks for one.")] = None
    password_from: Annotated[SecretSource | None, Field(description="The user's password.")] = None


class ScanNotifierSpec(Model):
    """Which scans are told of, what of them, and to whom."""

    model_config = ConfigDict(json_schema_extra=one_of(*_RECEIVERS))

    selector: Annotated[
        LabelSelector,
        Field(description="Labels of the plans that are told of; without any, all of the notifier's namespace."),
    ] = LabelSelector()
    on: Annotated[
        list[EventType],
        Field(
            min_length=1,
            max_length=len(EventType),
            json_schema_extra={"x-kubernetes-list-type": "set"},
            description="What is told. A scan is told of once: by the first that applies of Failed, NewFindings, "
            "Recovered and Completed.",
        ),
    ] = [EventType.NEW_FINDINGS, EventType.FAILED, EventType.RECOVERED]
    unquoted_on: Annotated[
        list[EventType],
        Field(
            alias="true",
            max_length=len(EventType),
            json_schema_extra={"x-kubernetes-list-type": "set"},
            description="The field on, as kubectl reads it without quotes: for YAML 1.1, on is true. It counts where it is given.",
        ),
    ] = []
    min_severity: Annotated[
        Severity, Field(description="New findings below it are counted, and are no reason for a message.")
    ] = Severity.HIGH
    suspend: Annotated[
        bool, Field(description="Send nothing. Scans that end meanwhile are not told of afterwards.")
    ] = False
    test: Annotated[
        str, Field(max_length=63, description="Each new value sends one test message. `scanplan notify test` sets it.")
    ] = ""
    metadata: Annotated[
        dict[str, Annotated[str, Field(max_length=256, pattern=_LINE)]],
        Field(
            max_length=16,
            json_schema_extra={
                "x-kubernetes-validations": [
                    cel(
                        f"self.all(key, size(key) <= 63 && key.matches('{_LABEL}'))",
                        "a key has at most 63 letters, digits, dots, dashes and underscores",
                    )
                ]
            },
            description="What each message says besides, such as team: shop.",
        ),
    ] = {}
    webhook: Annotated[Webhook | None, Field(description="CloudEvents over HTTP, signed.")] = None
    slack: Annotated[Slack | None, Field(description="A channel of Slack.")] = None
    teams: Annotated[Teams | None, Field(description="A channel of Microsoft Teams.")] = None
    email: Annotated[Email | None, Field(description="Mail.")] = None

    @property
    def receiver(self) -> Webhook | Slack | Teams | Email | None:
        """The one that is set; None: an object that is older than the rules."""
        return self.webhook or self.slack or self.teams or self.email

    @property
    def events(self) -> list[EventType]:
        """What is told, however `on` was written."""
        return self.unquoted_on or self.on


class Outgoing(Model):
    """A message in the outbox."""

    id: Annotated[
        str, Field(max_length=64, description="The same for every attempt; receivers know a repetition by it.")
    ]
    notice: Annotated[Notice, Field(description="What the message says.")]
    taken_time: Annotated[str, Field(json_schema_extra=_TIME, description="When it came into the outbox.")]
    attempts: Annotated[int, Field(description="Attempts that have failed.")] = 0
    next_time: Annotated[
        str | None, Field(json_schema_extra=_TIME, description="Not to be sent before; absent: at once.")
    ] = None


class FailingRun(Model):
    """A run whose last scan has failed."""

    run: Annotated[str, Field(max_length=512, description="Project and run.")]
    time: Annotated[str, Field(json_schema_extra=_TIME, description="When that scan ended.")]


class ScanNotifierStatus(Status):
    """The outbox, and how sending goes."""

    since: Annotated[
        str | None,
        Field(json_schema_extra=_TIME, description="Scans that ended before it are not told of any more."),
    ] = None
    choice_digest: Annotated[
        str | None,
        Field(
            description="Digest of selector, on and minSeverity. After an edit of them, only scans that end later count."
        ),
    ] = None
    outbox: Annotated[
        tuple[Outgoing, ...], Field(max_length=MAX_OUTBOX, description="Messages that are still to be sent.")
    ] = ()
    settled: Annotated[
        tuple[Annotated[str, Field(max_length=64)], ...],
        Field(max_length=MAX_SETTLED, description="Ids of scans since then that need no message any more."),
    ] = ()
    failing: Annotated[
        tuple[FailingRun, ...],
        Field(max_length=MAX_FAILING, description="Runs that have failed, and have not recovered yet."),
    ] = ()
    paused_until: Annotated[
        str | None, Field(json_schema_extra=_TIME, description="Nothing is sent to the receiver before.")
    ] = None
    failures: Annotated[int | None, Field(description="Attempts in a row that have failed.")] = None
    sent: Annotated[int | None, Field(description="Messages that the receiver has taken.")] = None
    lost: Annotated[int | None, Field(description="Messages that were given up after a day.")] = None
    pending: Annotated[int | None, Field(description="Messages in the outbox.")] = None
    last_sent_time: Annotated[
        str | None, Field(json_schema_extra=_TIME, description="When the receiver last took a message.")
    ] = None
    last_test: Annotated[str | None, Field(description="The last value of spec.test that was acted on.")] = None
