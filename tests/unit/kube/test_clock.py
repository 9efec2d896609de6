"""An operator on a machine whose clock is wrong goes by the API server's, and one whose clock is right by its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from scanplan.kube import clock

SERVER = datetime(2026, 11, 24, 12, 0, 0, 700_000, tzinfo=UTC)
TOUR = timedelta(milliseconds=40)
"""How long a request takes."""


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> timedelta:
    """The local clock is so much ahead of the server's."""
    difference = timedelta(seconds=request.param)
    monkeypatch.setattr(clock, "local", lambda: SERVER + difference)
    return difference


@pytest.mark.parametrize("ahead", [3600, -3600, 86_400, 5], indirect=True)
def test_a_wrong_clock_is_corrected_to_the_second(ahead: timedelta) -> None:
    found = clock.ServerClock()
    found.heard(format_datetime(SERVER, usegmt=True), clock.local() - TOUR)
    assert abs(found.now() - SERVER) <= timedelta(seconds=1)
    assert abs(found.now() - SERVER) < abs(ahead)


@pytest.mark.parametrize("ahead", [0.0, 0.2, -0.2], indirect=True)
def test_a_right_clock_is_left_alone(ahead: timedelta) -> None:
    found = clock.ServerClock()
    found.heard(format_datetime(SERVER, usegmt=True), clock.local() - TOUR)
    assert found.now() == SERVER + ahead


@pytest.mark.parametrize("ahead", [3600], indirect=True)
@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Tue, 24 Nov 2026 12:00:00 -0000", "Tue, 99 Nov 2026 12:00:00 GMT"]
)
def test_what_is_no_date_says_nothing(ahead: timedelta, date: str | None) -> None:
    found = clock.ServerClock()
    found.heard(date, clock.local() - TOUR)
    assert found.now() == SERVER + ahead
