"""A message for Slack's incoming webhooks, in Block Kit.

Texts of templates and hosts are elements of a `rich_text` block. Slack shows those as they are: nothing in them is markup, a
mention or a link. So nothing has to be escaped. Sources: https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/reference/block-kit/blocks/rich-text-block.
"""

from __future__ import annotations

from typing import Any

import msgspec

from scanplan.api.v1alpha1.notification import Notice
from scanplan.core.notify.formats import wording
from scanplan.core.notify.notices import cut

MAX_HEADER = 150
"""Characters of a header block."""
MAX_FIELDS = 24
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def message(notice: Notice) -> dict[str, Any]:
    """The JSON document that Slack takes."""
    title = wording.title(notice)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(title, MAX_HEADER), "emoji": False}},
        {"type": "rich_text", "elements": _elements(notice)},
    ]
    return {"text": escaped(title), "blocks": blocks}


def body(notice: Notice) -> bytes:
    """The message as it is sent."""
    return msgspec.json.encode(message(notice))


def escaped(text: str) -> str:
    """Text in which Slack finds no link and no mention."""
    return "".join(_ESCAPED.get(character, character) for character in text)


def _elements(notice: Notice) -> list[dict[str, Any]]:
    elements: list[dict[str, Any]] = []
    if failure := wording.failure(notice):
        elements.append({"type": "rich_text_quote", "elements": [_text(failure)]})
    facts = [[_text(f"{fact.name}: ", bold=True), _text(fact.value)] for fact in wording.facts(notice)[:MAX_FIELDS]]
    elements.append(_list(facts))
    if lines := wording.lines(notice):
        elements.append(_section(_text("New findings", bold=True)))
        elements.append(_list([_line(each) for each in lines]))
    if more := wording.more(notice):
        elements.append(_section(_text(more)))
    links = [{"type": "link", "url": link.value, "text": link.name} for link in wording.links(notice)]
    return [*elements, *map(_section, links)]


def _line(line: wording.Line) -> list[dict[str, Any]]:
    where = [_text(f" at {line.where}")] if line.where else []
    return [_text(f"{line.severity} ", bold=True), _text(line.name), *where, _text(f" ({line.template})")]


def _list(items: list[list[dict[str, Any]]]) -> dict[str, Any]:
    sections = [_section(*item) for item in items]
    return {"type": "rich_text_list", "style": "bullet", "elements": sections}


def _section(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}


def _text(text: str, *, bold: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": text, **({"style": {"bold": True}} if bold else {})}
