"""The architecture page is true: its picture is import-linter's order, and what it names is in the code."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = ROOT / "operator/scanplan"
PAGE = (ROOT / "docs/architecture.md").read_text()


def test_the_picture_shows_the_layers_of_imports_in_their_order() -> None:
    picture = PAGE.partition("```text\n")[2].partition("```")[0]
    rows = [re.findall(r"│ (\w+) {2,}\S", line) for line in picture.splitlines()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert [row for row in rows if row] == [re.findall(r"scanplan\.(\w+)", layer) for layer in layers]


def test_every_package_has_a_line() -> None:
    packages = {str(path.parent.relative_to(CODE)) for path in CODE.glob("*/**/__init__.py")}
    named = set(re.findall(r"^\| `([\w/]+)` \|", PAGE, re.MULTILINE)) | set(re.findall(r"│ (\w+) {2,}\S", PAGE))
    assert not packages - named
    assert not [name for name in named if not (CODE / name).exists() and not (CODE / f"{name}.py").exists()]


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"`([\w./-]+/[\w./-]*|[\w/]+\.\w+)(?:::[\w.]+)?`", PAGE)
    assert len(named) > 50
    assert not [name for name in named if not (CODE / name).exists() and not (ROOT / name).exists()]


def test_every_function_that_is_named_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::([\w.]+)`", PAGE)
    assert len(named) > 40
    assert not [(file, name) for file, name in named if name not in _names(CODE / file)]


def _names(file: Path) -> set[str]:
    """The functions, classes and methods that a module defines."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, _FUNCTION)}
        elif isinstance(node, _FUNCTION):
            names.add(node.name)
    return names


_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
