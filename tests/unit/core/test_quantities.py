"""Quantities as Kubernetes writes them."""

from __future__ import annotations

import pytest

from scanplan.core.planning.quantities import quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", 0.5), ("1Ki", 1024), ("2", 2), ("1k", 1000), ("1.5Gi", 1.5 * (1 << 30)), ("1e3", 1000)],
)
def test_quantities_are_compared_as_numbers(text: str, number: float) -> None:
    assert quantity(text) == number


def test_what_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="much"):
        quantity("much")
