"""The API server's time. Comparisons with its timestamps must not depend on this machine's clock.

Every answer has the time when it was made, to the second (RFC 9110, Date). A local clock that fits these times is used as it is.
A wrong clock is corrected by no more than the answers prove. Deadlines of pods, the window of reuse, and durations depend on it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_RESOLUTION = timedelta(seconds=1)


def local() -> datetime:
    """This machine's time."""
    return datetime.now(UTC)


class ServerClock:
    """Estimates the API server's time from the Date headers of its answers."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """The API server's time."""
        return local() + self._ahead

    def heard(self, date: str | None, asked: datetime) -> None:
        """Correct the estimate by an answer that has just arrived.

        Args:
            date: its Date header. Anything that is not a date is ignored.
            asked: when the request was sent, by this machine's clock.
        """
        try:
            said = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if said.tzinfo is None:
            return
        # The server wrote the date between our request and now. That bounds the difference of the two clocks.
        least, most = said - local(), said + _RESOLUTION - asked
        self._ahead = min(max(self._ahead, least), most)
