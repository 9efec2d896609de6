"""Delays that double as long as a plan's spec and what it waits for stay the same."""

from __future__ import annotations

import random

from scanplan.controller.engine.workqueue import ObjectName

JITTER = 0.2
"""Share of a delay that is left to chance, so that plans that began to wait together don't ask together."""


class Backoff:
    """How often each plan has waited in vain."""

    def __init__(self) -> None:
        self._tries: dict[ObjectName, tuple[object, int]] = {}

    def next(self, name: ObjectName, spec: object, first: float, most: float) -> float:
        """Seconds until the next try.

        Args:
            name: who waits.
            spec: identifies what is tried; a new one starts with `first` again.
            first: seconds before the first try.
            most: bound of the delay.
        """
        before, tries = self._tries.get(name, (spec, 0))
        if before != spec:
            tries = 0
        delay = first * 2.0**tries
        self._tries[name] = (spec, tries + 1 if delay < most else tries)
        return min(delay, most) * random.uniform(1 - JITTER, 1)  # noqa: S311 - no secret depends on it

    def forget(self, name: ObjectName) -> None:
        """It no longer waits."""
        self._tries.pop(name, None)
