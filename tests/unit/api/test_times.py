"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from scanplan.api import times

NIGHT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NIGHT, "2026-01-02T03:04:05.000000Z"),
        (NIGHT + timedelta(microseconds=1), "2026-01-02T03:04:05.000001Z"),
        (NIGHT.astimezone(timezone(timedelta(hours=2))), "2026-01-02T03:04:05.000000Z"),
    ],
)
def test_a_precise_time_has_the_same_form_whatever_its_fraction(moment: datetime, text: str) -> None:
    """Lost otherwise: as text, a full second sorts after its fractions."""
    assert times.format_precise(moment) == text
    assert times.lenient_time(text) == moment
