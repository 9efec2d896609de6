"""The migration guide keeps what it promises: its programs run, on the queues that it names, and its list of settings is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scanplan.client.settings import ClientSettings
from scanplan.web.settings import ApiSettings
from tests.client.laboratory import Laboratory
from tests.fixtures.queues import StartWorker

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/migration.md"


def run(example: str, *arguments: str) -> str:
    """The output of an example, with the test's environment."""
    program = ROOT / "examples/python" / example
    done = subprocess.run([sys.executable, str(program), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_phase_1_in_the_programs_own_process(laboratory: Laboratory) -> None:
    output = run("in_process.py", laboratory.webapp.url)
    assert "4 findings in ui_projects/example/tasks/" in output
    assert output.count("critical") == 3


def test_phase_2_through_redis(laboratory: Laboratory, start_worker: StartWorker) -> None:
    start_worker()
    assert "completed: 14 findings, 3 critical" in run("queued.py", laboratory.webapp.url)


@pytest.mark.integration
@pytest.mark.usefixtures("kubernetes_queue")
def test_phase_3_in_a_cluster(laboratory: Laboratory) -> None:
    assert "completed: 14 findings, 3 critical" in run("queued.py", laboratory.webapp.url)


def test_many_scans_from_asyncio(laboratory: Laboratory) -> None:
    other = f"http://localhost:{laboratory.webapp.port}"
    output = run("awaited.py", laboratory.webapp.url, other)
    assert output.splitlines() == [f"{url}: completed, 14 findings" for url in (laboratory.webapp.url, other)]


@pytest.mark.parametrize("settings", [ClientSettings, ApiSettings])
def test_every_setting_is_listed_with_its_default(settings: type[ClientSettings] | type[ApiSettings]) -> None:
    text = GUIDE.read_text()
    for field in settings.model_fields.values():
        assert field.description
        row = next((line for line in text.splitlines() if line.startswith(f"| `{field.alias}` |")), "")
        assert row.endswith(f"| {field.description} |"), (
            f"{field.alias} is not in {GUIDE.name}, or reads otherwise there"
        )
        if isinstance(field.default, (int, str)) and not isinstance(field.default, bool):
            assert f"| `{getattr(field.default, 'value', field.default)}` |" in row


def test_every_program_and_page_that_it_names_is_there() -> None:
    text = GUIDE.read_text() + (GUIDE.parent / "how-to/notifications.md").read_text()
    for example in (ROOT / "examples/python").iterdir():
        if example.suffix in {".py", ".yaml"}:
            assert f"examples/python/{example.name}" in text
    assert (GUIDE.parent / "install.md").exists()
