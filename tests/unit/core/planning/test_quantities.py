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


@pytest.mark.parametrize("text", ["much", "", "Gi", "nan", "inf", "1_000", " 1", "1 Gi", "\uff11", "1e", "--1"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity, such as 500m or 2Gi"):
        quantity(text)
