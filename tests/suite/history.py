"""How long the lanes of tests, and the steps of the demo, took last on this machine: a fresh clone knows it too."""

from __future__ import annotations

import json
import os
from pathlib import Path


def file() -> Path:
    """Where the times are kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "scanplan" / "test-times.json"


def read() -> dict[str, float]:
    """Seconds that each lane or step took last; empty where nobody knows."""
    try:
        times = json.loads(file().read_text())
        return {str(lane): float(seconds) for lane, seconds in times.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def write(times: dict[str, float]) -> None:
    """Remember the times of these, beside those of others."""
    file().parent.mkdir(parents=True, exist_ok=True)
    file().write_text(json.dumps({**read(), **times}, indent=2))
