"""A message for a workflow of Microsoft Teams: one Adaptive Card 1.4.

All texts are `TextRun`s, in which Markdown means nothing. What a card computes in text, `{{DATE(…)}}`, is broken up. Sources:
https://learn.microsoft.com/en-us/adaptive-cards/schema-explorer/text-run,
https://learn.microsoft.com/en-us/adaptive-cards/authoring-cards/text-features.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from scanplan.api.v1alpha1.notification import Notice
from scanplan.core.notify.formats import wording

CARD = "application/vnd.microsoft.card.adaptive"
SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
MAX_BYTES = 28 * 1024
"""Of a message that Teams takes."""
_COMPUTED = re.compile(r"[{$](?=\{)")
"""Where an expression may begin; a space without width is put behind it."""


def message(notice: Notice) -> dict[str, Any]:
    """The JSON document that the trigger of a workflow takes."""
    return {"type": "message", "attachments": [{"contentType": CARD, "contentUrl": None, "content": _card(notice)}]}


def body(notice: Notice) -> bytes:
    """The message as it is sent, with as many named findings as have room."""
    named = len(notice.examples)
    while len(content := msgspec.json.encode(message(notice))) > MAX_BYTES and named:
        named -= 1
        notice = notice.model_copy(update={"examples": notice.examples[:named]})
    return content


def literal(text: str) -> str:
    """Text in which a card computes nothing."""
    return _COMPUTED.sub(lambda match: f"{match[0]}\u200b", text)


def _card(notice: Notice) -> dict[str, Any]:
    title = wording.title(notice)
    rows: list[dict[str, Any]] = [_block(_run(title, size="Large", weight="Bolder"))]
    if failure := wording.failure(notice):
        rows.append(_block(_run(failure, color="Attention")))
    rows += [
        _block(_run(f"{fact.name}: ", weight="Bolder"), _run(fact.value), spacing="None")
        for fact in wording.facts(notice)
    ]
    if lines := wording.lines(notice):
        rows.append(_block(_run("New findings", weight="Bolder")))
        rows += [_line(each) for each in lines]
    if more := wording.more(notice):
        rows.append(_block(_run(more), spacing="None"))
    card: dict[str, Any] = {
        "$schema": SCHEMA,
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": literal(title),
        "body": rows,
    }
    links = [{"type": "Action.OpenUrl", "title": link.name, "url": link.value} for link in wording.links(notice)]
    return {**card, "actions": links} if links else card


def _line(line: wording.Line) -> dict[str, Any]:
    where = f" at {line.where}" if line.where else ""
    return _block(
        _run(f"{line.severity} ", weight="Bolder"), _run(f"{line.name}{where} ({line.template})"), spacing="None"
    )


def _block(*inlines: dict[str, Any], **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", **style, "inlines": list(inlines)}


def _run(text: str, **style: str) -> dict[str, Any]:
    return {"type": "TextRun", "text": literal(text), **style}
