"""What people who build the images with Docker, from a checkout, rely on."""

import json
import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.images.recipes import ROOT, Recipe, recipe

DOCKERFILE = ROOT / "images" / "Dockerfile"
SHIPPED = ("operator", "scanner", "worker")

Instructions = list[tuple[str, str]]


@pytest.fixture(params=SHIPPED)
def shipped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setenv("NUCLEI_BIN", sys.executable)  # Any file will do: nothing is built here.
    return recipe(request.param)


def instructions(dockerfile: Path) -> Instructions:
    """The instructions of a Dockerfile and their arguments, without comments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def stages() -> dict[str, Instructions]:
    """The stages of the Dockerfile by their names; each begins with its FROM."""
    found: dict[str, Instructions] = {}
    name = ""
    for word, rest in instructions(DOCKERFILE):
        if word == "FROM":
            name = rest.rpartition(" AS ")[2]
        found.setdefault(name, []).append((word, rest))
    return found


def lineage(target: str) -> list[str]:
    """A stage and those that it begins from, the first of them first."""
    known = stages()
    base = known[target][0][1].partition(" AS ")[0]
    return [*(lineage(base) if base in known else []), target]


def needed(target: str) -> set[str]:
    """The stages that a build of the target takes."""
    found = set(lineage(target))
    for stage in lineage(target):
        for word, rest in stages()[stage]:
            if word == "COPY" and (source := re.match(r"--from=(\S+)", rest)):
                found |= needed(source[1])
    return found


def sources(target: str) -> set[str]:
    """What a target copies from the checkout, the optional wheels aside."""
    copies = [rest for stage in needed(target) for word, rest in stages()[stage] if word == "COPY"]
    named = {source for copy in copies if "--from=" not in copy for source in copy.split()[:-1]}
    return {source for source in named if not fnmatch("build/wheels", source)}


def test_each_target_copies_its_own_inputs(shipped: Recipe) -> None:
    """Else an image has another one's libraries, or can't be built."""
    assert shipped.target
    assert sources(shipped.target) == set(shipped.inputs)


def test_the_image_of_templates_takes_what_the_scanners_templates_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the two differ, although they are built from one release."""
    monkeypatch.setenv("NUCLEI_BIN", sys.executable)
    assert sources("templates") == set(recipe("templates").inputs)
    assert needed("templates") - {"templates"} < needed("scanner")


def test_docker_sends_what_the_dockerfile_copies(shipped: Recipe) -> None:
    """Else `docker build` fails although the test images could be built."""
    ignore = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{source}" for source in [*shipped.inputs, "build/wheels"]} <= set(ignore)
    assert "*" in ignore


def test_bases_are_pinned_by_digest() -> None:
    """Else the image of a release depends on the day it is built."""
    defaults = {rest for word, rest in instructions(DOCKERFILE) if word == "ARG" and "_IMAGE=" in rest}
    assert len(defaults) == 2
    assert all(re.fullmatch(r"\w+_IMAGE=[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", each) for each in defaults)


def test_runs_as_a_number_without_a_shell(shipped: Recipe) -> None:
    """Else runAsNonRoot refuses the pod, or process 1 swallows the kubelet's SIGTERM: a shell, or Python as it starts."""
    assert shipped.target
    last = dict(instruction for stage in lineage(shipped.target) for instruction in stages()[stage])
    assert last["USER"] == "65532:65532"
    assert json.loads(last["ENTRYPOINT"])[:4] == ["tini", "--", "python3", "-m"]


def test_all_images_have_the_same_python_and_scanner_and_worker_the_same_nuclei() -> None:
    """Else one of them misses a fix, or a scan finds other things for who submits it through Redis."""
    assert all({"python", "package", "base"} <= needed(name) for name in SHIPPED)
    assert [name for name in SHIPPED if "nuclei" in needed(name)] == ["scanner", "worker"]
    assert all("with-nuclei" in lineage(name) for name in ("scanner", "worker"))
