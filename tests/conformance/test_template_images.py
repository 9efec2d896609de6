"""What Nuclei's own validation refuses stays out of an image of templates, with Nuclei's reason."""

from __future__ import annotations

from pathlib import Path

from scanplan.client.templates import content
from tests.unit.client.templates import files


def test_what_only_nuclei_can_know_is_refused(scanner: Path, tmp_path: Path) -> None:
    folder = files.folder(tmp_path / "folder")
    bad = files.template("bad").replace("[{type: status, status: [200]}]", "[{type: regex, regex: ['(']}]")
    (folder / "http/bad.yaml").write_text(bad)
    found = content.of(folder)
    assert found.broken == ()
    (refused,) = content.validated(found, str(scanner)).broken
    assert refused.path == "http/bad.yaml"
    assert "regex" in refused.reason


def test_what_loads_is_refused_by_neither(scanner: Path, tmp_path: Path) -> None:
    assert content.validated(content.of(files.folder(tmp_path / "folder")), str(scanner)).broken == ()
