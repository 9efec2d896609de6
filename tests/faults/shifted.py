"""The operator on a machine whose clock is wrong: `python -m tests.faults.shifted SECONDS`.

Every reading of the local time goes through `scanplan.kube.clock.local`; timers run by the monotonic clock, which nobody can set.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from scanplan.cli.main import main
from scanplan.kube import clock


def shift(seconds: float) -> None:
    """Set the clock so many seconds ahead."""
    ahead = timedelta(seconds=seconds)
    clock.local = lambda: datetime.now(UTC) + ahead


if __name__ == "__main__":
    shift(float(sys.argv[1]))
    sys.argv = ["scanplan", "operator"]
    main()
