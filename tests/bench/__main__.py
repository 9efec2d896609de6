"""`python -m tests.bench`: take the figures, print them beside their targets, and write build/bench.json.

`python -m tests.bench report` writes those of that file into docs/performance.md; what was not measured stays there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import rich

from tests.bench import (
    against_job,
    backlog,
    burst,
    crowd,
    endpoints,
    estimate,
    everyone,
    findings_history,
    findings_view,
    hostile,
    limits,
    lives,
    merge_share,
    million,
    namespaces,
    nuclei_share,
    page,
    parallel,
    pure,
    reconciles,
    runner_share,
    scale,
    schedules,
    settled,
    sizes,
    standby,
    unrelated,
    writes_of_shards,
)
from tests.bench.figure import Figure, save, table

OUTPUT = Path(__file__).parents[2] / "build" / "bench.json"

GROUPS: dict[Callable[[], list[Figure]], tuple[str, ...]] = {
    lives.measure: (
        "create-latency",
        "status-latency",
        "writes-per-plan",
        "reads-per-plan",
        "cpu-per-plan",
        "memory-idle",
    ),
    reconciles.measure: ("reconciles-per-plan",),
    backlog.measure: ("backlog",),
    burst.measure: ("burst",),
    everyone.measure: ("writes-by-everyone",),
    writes_of_shards.measure: ("writes-of-shards",),
    settled.measure: ("restart",),
    scale.measure: ("scale",),
    scale.rest: ("rest",),
    namespaces.measure: ("namespaces",),
    crowd.measure: ("crowd",),
    sizes.measure: ("sizes",),
    runner_share.measure: ("runner",),
    findings_history.measure: ("history",),
    merge_share.measure: ("merge",),
    findings_view.measure: ("findings",),
    nuclei_share.measure: ("speed",),
    estimate.measure: ("estimate",),
    pure.measure: ("reconcile",),
    standby.measure: ("standby",),
    unrelated.measure: ("unrelated-jobs",),
    endpoints.measure: ("endpoints",),
    million.measure: ("million",),
    limits.measure: ("limits",),
    hostile.measure: ("hostile",),
    schedules.measure: ("schedules",),
    parallel.measure: ("shards",),
    against_job.measure: ("against-job",),
}
"""What is measured in one scene, and the names that ask for it."""


def main() -> int:
    names = sorted(name for group in GROUPS.values() for name in group)
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=names, help="one figure; those of the same name's family come with it")
    parser.add_argument("command", nargs="?", choices=("measure", "report"), default="measure", help="default: measure")
    options = parser.parse_args()
    if options.command == "report":
        page.write(OUTPUT)
        return 0
    only = options.only
    figures = []
    for measure, group in GROUPS.items():
        if only is None or only in group:
            figures += [figure for figure in measure() if only is None or figure.name.partition(":")[0] == only]
            save(figures, OUTPUT)  # a family that fails doesn't take those before it along
    rich.print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
