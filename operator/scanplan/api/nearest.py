"""The name that a misspelt one may mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(name: str, known: Iterable[str]) -> str:
    """Words that follow a complaint about a name: ``, did you mean tags?``; empty where nothing known is near.

    Args:
        known: names, or paths whose last parts are names, such as ``spec.selection.include.tags``.
    """
    by_name: dict[str, str] = {}
    for each in known:
        by_name.setdefault(each.rpartition(".")[2].lower(), each)
    near = difflib.get_close_matches(name.lower(), by_name, n=1)
    return f", did you mean {by_name[near[0]]}?" if near else ""
