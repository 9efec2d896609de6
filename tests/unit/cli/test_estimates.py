"""The estimate of a scan, and the page about it. Lost otherwise: a cluster of the wrong size, by a table that nobody computed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.cli import estimates
from scanplan.cli.main import app
from scanplan.core.planning import estimate
from scanplan.core.planning.estimate import Estimate, Step
from scanplan.runner.nuclei.choosing.templates import Template

PAGE = (Path(__file__).parents[3] / "docs/how-to/size-a-cluster.md").read_text()


def estimated(endpoints: int, templates: int, **spec: object) -> Estimate:
    """For endpoints on hosts of their own, and templates of one request each."""
    fields = ScanPlanSpec.model_validate({"endpoints": ["a.example"], "templates": ["http/"], **spec})
    count = -(-endpoints // fields.sharding.max_endpoints_per_shard)
    root = Path("/templates")
    chosen = [Template(root / f"{number}.yaml", root, str(number), named=False) for number in range(templates)]
    return estimates.of_plan(fields, chosen, -(-endpoints // count), count)


def rows() -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if re.match(r"\| [\d,]+ \| ", line)
    ]


def row(endpoints: int, templates: int) -> list[str]:
    """A row of the page's table."""
    of = estimated(endpoints, templates)
    hours = of.seconds / 3600
    return [
        f"{endpoints:,}",
        f"{templates:,}",
        f"{endpoints * templates:,}",
        f"{of.pods:,}",
        str(of.pods_at_once),
        f"{of.memory_mib:,.0f} MiB",
        f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}",
    ]


def test_the_table_is_computed() -> None:
    told = rows()
    assert len(told) == 8
    assert told == [row(int(each[0].replace(",", "")), int(each[1].replace(",", ""))) for each in told]


def test_the_page_has_the_coefficients() -> None:
    told = dict(re.findall(r"^\| ([^|]+?) \| ([\d.]+ (?:MiB|s)) \|", PAGE, re.MULTILINE))
    assert told == {
        "runner": f"{estimate.RUNNER_MIB:g} MiB",
        "base": f"{estimate.BASE_MIB:g} MiB",
        "a, for each template of a step": f"{estimate.TEMPLATE_MIB:g} MiB",
        "b, for each endpoint of a step": f"{estimate.ENDPOINT_MIB:g} MiB",
        "c, for each request under way": f"{estimate.REQUEST_MIB:g} MiB",
        "pod": f"{estimate.POD_SECONDS:g} s",
        "start of Nuclei": f"{estimate.START_SECONDS:g} s",
        "load, for each template": f"{estimate.LOAD_SECONDS:g} s",
    }


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (Step(5_000, 30), Step(700, 30)),
        (Step(200, 200), Step(200, 30)),
        (Step(25, 25), Step(5, 5)),
    ],
)
def test_more_of_a_step_takes_more_memory(more: Step, less: Step) -> None:
    assert estimate.memory_mib(more, 25, 25) > estimate.memory_mib(less, 25, 25)


def test_a_pod_takes_what_its_largest_step_takes_and_a_scan_its_longest_rounds() -> None:
    steps = [Step(10, 100), Step(20, 100)]
    of = estimate.of_scan(5, 2, requests=3_000, rate=10, steps=steps, concurrency=25, bulk_size=25)
    assert (of.pods, of.pods_at_once, of.steps) == (5, 2, 2)
    assert of.memory_mib == estimate.memory_mib(steps[1], 25, 25)
    assert of.memory_at_once_mib == 2 * of.memory_mib
    starts = 2 * estimate.START_SECONDS + 30 * estimate.LOAD_SECONDS
    assert of.seconds == pytest.approx(3 * (estimate.POD_SECONDS + starts + 300))


def test_steps_are_those_of_the_runner() -> None:
    """A step has 120 s at first and 420 s then, at the shard's rate; and no more than a quarter of an attempt's time."""
    of = estimated(250, 1_000)
    assert (of.pods, of.steps) == (1, 5)
    assert estimated(250, 1_000, timeoutSeconds=240).steps > 20
    assert estimated(250, 1_000, scanner={"rateLimit": 10_000}).steps == 1


def test_a_very_long_shard_is_estimated_at_once() -> None:
    of = estimated(10_000, 2_000, sharding={"maxEndpointsPerShard": 10_000}, scanner={"rateLimit": 1})
    assert of.steps > estimates.MOST_STEPS
    assert of.seconds > 20_000_000


def test_a_limit_that_is_too_small_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("id: t\ninfo: {name: t, severity: info}\nhttp: [{path: ['{{BaseURL}}/']}]\n")
    spec = {
        "endpoints": ["a.example", "b.example"],
        "templates": ["t.yaml"],
        "podTemplate": {"resources": {"limits": {"memory": "128Mi"}}},
    }
    manifest = {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanPlan", "metadata": {"name": "n"}, "spec": spec}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(manifest))
    command = ["plan", "-f", str(tmp_path / "plan.yaml"), "--templates", str(tmp_path), "--estimate"]
    told = CliRunner().invoke(app, command).output
    assert "more than podTemplate.resources.limits.memory, 128Mi" in told
    assert "pods       1, 1 at a time; up to 1 run of Nuclei in each" in told
    (read,) = json.loads(CliRunner().invoke(app, [*command, "-o", "json"]).output)
    assert set(read["estimate"]) == {"pods", "podsAtOnce", "steps", "memoryMiB", "memoryAtOnceMiB", "seconds"}
