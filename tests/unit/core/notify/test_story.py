"""The story that docs/how-to/notifications.md tells: a week of nightly scans, and the messages as the receivers got them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from scanplan.api.v1alpha1.notification import Notice
from scanplan.core.notify.formats import mail, slack, teams, wording
from scanplan.core.notify.scans import ended
from tests.unit.core.notify.objects import plan
from tests.unit.core.notify.test_outbox import World

PAGE = Path(__file__).parents[4] / "docs/how-to/notifications.md"
NONE = "none"
EXAMPLE = {
    "severity": "critical",
    "name": "Admin panel without login",
    "template": "open-admin",
    "where": "https://shop.example.com/admin",
}


def new(named: list[dict[str, str]] | None = None, **counts: int) -> dict[str, Any]:
    """What a status says of new findings that fall under no exception."""
    return {"new": counts, "newFindings": {"bySeverity": counts, "examples": named or []}}


NIGHTS: dict[str, tuple[str, dict[str, Any]]] = {
    "the first scan finds two of severity high": ("Completed", new(high=2)),
    "the same findings are there": ("Completed", new()),
    "the templates are missing": (
        "Failed",
        {"reason": "TemplatesNotFound", "message": "No template has the tag shop."},
    ),
    "they are still missing": ("Failed", {"reason": "TemplatesNotFound", "message": "No template has the tag shop."}),
    "they are back, and nothing is new": ("Completed", new()),
    "an admin panel is open; two more fall under an exception": (
        "Completed",
        {"new": {"critical": 1, "high": 2}, "newFindings": {"bySeverity": {"critical": 1}, "examples": [EXAMPLE]}},
    ),
    "five of severity info are new": ("Completed", new(info=5)),
}


def week() -> dict[str, Notice | None]:
    """What is told of each night."""
    world, told = World(metadata={"team": "shop"}), {}
    taken: list[Notice] = []
    sent = world.write

    def write(status: Any) -> None:
        known = {each.id for each in world.notifier.status.outbox}
        taken.extend(each.notice for each in status.outbox if each.id not in known)
        sent(status)

    world.write = write  # type: ignore[method-assign]
    for number, (night, (phase, fields)) in enumerate(NIGHTS.items(), 1):
        before = len(taken)
        body = plan(f"nightly-{number}", f"{number + 1:02}:10:00", phase, duration="9m3s", endpointCount=12, **fields)
        found = ended(body)
        assert found
        world.end(found)
        told[night] = taken[before] if len(taken) > before else None
    return told


def test_the_page_tells_of_a_week_as_it_is() -> None:
    rows = [f"| {night} | {wording.title(notice) if notice else NONE} |" for night, notice in week().items()]
    found = re.findall(
        r"^\| (?!what happened|---|`|event)[^|\n]* \| (?:none|[^|\n]*shop/nightly[^|\n]*) \|$", PAGE.read_text(), re.M
    )
    assert found == rows, "\n".join(rows)


def test_the_page_shows_a_mail_as_it_arrives() -> None:
    notice = week()["an admin panel is open; two more fall under an exception"]
    assert notice
    (shown,) = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert shown == mail.text(notice)


def test_slack_and_teams_say_the_same() -> None:
    """Every value of the mail is in both."""
    notice = week()["an admin panel is open; two more fall under an exception"]
    assert notice
    for body in (slack.body(notice).decode(), teams.body(notice).decode()):
        for fact in wording.facts(notice):
            assert fact.value in body
        assert EXAMPLE["name"] in body
        assert EXAMPLE["where"] in body
