"""Bytes that reconciles may hold at the same time, shared fairly between namespaces.

A plan reserves bytes before it reads them. If too few are left, the plan gives back what it holds, and its worker takes another
plan. The plan is queued again once its bytes are reserved. So memory is bounded, and no worker waits for memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from scanplan.controller.engine.workqueue import ObjectName


class Postponed(Exception):
    """Too much is in memory: the plan is woken when there is room for what it needs."""


class Budget:
    """Reserves bytes for plans; for one event loop."""

    def __init__(self, size: int, wake: Callable[[ObjectName], None]) -> None:
        """Start with nothing taken.

        Args:
            size: total bytes. A plan that asks for more gets the whole budget for itself.
            wake: is called with a plan whose bytes have been set aside.
        """
        self._size = size
        self._wake = wake
        self._held: dict[ObjectName, int] = {}
        self._waiting: OrderedDict[str, dict[ObjectName, int]] = OrderedDict()
        """By namespace, in the order of their turns; within one, in the order of asking."""
        self.used = 0
        self.peak = 0
        """The most that was ever taken at the same time."""

    def take(self, name: ObjectName, amount: int) -> None:
        """Raise what a plan holds to `amount` bytes.

        Raises:
            Postponed: there is no room. The plan holds nothing now, and is woken.
        """
        amount, held = min(amount, self._size), self._held.get(name, 0)
        if amount <= held:
            return
        if not self._waiting and self.used - held + amount <= self._size:
            self._hold(name, amount)
            return
        self.give_back(name)
        if not self._waiting and self.used + amount <= self._size:
            self._hold(name, amount)
            return
        self._waiting.setdefault(name.namespace, {})[name] = amount
        raise Postponed

    def shrink(self, name: ObjectName, amount: int) -> None:
        """A plan needs no more than this of what it holds."""
        if name in self._held and amount < self._held[name]:
            self._hold(name, amount)
            self._grant()

    def give_back(self, name: ObjectName) -> None:
        """A plan holds nothing any more."""
        self.used -= self._held.pop(name, 0)
        self._grant()

    def _hold(self, name: ObjectName, amount: int) -> None:
        self.used += amount - self._held.get(name, 0)
        self._held[name] = amount
        self.peak = max(self.peak, self.used)

    def _grant(self) -> None:
        """Reserve bytes for waiting plans, one namespace after the other. No plan overtakes one that needs many bytes."""
        while self._waiting:
            namespace, plans = next(iter(self._waiting.items()))
            name, amount = next(iter(plans.items()))
            if self.used + amount > self._size:
                return
            del plans[name]
            if plans:
                self._waiting.move_to_end(namespace)
            else:
                del self._waiting[namespace]
            self._hold(name, amount)
            self._wake(name)
