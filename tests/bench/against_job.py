"""What a ScanPlan takes longer than `kubectl create job` with the same scanner: one endpoint, a real pod, from apply to the end.

The bare Job runs Nuclei alone, with the runner's own flags: nothing checks its exit, keeps its findings or says what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from tests.bench.figure import Figure, at_most
from tests.bench.node import DELAY, Node, node
from tests.console import step

PAIRS = 20
TARGET = "target"
TEMPLATES = "http/"
NUCLEI = (
    "nuclei", "-t", f"/opt/nuclei-templates/{TEMPLATES}", "-sr", "-jsonl", "-ot", "-nc", "-no-stdin", "-duc", "-ni",
)  # fmt: skip
PATIENCE = "--timeout=120s"

Scan = Callable[[Node, str], float]
"""A way to scan the target under a name; returns its seconds."""


def measure() -> list[Figure]:
    """Pairs, one after the other; which of the two goes first alternates.

    Means, and no medians: the Job controller looks at a Job once a second at most, so lives go in steps of one.
    """
    with node() as on:
        on.stage.web_application(TARGET, delay=DELAY)
        took: dict[Scan, list[float]] = {plan: [], bare: []}
        for scan in took:
            scan(on, "warm-up")
        with step("Plans beside bare Jobs") as progress:
            for number in range(PAIRS):
                for scan in took if number % 2 else reversed(took):
                    took[scan].append(scan(on, f"pair-{number}"))
                progress.update(f"{number + 1}/{PAIRS}")
        ours, theirs = fmean(took[plan]), fmean(took[bare])
        return [
            Figure("against-job: ScanPlan, mean", ours, "s"),
            Figure("against-job: bare Job, mean", theirs, "s"),
            Figure("against-job: more", ours - theirs, "s", at_most(1)),
            Figure("against-job: more, share", 100 * (ours / theirs - 1), "%", at_most(15)),
        ]


def plan(on: Node, name: str) -> float:
    """Scan by a plan; returns its seconds."""
    on.stage.apply(on.stage.plan(name, TARGET, templates=[TEMPLATES]))
    on.stage.kubectl("wait", "--for=condition=Succeeded", f"scanplan/{name}", PATIENCE)
    return on.life(name)


def bare(on: Node, name: str) -> float:
    """Scan by a bare Job; returns its seconds."""
    on.bare("create", "job", name, f"--image={on.stage.images.scanner}", "--", *NUCLEI, "-u", on.stage.endpoint(TARGET))
    on.bare("wait", "--for=condition=Complete", f"job/{name}", PATIENCE)
    return on.life_of_bare(name)
