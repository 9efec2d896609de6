"""The frame of the benchmarks. Lost otherwise: a target that is missed, and called met."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.bench.figure import Figure, at_least, at_most, percentile, save


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, 1), (1, 1), (50, 50), (99, 99), (99.1, 100), (100, 100)],
)
def test_percentiles_are_samples_by_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (at_most(3), 3, True),
        (at_most(3), 3.01, False),
        (at_least(0.85), 0.85, True),
        (at_least(0.85), 0.84, False),
        (at_most(3), math.nan, False),
        (at_least(3), math.nan, False),
        (None, 1, None),
    ],
)
def test_a_target_is_met_at_its_bound(target: object, value: float, met: bool | None) -> None:
    assert Figure("f", value, "ms", target).met is met  # type: ignore[arg-type]


def test_json_has_every_figure_in_the_agreed_form(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    save([Figure("a", 1.23456, "ms", at_most(2)), Figure("b", 5, "MiB")], path)
    assert json.loads(path.read_text()) == {
        "figures": [
            {"name": "a", "value": 1.2346, "unit": "ms", "target": "≤ 2", "met": True},
            {"name": "b", "value": 5, "unit": "MiB", "target": None, "met": None},
        ]
    }
