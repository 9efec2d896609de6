"""The lanes of `make test`: folders of tests that run one after the other, beside the other lanes.

Most tests wait for a cluster, so lanes share two cores well. Each lane is one process of pytest, and so has its own
control plane, node and Redis. The runner's tests fork theirs some hundred times: they have a lane so that it is small.
"""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
LANES: dict[str, tuple[str, ...]] = {
    "local": ("unit", "images", "conformance", "client", "web"),
    "runner": ("runner",),
    "integration": ("integration",),
    "faults": ("faults",),
    "node": ("e2e", "cli"),
    "chart": ("chart",),
}
"""Name of the lane and its folders, in the order in which they run."""
ALONE = ("faults",)
"""Lanes that run when all others have ended: their rows have bounds in seconds, and run side by side themselves."""
APART = ("ecosystem",)
"""Folders that `make test` leaves out: they need large programs of others (`make test-ecosystem`)."""


def folders() -> set[str]:
    """The folders below `tests/` that have tests."""
    return {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}
