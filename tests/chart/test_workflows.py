"""What a fork relies on when it lets these workflows sign in its name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart import programs
from tests.chart.chart import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_a_well_known_checker_finds_nothing_wrong(workflow: Path) -> None:
    """Keys, expressions, contexts, needs and runners; what its optional helpers say would depend on the machine."""
    programs.run("actionlint", "-shellcheck=", "-pyflakes=", str(workflow))


def test_it_finds_nothing_wrong_with_the_example_either() -> None:
    programs.run("actionlint", "-shellcheck=", "-pyflakes=", str(ROOT / "examples/pipelines/github-actions.yml"))


def test_actions_of_others_are_named_by_commit(workflow: Path) -> None:
    """A tag of theirs can be moved; what it moves to would run with our rights."""
    used = re.findall(r"uses: (\S+)", workflow.read_text())
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", each)] == []


TAGGED = re.compile(r"[a-z0-9.-]+(?:/[a-z0-9._-]+)+:\w[\w.-]*")
"""An image by its tag alone, as a word of its own."""
BUILT_HERE = re.compile(r"scanplan/[a-z]+:ci")


def words(part: Any) -> Iterator[str]:
    """All words of all texts of a parsed workflow."""
    if isinstance(part, str):
        yield from part.split()
    elif isinstance(part, dict | list):
        for each in part.values() if isinstance(part, dict) else part:
            yield from words(each)


def test_images_of_others_are_named_by_digest(workflow: Path) -> None:
    """A tag of theirs can be moved too, and tests run in what it then leads to."""
    parsed: dict[str, Any] = yaml.safe_load(workflow.read_text())
    places = [job.get("container", {}) for job in parsed["jobs"].values()]
    places += [service for job in parsed["jobs"].values() for service in job.get("services", {}).values()]
    images = [place if isinstance(place, str) else place["image"] for place in places if place]
    assert [image for image in images if not re.search(r"@sha256:[0-9a-f]{64}$", image)] == []
    assert [word for word in words(parsed) if TAGGED.fullmatch(word) and not BUILT_HERE.fullmatch(word)] == []


def test_a_job_may_write_only_where_it_says_so(workflow: Path) -> None:
    parsed: dict[str, Any] = yaml.safe_load(workflow.read_text())
    assert parsed["permissions"] == {"contents": "read"}
    writers = {name for name, job in parsed["jobs"].items() if "write" in job.get("permissions", {}).values()}
    assert writers == ({"image", "chart"} if workflow.stem == "release" else set())


def test_no_text_of_a_stranger_reaches_a_shell(workflow: Path) -> None:
    """Names of branches and titles are written by whoever opens a pull request."""
    steps = [step for job in yaml.safe_load(workflow.read_text())["jobs"].values() for step in job["steps"]]
    assert [
        step["run"] for step in steps if "${{ github.event" in step.get("run", "") or "head_ref" in step.get("run", "")
    ] == []
