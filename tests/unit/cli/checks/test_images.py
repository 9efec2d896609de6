"""What `scanplan doctor` says about images."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.cli.checks import images


@pytest.mark.parametrize(
    "node",
    [{}, {"status": None}, {"status": {"images": None}}, {"status": {"images": [{"names": None}, {"names": ["a"]}]}}],
)
def test_an_image_without_names_hides_no_other(node: dict[str, Any]) -> None:
    """Lost otherwise: all further checks, by an image that was built again under the same tag."""
    assert images.on_node(node) == ({"a"} if "'a'" in str(node) else set())
