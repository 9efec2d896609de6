"""The plot of docs/performance.md: what each figure of `scale` is at each number of settled plans, as a picture of small charts.

The numbers are written at their points, so the picture reads without colour; it has no script and asks for nothing from elsewhere.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 50, 320, 44, 168
"""The corners of a chart's plane within it."""
COLUMNS = 2
FIGURE = re.compile(r"scale: (?P<what>.+), (?P<plans>[\d,]+) settled plans")

Points = dict[str, list[tuple[int, float]]]
"""Value by number of plans, for each title."""


def points(figures: Sequence[dict[str, Any]]) -> Points:
    """What is to be drawn of the figures of build/bench.json: those taken at more than one number of settled plans."""
    found: Points = defaultdict(list)
    for figure in figures:
        if match := FIGURE.fullmatch(figure["name"]):
            title = f"{match['what']} ({figure['unit']})"
            found[title].append((int(match["plans"].replace(",", "")), figure["value"]))
    return {title: sorted(of) for title, of in found.items() if len(of) > 1}


def svg(charts: Points) -> str:
    """One picture with a chart for each title."""
    rows = math.ceil(len(charts) / COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT
    parts = [
        f'<g transform="translate({number % COLUMNS * WIDTH} {number // COLUMNS * HEIGHT})">{chart(title, of)}</g>'
        for number, (title, of) in enumerate(charts.items())
    ]
    style = "text{font:12px sans-serif;fill:#333}.axis{stroke:#bbb}.line{fill:none;stroke:#0b6e99;stroke-width:2}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Figures by number of settled plans"><style>{style} circle{{fill:#0b6e99}}</style>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def chart(title: str, of: Sequence[tuple[int, float]]) -> str:
    """A line over the number of plans, which grows by factors; values from 0."""
    fewest, most = math.log10(of[0][0]), math.log10(of[-1][0])
    highest = max(value for _, value in of) or 1.0
    places = [
        (
            LEFT + (math.log10(plans) - fewest) / (most - fewest) * (RIGHT - LEFT),
            BOTTOM - value / highest * (BOTTOM - TOP),
        )
        for plans, value in of
    ]
    marks = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{value:,.4g}</text>'
        f'<text x="{x:.1f}" y="{BOTTOM + 18}" text-anchor="middle">{plans:,}</text>'
        for (plans, value), (x, y) in zip(of, places, strict=True)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (
        f'<text x="{LEFT - 30}" y="18">{escape(title)}</text>'
        f'<path class="axis" d="M{LEFT - 15} {BOTTOM}H{RIGHT + 15}"/><polyline class="line" points="{line}"/>'
        + "".join(marks)
    )
