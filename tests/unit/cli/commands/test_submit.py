"""What `scanplan submit` makes of the API server's refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from scanplan.cli.main import app
from scanplan.client.cluster import cluster
from scanplan.client.cluster.failure import Failure


class Refusing:
    """A cluster that takes no plan."""

    namespace = "scans"

    def path(self, *_: Any, **__: Any) -> str:
        return "/"

    def find(self, _: str) -> None:
        return None

    def apply_plan(self, *_: Any, **__: Any) -> Any:
        raise Failure(".spec.selection.tagz: field not declared in schema")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"selection": {"tagz": ["x"]}}, "n: unknown field spec.selection.tagz, did you mean include.tags?"),
        ({"selection": {"include": {"tags": ["x"]}}}, "field not declared in schema"),
    ],
)
def test_a_refused_field_is_told_with_the_nearest_name(
    spec: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says `field not declared in schema`, and not which one it has."""
    monkeypatch.setattr(cluster, "connect", lambda *_: Refusing())
    manifest = {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanPlan", "metadata": {"name": "n"}, "spec": spec}
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(manifest))
    done = CliRunner().invoke(app, ["submit", "-f", str(file)])
    assert done.exit_code in {65, 69}
    assert words in done.output


HEAD = "apiVersion: scanplan.dev/v1alpha1\nkind: ScanPlan\n"


class Accepting(Refusing):
    """A cluster that takes every plan that can be sent to it."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def apply_plan(self, *given: Any, **_: Any) -> Any:
        self.taken.append(json.loads(json.dumps(given[0])))
        return {"metadata": {"generation": 1}}


def submitted(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, list[Any]]:
    """Exit code, output, and what the cluster got."""
    accepting = Accepting()
    monkeypatch.setattr(cluster, "connect", lambda *_: accepting)
    (folder / "plan.yaml").write_text(text)
    done = CliRunner().invoke(app, ["submit", "-f", str(folder / "plan.yaml")], catch_exceptions=False)
    return done.exit_code, done.output, accepting.taken


def test_days_and_times_are_text_as_for_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a traceback for a `runId` that is a day."""
    text = (
        HEAD + "metadata: {name: n, annotations: {at: 2027-02-30T00:00:00Z}}\nspec: {runId: 2026-11-23, priority: 3}\n"
    )
    code, output, (taken,) = submitted(text, tmp_path, monkeypatch)
    assert code == 0, output
    assert taken["spec"] == {"runId": "2026-11-23", "priority": 3}
    assert taken["metadata"]["annotations"] == {"at": "2027-02-30T00:00:00Z"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metadata: {name: 20261128}", "metadata.name is no text: write it in quotes"),
        ("metadata: {name: [a]}", "metadata.name is no text"),
        ("metadata: {name: n, namespace: 7}", "metadata.namespace is no text"),
        ("metadata: {name: null}", "metadata has no name"),
        ("metadata: n", "metadata has no name"),
        ("metadata: {name: n}\nspec: {a: !!binary aGk=}", "is no YAML: line 4"),
        ("metadata: {name: n}\nspec: {a: !!int x}", "is no YAML"),
        ("metadata: {name: n}\nspec: {a: !!bool x}", "is no YAML"),
        ("metadata: {name: n}\nspec: {a: !!int ''}", "is no YAML"),
        ("metadata: {name: n}\nspec: {a: !!float ''}", "is no YAML"),
        ("metadata: {name: n}\nspec: {a: !!set {x}}", "is no YAML"),
        ("metadata: {name: n}\nspec: {a: " + "9" * 5_000 + "}", "is no YAML"),
        ("metadata: {name: n}\nspec: " + "[" * 5_000, "is no YAML"),
        ("metadata: {name: n}\n---\n[]", "holds a list"),
    ],
    ids=lambda text: text[:40],
)
def test_a_file_that_no_plan_is_in_is_told(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output, taken = submitted(HEAD + text, tmp_path, monkeypatch)
    assert (code, words in output, taken) == (65, True, []), output
