"""Programs that are built from source. Lost otherwise: half a program that every later run takes for a whole one."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import golang
from tests.cluster import programs
from tests.cluster.errors import BuildError, MissingError

MAIN = """package main

var said = "nothing"

func main() { println(said) }
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with one program, and a cache of its own."""
    monkeypatch.setattr(golang, "cache", lambda: tmp_path / "cache")
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "go.mod").write_text("module example.test/tools/hello\n\ngo 1.26.0\n")
    (folder / "main.go").write_text(MAIN)
    return folder


def version(versions: Mapping[str, str]) -> dict[str, str]:
    return {"main.said": f"{len(versions)}-needed"}


def built(source: Path, definitions: golang.Definitions = golang.nothing) -> Path:
    """As a new process builds it."""
    golang.built.cache_clear()
    return golang.built(source, definitions)


def test_a_program_is_built_once_for_each_state_of_its_module(source: Path) -> None:
    first = built(source)
    assert [path.name for path in first.iterdir()] == ["hello"]
    made = (first / "hello").stat().st_mtime_ns
    assert built(source) == first
    assert (first / "hello").stat().st_mtime_ns == made
    (source / "main.go").write_text(MAIN.replace("nothing", "something"))
    assert built(source) != first


def test_the_linker_sets_what_is_defined(source: Path) -> None:
    program = built(source, version) / "hello"
    assert subprocess.run([program], capture_output=True, text=True, check=True).stderr == "0-needed\n"
    assert built(source) != program.parent


def test_a_build_that_fails_leaves_nothing_and_says_why(source: Path) -> None:
    (source / "main.go").write_text("package main\n\nfunc main() { missing() }\n")
    with pytest.raises(BuildError, match="undefined: missing"):
        built(source)
    assert [path.name for path in golang.cache().iterdir()] == [".lock"]
    (source / "main.go").write_text(MAIN)
    left = golang.cache() / ".hello-killed"
    left.mkdir()
    built(source)
    assert not left.exists()


def test_a_machine_without_go_is_told_what_to_install(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SYSTEM_PATH", "")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingError, match=r"Go is not installed.*https://go\.dev/dl/"):
        built(source)


def test_an_old_toolchain_is_named(source: Path) -> None:
    (source / "go.mod").write_text("module example.test/tools/hello\n\ngo 9.1.0\n")
    with pytest.raises(MissingError, match=r"Go 9\.1\.0 or newer is needed"):
        built(source)
