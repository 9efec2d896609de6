"""Fixtures have one home. Lost otherwise: a second control plane in a session, or a fixture that overrides another unseen."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.suite.lanes import TESTS

FOLDERS = sorted(path for path in TESTS.iterdir() if (path / "__init__.py").exists())


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each `from … import …`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (("." * node.level + (node.module or ""), each.name) for each in node.names)


@functools.cache
def fixtures(path: Path) -> set[str]:
    """Names of the fixtures that a module defines."""
    return {
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_folder_takes_fixtures_from_anothers_modules(folder: Path) -> None:
    """What several folders use is a plugin in tests/fixtures."""
    taken = [
        f"{path.relative_to(TESTS)}: {module}.{name}"
        for path in folder.rglob("*.py")
        for module, name in imports(path)
        if module.startswith("tests.")
        and (source := TESTS.joinpath(*module.split(".")[1:]).with_suffix(".py")).exists()
        and name in fixtures(source)
    ]
    assert not taken
