"""`scanplan run` is as strict as the API server, and ends with the codes that its help names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from scanplan.api.documents.report import ShardReport
from scanplan.api.documents.words import Outcome
from scanplan.api.exit_codes import ExitCode
from scanplan.cli.commands import run
from scanplan.cli.main import app

PLAN = """\
apiVersion: scanplan.dev/v1alpha1
kind: ScanPlan
metadata: {name: nightly}
spec:
  projectId: acme
  endpoints: ["http://127.0.0.1:1"]
  templates: [t.yaml]
"""
WRONG = {
    "a misspelt field": ("templates:", "template:", "spec.template"),
    "a misspelt nested field": ("spec:", "spec:\n  scanner: {rateLimits: 1}", "spec.scanner.rateLimits"),
    "a snake_case field": ("projectId: acme", "project_id: acme", "spec.project_id"),
    "a field beside spec": ("spec:", "specs: {}\nspec:", "specs"),
    "a field of metadata": ("{name: nightly}", "{name: nightly, nmae: x}", "metadata.nmae"),
    "a number in quotes": ("spec:", "spec:\n  timeoutSeconds: '60'", "timeoutSeconds"),
    "no name": ("{name: nightly}", "{}", "metadata has no name"),
    "headersFrom": ("spec:", "spec:\n  scanner: {headersFrom: {secretRef: {name: s}}}", "Secrets of scanner"),
    "variablesFrom": ("spec:", "spec:\n  scanner: {variablesFrom: {secretRef: {name: s}}}", "Secrets of scanner"),
    "a name that is a number": ("{name: nightly}", "{name: 7}", "metadata.name is no text"),
    "two plans": ("apiVersion", "a: b\n---\napiVersion", "holds 2 documents"),
    "no YAML": ("spec:", "spec: [", "is no YAML: line"),
    "no metadata": ("metadata: {name: nightly}\n", "", "metadata"),
}


def scan(folder: Path, manifest: str, *options: str) -> tuple[int, str]:
    (folder / "plan.yaml").write_text(manifest)
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates/t.yaml").write_text("id: t\ninfo: {name: t, author: t, severity: info}\n")
    arguments = [
        "run",
        str(folder / "plan.yaml"),
        "--templates",
        str(folder / "templates"),
        "--allow-target",
        "127.0.0.0/8",
    ]
    done = CliRunner().invoke(app, [*arguments, *options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize("case", WRONG)
def test_row_12_a_manifest_that_the_api_server_would_refuse_is_not_scanned(tmp_path: Path, case: str) -> None:
    before, after, word = WRONG[case]
    code, output = scan(tmp_path, PLAN.replace(before, after), "--directory", str(tmp_path))
    assert (code, word in output) == (65, True), output
    assert not (tmp_path / "ui_projects").exists()


@pytest.mark.parametrize("program", ["/nonexistent/nuclei"])
def test_row_12_the_documented_exit_codes(tmp_path: Path, program: str) -> None:
    code, output = scan(tmp_path, PLAN, "--directory", str(tmp_path), "--nuclei", program)
    assert (code, "NucleiBinaryError" in output) == (65, True)


def test_row_12_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "ui_projects").write_text("a file where the folder should be")
    code, output = scan(tmp_path, PLAN, "--directory", str(tmp_path))
    assert code in {65, 75}
    assert "ui_projects" in output
    assert "Traceback" not in output


def test_row_12_a_run_that_is_stopped_between_two_shards_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: two thirds of a scan, which a pipeline takes for all of it."""
    of_two = PLAN.replace("templates:", "sharding: {maxEndpointsPerShard: 1}\n  templates:")
    of_two = of_two.replace('"http://127.0.0.1:1"', '"http://127.0.0.1:1", "http://127.0.0.2:1"')
    stopped: list[bool] = []

    def run_shard(*_: object, **__: object) -> ShardReport:
        stopped.append(True)
        return ShardReport(shard=0, attempt=0, outcome=Outcome.COMPLETE)

    @contextmanager
    def interruptible() -> Iterator[Callable[[], bool]]:
        yield lambda: bool(stopped)

    monkeypatch.setattr(run, "run_shard", run_shard)
    monkeypatch.setattr(run, "_interruptible", interruptible)
    monkeypatch.setattr(run, "exit_code", lambda _: ExitCode.OK)
    monkeypatch.setattr(run, "collect", lambda *_: SimpleNamespace(merged=None))
    monkeypatch.setattr(run, "_print", lambda *_: None)
    code, said = scan(tmp_path, of_two, "--directory", str(tmp_path / "data"))
    assert (code, len(stopped)) == (143, 1), said
