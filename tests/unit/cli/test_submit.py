"""What `scanplan submit` makes of the API server's refusal."""

from __future__ import annotations

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

    def apply_plan(self, *_: Any, **__: Any) -> None:
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
