"""The commands of the pages, as they stand there and in their order, typed by somebody who has the operator installed.

What differs from a reader's terminal is in the tables below. Which blocks aren't run here, and why, is in the pages' source:
see tests/docs/blocks.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.blocks import PAGES, ROOT, blocks
from tests.e2e.stage import EXPOSED, Stage, condition, templates
from tests.images import Archive
from tests.kubectl import Manifest

pytestmark = pytest.mark.e2e

SITES = ("shop", "wiki", "intranet")
"""Hosts that pages and examples scan."""
ELSEWHERE = {"scanplan-demo:8080": "pages:8080", "shop.example:8080": "shop.pages:8080"}
"""Where these hosts are, in commands and in files of examples/."""
ENDLESS = {"kubectl get scanplans -w", "kubectl scanplan watch"}
"""Commands that a reader stops; here after their first line."""
CODES = {
    f"{command} --fail-on high": 1 for command in ("kubectl scanplan results first-scan", "scanplan results nightly")
}
"""Exit codes other than 0: the sites have findings."""
BACKUP = "docs/how-to/backup.md"
WITH_A_NIGHTLY_PLAN = {"docs/how-to/hand-on-results.md", "docs/how-to/findings-over-time.md", "docs/cli.md"}
RUN_HERE = [page for page in PAGES if any(block.is_run_as_it_is for block in blocks(page))]


class Reader:
    """Types the commands of a page, in a folder with the examples, as a user of the stage's namespace."""

    def __init__(self, stage: Stage, operator: str, folder: Path) -> None:
        self._folder = folder
        configuration = yaml.safe_load(stage.kubectl.kubeconfig.read_text())
        for context in configuration["contexts"]:
            context["context"]["namespace"] = stage.namespace
        kubeconfig = folder / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(yaml.safe_dump(configuration))
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": programs}
        for example in ROOT.glob("examples/**/*.yaml"):
            copy = folder / example.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(moved(example.read_text()).replace("OPERATOR_IMAGE", operator))
        (folder / "images/scanner").mkdir(parents=True)
        (folder / "images/scanner/templates").symlink_to(ROOT / "images/scanner/templates")

    def has(self, file: str, manifest: Manifest) -> None:
        (self._folder / file).write_text(yaml.safe_dump(manifest))

    def types(self, command: str) -> None:
        """Run it; it must end as the page has it."""
        words = command.partition(" #")[0].rstrip()
        with subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", f"exec {moved(words)}" if words in ENDLESS else moved(command)],
            cwd=self._folder, env=self._environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            if words in ENDLESS:
                assert process.stdout.readline()
                process.terminate()  # SIGINT is ignored where the tests run in the background of a shell
                process.wait()
            else:
                said = process.stdout.read()
                assert process.wait() == CODES.get(words, 0), f"{command}\n{said}"


def moved(text: str) -> str:
    """With the hosts where they are here."""
    for there, here in ELSEWHERE.items():
        text = text.replace(there, here)
    return text


@pytest.fixture(scope="module")
def sites(stage: Stage) -> None:
    stage.web_application(*SITES)


@pytest.fixture
def reader(stage: Stage, archives: dict[str, Archive], tmp_path: Path) -> Reader:
    stage.kubectl("delete", "scanplans", "--all")
    return Reader(stage, archives["operator"].reference, tmp_path)


@pytest.mark.usefixtures("sites")
@pytest.mark.parametrize("page", [page for page in RUN_HERE if page != BACKUP])
def test_the_commands_of_a_page_work(stage: Stage, reader: Reader, page: str) -> None:
    if page in WITH_A_NIGHTLY_PLAN:
        stage.apply(stage.plan("before", "app", runId="nightly", rerun="before"))
        stage.ends("before", "Completed")
        stage.apply(stage.plan("nightly", "app"))
        stage.ends("nightly", "Completed")
        reader.has("scanplan.yaml", stage.plan("nightly", "app"))
    for block in blocks(page):
        for command in block.commands() if block.is_run_as_it_is else ():
            reader.types(command)


def test_restored_plans_take_their_results_from_the_claim(stage: Stage, reader: Reader) -> None:
    stage.web_application("saved")
    stage.apply(stage.plan("saved", "saved"), stage.plan("also-saved", "saved", projectId="other"))
    before = {name: stage.ends(name, "Completed") for name in ("saved", "also-saved")}
    asked = stage.requests("saved")
    save, restore = (command for block in blocks(BACKUP) for command in block.commands())
    reader.types(save)
    for name in before:
        stage.delete(name)
    reader.types(restore)
    for name, status in before.items():
        after = stage.ends(name, "Completed")
        assert condition(after, "Succeeded")["reason"] == "ResultReused"
        assert after["artifacts"] == status["artifacts"]
        assert templates(stage.findings(after)) == sorted(EXPOSED)
    assert stage.requests("saved") == asked
