"""The formats, by what their specifications ask for, and with texts of scanned hosts that try to be more than text."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import runpy
import time
from datetime import datetime
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scanplan.api.v1alpha1.notification import MAX_EXAMPLES, NewFinding, Notice
from scanplan.api.v1alpha1.scannotifier import Email
from scanplan.core.notify.formats import cloudevents, mail, signing, slack, teams, wording
from tests.deploy import ROOT
from tests.unit.core.notify.objects import EMAIL

TO = Email.model_validate(EMAIL["email"])
HOSTILE = [
    "<!channel> <@U1> <http://evil.example|click>",
    "[click](http://evil.example) **bold** {{DATE(2026-01-01T00:00:00Z)}} ${x} {{{x}}}",
    "a\r\nBcc: evil@example.com\r\n\r\n.\r\nMAIL FROM:<x>",
    "\u202eevil\u2066\x00\x1b[31m&amp;",
    ".",
]


def notice(event: str = "NewFindings", **fields: Any) -> Notice:
    return Notice(
        event=event,
        time="2026-11-27T02:10:00Z",
        namespace="shop",
        plan="nightly-1",
        uid="uid-1",
        schedule="nightly",
        project="shop",
        run="nightly",
        phase="Failed" if event == "Failed" else "Completed",
        reason=event,
        complete=event != "Failed",
        duration="4m12s",
        endpoints=12,
        findings={"critical": 1, "high": 2},
        suppressed=1,
        new={"critical": 1, "high": 1},
        resolved=3,
        min_severity="high",
        **fields,
    )


def hostile(text: str) -> Notice:
    finding = NewFinding(severity="high", name=text[:120], template=text[:120], where=text[:256])
    return notice("Failed", message=text[:512], examples=(finding,), metadata={"team": text[:256]})


def texts(node: Any, key: str = "text") -> list[str]:
    """All strings below a key."""
    if isinstance(node, list):
        return [each for item in node for each in texts(item, key)]
    if isinstance(node, dict):
        own = [node[key]] if isinstance(node.get(key), str) else []
        return own + [each for value in node.values() for each in texts(value, key)]
    return []


# CloudEvents 1.0


@pytest.mark.parametrize("event", ["NewFindings", "Failed", "Recovered", "Completed", "Test"])
def test_an_event_has_what_cloudevents_ask_for(event: str) -> None:
    found = json.loads(cloudevents.body(notice(event), "msg_1", "team"))
    assert found["specversion"] == "1.0"
    assert found["id"] == "msg_1"
    assert urlsplit(found["source"]).path.endswith("/scannotifiers/shop/team")
    assert re.fullmatch(r"dev\.scanplan\.scan\.[a-z]+", found["type"])
    assert datetime.fromisoformat(found["time"]).tzinfo
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in found)
    assert found["datacontenttype"] == "application/json"
    assert isinstance(found["data"], dict)
    assert found["subject"] == "scanplans/nightly-1"


def test_each_attempt_sends_the_same_bytes() -> None:
    assert cloudevents.body(notice(), "msg_1", "team") == cloudevents.body(notice(), "msg_1", "team")


def test_a_receiver_verifies_with_either_key_while_one_is_replaced() -> None:
    old, new = b"o" * 32, b"n" * 32
    headers = signing.headers([old, new], "msg_1", 1_764_000_000, b'{"a":1}')
    assert set(headers) == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    for key in (old, new):
        digest = hmac.new(key, b'msg_1.1764000000.{"a":1}', hashlib.sha256).digest()
        assert f"v1,{base64.b64encode(digest).decode()}" in headers["webhook-signature"].split(" ")


@pytest.mark.parametrize(
    ("key", "seconds", "body", "expected"),
    [
        (b"k" * 32, 0, b"{}", True),
        (b"o" * 32, 0, b"{}", False),
        (b"k" * 32, 0, b"{ }", False),
        (b"k" * 32, 301, b"{}", False),
    ],
)
def test_the_example_tells_our_messages_from_others(key: bytes, seconds: int, body: bytes, expected: bool) -> None:
    """What receivers copy, so a mistake in it is in all of them."""
    example = runpy.run_path(str(ROOT / "examples/python/verify_webhook.py"))
    headers = signing.headers([b"n" * 32, b"k" * 32], "msg_1", int(time.time()) - seconds, b"{}")
    written = f"whsec_{base64.b64encode(key).decode()}"
    assert example["is_genuine"](written, headers, body) is expected


def test_the_example_of_standard_webhooks_comes_out() -> None:
    """Their own example key, id and time, so that their libraries take ours."""
    key = signing.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    found = signing.headers([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


# Slack


def check_blocks(message: dict[str, Any]) -> None:
    """By https://docs.slack.dev/reference/block-kit/blocks."""
    assert set(message) == {"text", "blocks"}
    assert 0 < len(message["blocks"]) <= 50
    for block in message["blocks"]:
        match block["type"]:
            case "header":
                assert block["text"]["type"] == "plain_text"
                assert 0 < len(block["text"]["text"]) <= 150
            case "rich_text":
                for element in block["elements"]:
                    check_element(element)
            case other:
                raise AssertionError(other)


def check_element(element: dict[str, Any]) -> None:
    match element["type"]:
        case "rich_text_section" | "rich_text_quote":
            assert element["elements"]
            for part in element["elements"]:
                assert part["type"] in {"text", "link"}
                assert part["text"]
                assert set(part) <= {"type", "text", "style", "url"}
        case "rich_text_list":
            assert element["style"] in {"bullet", "ordered"}
            assert element["elements"]
            for section in element["elements"]:
                assert section["type"] == "rich_text_section"
                check_element(section)
        case other:
            raise AssertionError(other)


# Adaptive Cards


def check_card(message: dict[str, Any]) -> None:
    """By https://adaptivecards.io/explorer and what a workflow's trigger takes."""
    assert message["type"] == "message"
    (attachment,) = message["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["$schema"] == "http://adaptivecards.io/schemas/adaptive-card.json"
    for row in card["body"]:
        assert row["type"] == "RichTextBlock"
        assert row["inlines"]
        for run in row["inlines"]:
            assert run["type"] == "TextRun"
            assert set(run) <= {"type", "text", "weight", "size", "color"}
    for action in card.get("actions", ()):
        assert (action["type"], urlsplit(action["url"]).scheme) == ("Action.OpenUrl", "https")


# all of them


@pytest.mark.parametrize("event", ["NewFindings", "Failed", "Recovered", "Completed", "Test"])
def test_each_event_is_what_its_format_asks_for(event: str) -> None:
    page = {"page_url": "https://scans.example.com/?namespace=shop", "report_url": "https://scans.example.com/r"}
    examples = (NewFinding(severity="critical", name="Admin open", template="admin", where="https://a.example/admin"),)
    for each in (notice(event, examples=examples), notice(event, **page), notice(event, message="why")):
        check_blocks(slack.message(each))
        check_card(teams.message(each))
        assert mail.message(each, "msg_1", TO)["Subject"].startswith("[scanplan] ")


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_others_stay_texts(text: str) -> None:
    each = hostile(text)
    message = slack.message(each)
    check_blocks(message)
    assert "<" not in message["text"]
    assert not any("url" in part for part in texts(message, "url"))
    card = teams.message(each)
    check_card(card)
    assert not any("{{" in run or "${" in run for run in texts(card))
    sent = mail.message(each, "msg_1", TO).as_bytes()
    parsed = message_from_bytes(sent, policy=policy.default)
    assert set(parsed) == {
        "Subject",
        "From",
        "To",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    }
    assert parsed["To"] == "team@example.com"
    assert all(character.isprintable() for line in texts(message) for character in line)


@given(st.text(max_size=300))
def test_any_text_makes_a_message_of_every_format(text: str) -> None:
    each = hostile(text)
    check_blocks(slack.message(each))
    check_card(teams.message(each))
    assert len(teams.body(each)) < teams.MAX_BYTES
    sent = mail.message(each, "msg_1", TO).as_bytes()
    assert sent.isascii()
    assert all(len(line) <= 998 for line in sent.split(b"\r\n"))
    assert b"\n" not in sent.replace(b"\r\n", b"")
    json.loads(cloudevents.body(each, "msg_1", "team"))


def test_the_longest_message_fits_everywhere() -> None:
    finding = NewFinding(severity="critical", name="€" * 120, template="€" * 120, where="€" * 256)
    each = notice(
        examples=(finding,) * MAX_EXAMPLES,
        message="€" * 512,
        metadata={f"k{number}": "€" * 256 for number in range(16)},
    )
    assert len(teams.body(each)) < teams.MAX_BYTES
    check_blocks(slack.message(each))


@given(st.text("aZ0.-+!'=_|", min_size=1, max_size=12), st.text("aZ0.-", min_size=1, max_size=12))
def test_each_address_that_a_notifier_may_have_can_be_written(local: str, domain: str) -> None:
    """Lost otherwise: the mail to all recipients, for an address that the API server has accepted."""
    address = f"{local}@{domain}"
    try:
        to = Email.model_validate({**EMAIL["email"], "to": [address]})
    except ValidationError:
        return
    assert mail.message(notice(), "msg_1", to)["To"] == address


@pytest.mark.parametrize(
    "address", ["first.last.@example.com", ".a@example.com", "a..b@example.com", "a@example..com", "a@-example.com"]
)
def test_an_address_that_no_mail_can_have_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        Email.model_validate({**EMAIL["email"], "to": [address]})


def test_a_mail_has_one_id_for_all_attempts() -> None:
    sent = mail.message(notice(), "msg_1", TO)
    assert sent["Message-ID"] == "<msg_1@example.com>"
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent.as_bytes() == mail.message(notice(), "msg_1", TO).as_bytes()


@pytest.mark.parametrize(
    ("examples", "new", "expected"), [(0, 5, ""), (2, 2, ""), (10, 11, "and 1 more"), (10, 2_000, "and 1990 more")]
)
def test_more_says_how_many_are_not_named(examples: int, new: int, expected: str) -> None:
    finding = NewFinding(severity="high", name="a", template="a")
    each = notice().model_copy(update={"examples": (finding,) * examples, "new": {"high": new}})
    assert wording.more(each) == expected


@pytest.mark.parametrize(
    ("event", "fields", "expected"),
    [
        ("NewFindings", {}, "2 new findings in shop/nightly-1"),
        ("NewFindings", {"recovered": True}, "2 new findings in shop/nightly-1, recovered"),
        ("Failed", {}, "Scan shop/nightly-1 failed: Failed"),
        ("Recovered", {}, "Scan shop/nightly-1 recovered"),
        ("Completed", {}, "Scan shop/nightly-1 completed"),
        ("Test", {}, "Test message of a ScanNotifier in shop"),
    ],
)
def test_a_title_says_what_has_happened(event: str, fields: dict[str, Any], expected: str) -> None:
    assert wording.title(notice(event, **fields)) == expected
