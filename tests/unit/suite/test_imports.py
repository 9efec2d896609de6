"""The product imports everything under its own name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PRODUCT = Path(__file__).parents[3] / "operator" / "scanplan"
RENAMED = re.compile(r"^\s*(?:from \S+ )?import \(?[^#\n]*\bas\b.*$|^\s+\w+ as \w+,?$", re.MULTILINE)


def test_nothing_is_imported_under_another_name() -> None:
    """Lost otherwise: uses that whoever looks for a name does not find."""
    renamed = {
        f"{path.relative_to(PRODUCT)}: {line.strip()}"
        for path in PRODUCT.rglob("*.py")
        for line in RENAMED.findall(path.read_text())
    }
    assert not renamed


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import json as text", True),
        ("from pathlib import Path as Place", True),
        ("from pathlib import (\n    Path as Place,\n    PurePath,\n)", True),
        ("    from scanplan.client import settings as queues  # noqa: PLC0415", True),
        ("from pathlib import Path", False),
        ("with open(path) as file:", False),
        ("    except OSError as error:", False),
    ],
)
def test_new_names_are_found(code: str, found: bool) -> None:
    assert bool(RENAMED.search(code)) == found
