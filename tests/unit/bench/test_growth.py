"""The plot of docs/performance.md. Lost otherwise: a picture that shows other numbers than the table above it."""

from __future__ import annotations

import re
from typing import Any

from tests.bench.growth import points, svg


def texts(picture: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", picture)


def figure(name: str, value: float, unit: str = "MiB") -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "target": None, "met": None}


FIGURES = [
    figure("scale: memory, 1,000 settled plans", 90),
    figure("scale: memory, 100 settled plans", 80.5),
    figure("scale: until serving, 10,000 settled plans", 12, "s"),
    figure("scale: memory, 10,000 settled plans and 1,000 active", 150),
    figure("restart: memory, 2,000 settled plans", 110),
]


def test_what_was_taken_at_several_sizes_is_drawn_in_their_order() -> None:
    assert points(FIGURES) == {"memory (MiB)": [(100, 80.5), (1000, 90)]}


def test_a_picture_names_each_number() -> None:
    assert texts(svg(points(FIGURES))) == ["memory (MiB)", "80.5", "100", "90", "1,000"]


def test_zero_everywhere_can_be_drawn() -> None:
    zero = {"writes (requests)": [(100, 0.0), (1000, 0.0)]}
    assert texts(svg(zero)) == ["writes (requests)", "0", "100", "0", "1,000"]
