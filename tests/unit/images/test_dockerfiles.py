"""What people who build the images with Docker, from a checkout, rely on."""

import json
import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.images.recipes import ROOT, Recipe, recipe

SHIPPED = {"operator": "operator", "scanner": "runner", "worker": "worker"}
"""The images, and the lock file of each."""


@pytest.fixture(params=SHIPPED)
def shipped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setenv("NUCLEI_BIN", sys.executable)  # Any file will do: nothing is built here.
    return recipe(request.param)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile and their arguments, without comments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def sources(dockerfile: Path) -> list[str]:
    """What it copies from the checkout, the optional wheels aside."""
    copies = [rest for word, rest in instructions(dockerfile) if word == "COPY" and "--from=" not in rest]
    return [source for copy in copies for source in copy.split()[:-1] if not fnmatch("build/wheels", source)]


def test_docker_sends_what_the_dockerfile_copies(shipped: Recipe) -> None:
    """Else `docker build` fails although the test images could be built."""
    ignore = shipped.dockerfile.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert sorted(set(sources(shipped.dockerfile))) == sorted(shipped.inputs)
    assert {f"!{source}" for source in [*shipped.inputs, "build/wheels"]} <= set(ignore)
    assert "*" in ignore


def test_bases_are_pinned_by_digest(shipped: Recipe) -> None:
    """Else the image of a release depends on the day it is built."""
    defaults = {rest for word, rest in instructions(shipped.dockerfile) if word == "ARG" and "_IMAGE=" in rest}
    assert defaults
    assert all(re.fullmatch(r"\w+_IMAGE=[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", each) for each in defaults)


def test_runs_as_a_number_without_a_shell(shipped: Recipe) -> None:
    """Else runAsNonRoot refuses the pod, or a shell swallows the kubelet's SIGTERM."""
    last = dict(instructions(shipped.dockerfile))
    assert last["USER"] == "65532:65532"
    assert json.loads(last["ENTRYPOINT"])[:2] == ["python3", "-m"]


def test_all_images_have_the_same_python() -> None:
    """Else one of them misses a fix, of the interpreter or of the way it is set up."""

    def python(name: str) -> str:
        text = (ROOT / "images" / name / "Dockerfile").read_text()
        text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
        text = re.sub(rf"(requirements|/wheels)/{SHIPPED[name]}\.txt", r"\1/LOCK", text)
        default = re.findall(r"^ARG PYTHON_IMAGE=.*", text, flags=re.MULTILINE)
        stages = text[text.index("FROM ${PYTHON_IMAGE}") : text.rindex("FROM python")]
        return "\n".join([*default, stages])

    assert len({python(name) for name in SHIPPED}) == 1


def test_scanner_and_worker_have_the_same_nuclei() -> None:
    """Else a scan finds other things for who submits it through Redis."""

    def nuclei(name: str) -> set[str]:
        text = (ROOT / "images" / name / "Dockerfile").read_text()
        return set(
            re.findall(r"^(?:ARG NUCLEI_IMAGE=|COPY (?:--from=nuclei|images/scanner)).*", text, flags=re.MULTILINE)
        )

    assert len(nuclei("scanner")) == 4
    assert nuclei("scanner") == nuclei("worker")
