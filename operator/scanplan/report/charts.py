"""The report's charts: bars as inline SVG, with their numbers as text beside them.

Colours are classes, since the page's policy allows no inline style. The numbers are text, so a chart reads without colour, with a
screen reader, and on paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from scanplan.api.documents.words import Severity

_WIDTH, _ROW, _BAR = 480, 26, 14
_LABEL_CHARACTERS = 30

Counts = Sequence[int]
"""Findings by severity, in the order of `Severity`."""


def severities(counts: Counts) -> str:
    """A bar for each severity."""
    most = max([*counts, 1])
    rows = []
    for row, (severity, count) in enumerate(zip(Severity, counts, strict=True)):
        top = row * _ROW
        width = round((_WIDTH - 150) * count / most, 1)
        rows.append(
            f'<text x="0" y="{top + 17}">{severity.value}</text>'
            f'<rect class="{severity.value}" x="80" y="{top + 5}" width="{max(width, 2 if count else 0)}" height="{_BAR}" rx="2"/>'
            f'<text x="{88 + width}" y="{top + 17}">{count:,}</text>'
        )
    words = ", ".join(f"{count} {severity.value}" for severity, count in zip(Severity, counts, strict=True))
    return _svg(len(counts), words, rows)


def hosts(counts: Mapping[str, Counts]) -> str:
    """A bar for each host, divided by severity.

    Args:
        counts: findings by severity of each host that is shown, in this order.
    """
    most = max((sum(of_host) for of_host in counts.values()), default=1)
    rows = []
    for row, (host, of_host) in enumerate(counts.items()):
        top, left = row * _ROW, 225.0
        name = host if len(host) <= _LABEL_CHARACTERS else f"…{host[1 - _LABEL_CHARACTERS :]}"
        parts = [f'<text x="0" y="{top + 17}">{escape(name)}<title>{escape(host)}</title></text>']
        for severity, count in zip(Severity, of_host, strict=True):
            width = round((_WIDTH - 285) * count / most, 1)
            if count:
                parts.append(
                    f'<rect class="{severity.value}" x="{left:g}" y="{top + 5}" width="{max(width, 1.5)}" height="{_BAR}">'
                    f"<title>{count} {severity.value}</title></rect>"
                )
            left += max(width, 1.5) if count else 0
        parts.append(f'<text x="{left + 8:g}" y="{top + 17}">{sum(of_host):,}</text>')
        rows.append("".join(parts))
    words = ", ".join(f"{host}: {sum(of_host)}" for host, of_host in counts.items())
    return _svg(len(counts), words, rows)


def _svg(rows: int, words: str, parts: Sequence[str]) -> str:
    label = escape(words, quote=True)
    return f'<svg role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {max(rows, 1) * _ROW}">{"".join(parts)}</svg>'
