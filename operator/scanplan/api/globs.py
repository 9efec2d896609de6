"""Globs: ``*`` is any text, ``?`` is one character, and all else stands for itself."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable


def any_of(patterns: Iterable[str], *, fold: bool = False) -> Callable[[str], bool]:
    """Whether a text matches one of these patterns, in linear time; of none, no text does.

    Args:
        fold: capitals don't count.
    """
    exact, wild = set(), []
    for pattern in patterns:
        if is_wild(pattern):
            # fnmatch makes an expression that takes linear time. It knows sets in brackets too, which a glob of ours has not.
            expression = fnmatch.translate(pattern.replace("[", "[[]"))
            wild.append(re.compile(expression, re.IGNORECASE if fold else 0))
        else:
            exact.add(pattern.lower() if fold else pattern)

    def matches(text: str) -> bool:
        return (text.lower() if fold else text) in exact or any(pattern.match(text) for pattern in wild)

    return matches


def is_wild(pattern: str) -> bool:
    """Whether it stands for more than itself."""
    return "*" in pattern or "?" in pattern
