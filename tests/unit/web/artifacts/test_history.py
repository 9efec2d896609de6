"""Findings over time by HTTP: lost otherwise is since when a finding is open, for everybody who has no claim at hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from scanplan.api import layout
from scanplan.api.documents.words import Severity
from scanplan.findings import history as lives
from scanplan.findings.exceptions import Match, ScanException, Suppressor
from scanplan.findings.history import Sighting, Tally
from scanplan.findings.listing import Which
from scanplan.web.artifacts import history
from tests.unit.findings.sightings import records, sighting

ALL = frozenset(Severity)


def write(folder: Path, *scans: tuple[Sighting, ...]) -> None:
    """A history after these scans, a day each, which looked everywhere."""
    lines: list[bytes] = []
    for day, seen in enumerate(scans, 1):
        moment = f"2026-11-{day:02}T06:00:00.000Z"
        lines = list(lives.continued(lines, records(*seen), moment, lambda _: True, Tally()))
    (folder / layout.HISTORY).write_bytes(b"".join(lines))


def answered(folder: Path, which: Which = Which.OPEN, severities: frozenset[Severity] = ALL, limit: int = 10) -> Any:
    return history.answer(folder, PurePosixPath(), which, severities, limit)


@pytest.mark.parametrize(
    ("which", "names"), [("open", ["stays", "comes"]), ("new", ["comes"]), ("resolved", ["goes"]), ("all", 3)]
)
def test_each_state_has_its_list(tmp_path: Path, which: str, names: list[str] | int) -> None:
    goes, stays, comes = (sighting(number, name=name) for number, name in enumerate(("goes", "stays", "comes"), 1))
    write(tmp_path, (goes, stays), (stays, comes))
    found = answered(tmp_path, Which(which))
    shown = [item["name"] for item in found["items"]]
    assert shown == names if isinstance(names, list) else len(shown) == names
    assert found["total"] == len(shown)


def test_the_most_severe_come_first_and_all_are_counted(tmp_path: Path) -> None:
    seen = [
        sighting(1, severity=Severity.LOW),
        sighting(2, severity=Severity.CRITICAL),
        sighting(3, severity=Severity.LOW),
    ]
    write(tmp_path, tuple(seen))
    found = answered(tmp_path, limit=1)
    assert [item["severity"] for item in found["items"]] == ["critical"]
    assert (found["total"], found["by_severity"]) == (3, {"critical": 1, "low": 2})
    assert answered(tmp_path, severities=frozenset({Severity.LOW}))["total"] == 2


def test_a_finding_has_an_age(tmp_path: Path) -> None:
    write(tmp_path, (sighting(),))
    (item,) = answered(tmp_path)["items"]
    assert item["first_seen"] == "2026-11-01T06:00:00.000Z"
    assert item["age_days"] > 0


def test_a_finding_under_an_exception_says_so_and_stays(tmp_path: Path) -> None:
    """Lost otherwise: a list of open findings that hides a decision, or that hides a finding."""
    taken, left = sighting(1, name="taken"), sighting(2, name="left")
    write(tmp_path, (taken, left))
    end = datetime(2027, 6, 30, tzinfo=UTC)
    decided = ScanException(name="x", match=Match(fingerprints=(taken.identity,)), expires_at=end, reason="a test")
    under = Suppressor([decided], datetime(2026, 11, 27, tzinfo=UTC)).of_entry
    found = history.answer(tmp_path, PurePosixPath(), Which.OPEN, ALL, 10, under)
    told = {item["name"]: item["suppressed"] for item in found["items"]}
    assert told["left"] is None
    assert (told["taken"]["exception"], told["taken"]["expires_at"]) == ("x", "2027-06-30T00:00:00+00:00")
    assert found["total"] == 2


def test_a_history_that_somebody_else_wrote_is_no_failure(tmp_path: Path) -> None:
    write(tmp_path, (sighting(),))
    content = (tmp_path / layout.HISTORY).read_bytes()
    (tmp_path / layout.HISTORY).write_bytes(
        b"x" * 100_000 + b"\n" + content.replace(b"2026-11-01T06:00:00.000Z", b"never")
    )
    (item,) = answered(tmp_path)["items"]
    assert item["age_days"] is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / layout.HISTORY).symlink_to("/etc/passwd")
    with pytest.raises(FileNotFoundError):
        answered(tmp_path)


@pytest.mark.parametrize("query", ["state=gone", "severity=grave", "limit=x", "limit=-1", "limit=100000"])
def test_what_is_not_understood_is_said_so(query: str) -> None:
    with pytest.raises(web.HTTPBadRequest):
        history.asked(make_mocked_request("GET", f"/?{query}"))


def test_what_is_asked_for_by_default_is_what_is_open() -> None:
    assert history.asked(make_mocked_request("GET", "/")) == (Which.OPEN, ALL, history.DEFAULT_LIMIT)
    asked = history.asked(make_mocked_request("GET", "/?state=new&severity=critical,high&limit=5"))
    assert asked == (Which.NEW, frozenset({Severity.CRITICAL, Severity.HIGH}), 5)
