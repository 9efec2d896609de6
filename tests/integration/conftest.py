"""The order of these tests, and what kubectl has seen of all plans. Their fixtures are in `tests/fixtures/operators.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put these tests in their order, and leave all others where they are."""
    places = [place for place, item in enumerate(items) if HERE in item.path.parents]
    for place, item in zip(places, sorted((items[place] for place in places), key=turn), strict=True):
        items[place] = item


def turn(item: pytest.Item) -> int:
    """First what starts the plans that take half a minute; last what looks at every status that all the others have seen."""
    if item.path.name == "test_kstatus.py":
        return 2
    return 0 if item.name == "test_a_deadline_ends_the_scan_and_keeps_what_was_found" else 1


def watched_events(path: Path) -> list[dict[str, Any]]:
    """The watch events that kubectl has written so far; it writes what is there when it starts as one event with a list."""
    decoder, text = json.JSONDecoder(), path.read_text()
    events: list[dict[str, Any]] = []
    position = 0
    while position < len(text):
        try:
            event, position = decoder.raw_decode(text, position)
        except ValueError:
            break  # kubectl is in the middle of a write
        events += [{**event, "object": each} for each in event["object"].get("items", [event["object"]])]
        while position < len(text) and text[position].isspace():
            position += 1
    return events
