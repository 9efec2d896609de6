"""The lanes of `make test`: tests that run one after the other, beside other lanes.

Most tests wait for a cluster, so lanes share two cores well. Each lane is one process of pytest, and so has its own
control plane, node and Redis. The runner's tests fork theirs some hundred times: they have a lane so that it is small.
"""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).parents[1]
_OF_THE_WHOLE_SESSION = ("integration/test_rights.py", "integration/test_kstatus.py")
"""Files that look at what all other tests of their session have done: each lane of `integration` has them, at its end."""
TOOLING = "integration/test_cluster_local.py"
"""The tests of the clusters that all other tests run on: they run in CI, and where the tooling has changed."""
LANES: dict[str, tuple[str, ...]] = {
    "kinds": (
        "integration/test_exceptions.py",
        "integration/test_export_commands.py",
        "integration/test_exports.py",
        "integration/test_notifiers.py",
        "integration/test_notify_commands.py",
        "integration/test_schedule_commands.py",
        "integration/test_schedules.py",
        "integration/test_sharing.py",
        "integration/test_windows.py",
        *_OF_THE_WHOLE_SESSION,
    ),
    "integration": ("integration", *_OF_THE_WHOLE_SESSION),
    "node": ("e2e",),
    "clusters": (
        "e2e/test_names.py",
        "e2e/test_network_policies.py",
        "e2e/test_own_cluster.py",
        "e2e/test_platforms.py",
        "integration/test_beginning.py",
        TOOLING,
        "e2e/test_pages.py",
        "cli",
    ),
    "faults": ("faults",),
    "client": ("client", "web"),
    "chart": ("chart",),
    "local": ("unit", "images", "conformance"),
    "runner": ("runner",),
}
"""Name of the lane, and its folders and files in the order in which they run.

Lanes begin in this order: the longest first, and last those without a cluster. These wait for little, so that few lanes keep the
processor busy at the end.

A file that a lane names is left out of its folder's lane. `clusters` has those that start clusters of their own, and a part of
those that share a node.
"""
LINT = "lint"
"""A lane without tests, `make lint`. It uses a single core, so the other lanes begin at the same time."""
PROGRAMS = "programs"
"""Another one: it builds Kubernetes and what else lanes run, where that is not there yet."""
WITHOUT_PROGRAMS = ("local",)
"""Lanes that begin before these are built."""
AT_ONCE = 3 * (os.cpu_count() or 1)
"""How many lanes run side by side. A lane waits for half of its time, and takes up to 2 GB with its cluster. More lanes slow
each other down, since they share the processor's caches: with eight on two cores, each took nearly twice the processor time
that it took with four.
"""
APART = ("ecosystem",)
"""Folders that `make test` leaves out: they need large programs of others (`make test-ecosystem`)."""


def folders() -> set[str]:
    """The folders below `tests/` that have tests."""
    return {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}


def elsewhere(lane: str) -> list[str]:
    """The files below a lane's folders that only other lanes run."""
    own = LANES[lane]
    named = {path for paths in LANES.values() for path in paths if path.endswith(".py")}
    return sorted(path for path in named - set(own) if path.partition("/")[0] in own)
