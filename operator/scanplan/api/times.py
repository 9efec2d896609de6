"""Times as the API server writes them, and durations as kubectl does."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""Whatever the locale."""
YEARS = range(2000, 3000)
"""Of a believable time: near the ends of what a datetime holds, a window earlier, or another time zone, raises an error."""


def parse_time(text: str | None) -> datetime | None:
    """An API timestamp (RFC 3339, UTC)."""
    return None if text is None else required_time(text)


def required_time(text: str) -> datetime:
    """An API timestamp that is always there."""
    return datetime.fromisoformat(text)


def format_time(moment: datetime) -> str:
    """As the API server writes it: UTC, whole seconds, Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_precise(moment: datetime) -> str:
    """UTC with microseconds, always six digits, for what may happen several times in a second."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def format_day(moment: datetime) -> str:
    """The day in UTC, for people."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d")


def local_time(moment: datetime, zone: tzinfo, name: str) -> str:
    """As the API writes it, and as people of a time zone say it; `name` is the zone's."""
    local = moment.astimezone(zone)
    return f"{format_time(moment)} ({_DAYS[local.weekday()]} {local:%H:%M} in {name})"


def lenient_time(text: str | None) -> datetime | None:
    """A time in an annotation or a log, which anybody may have written; none where nobody could have seen it."""
    try:
        moment = parse_time(text)
    except ValueError:
        return None
    return moment if moment and moment.tzinfo and moment.year in YEARS else None


def format_duration(milliseconds: int) -> str:
    """As kubectl writes durations: 42s, 4m12s, 3h5m."""
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}m{seconds}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m"
