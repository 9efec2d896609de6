"""The namespaces that one operator works on."""

from __future__ import annotations

from collections.abc import Sequence


class Scope:
    """All namespaces, those of a list, or those that a label selector finds at the time.

    With a selector, namespaces come and go. One that comes is first stored: its objects are kept, and nothing is done about them.
    When all of them are known, it is ready.
    """

    def __init__(self, names: Sequence[str] = (), selector: str = "") -> None:
        """`names` and `selector` both empty: all namespaces. At most one of them is given."""
        self.selector = selector
        self._names = tuple(names)
        self._selected: dict[str, bool] = {}
        """By name: whether it is ready."""

    def __str__(self) -> str:
        if self.selector:
            return f"namespaces with {self.selector} ({len(self._selected)} now)"
        return ", ".join(self._names) or "all namespaces"

    def stores(self, namespace: str) -> bool:
        """Whether objects of the namespace are stored."""
        return namespace in self._selected if self.selector else not self._names or namespace in self._names

    def is_ready(self, namespace: str) -> bool:
        """Whether objects of the namespace are worked on."""
        return self._selected.get(namespace, False) if self.selector else self.stores(namespace)

    @property
    def selected(self) -> frozenset[str]:
        """The namespaces in the scope that the selector has found."""
        return frozenset(self._selected)

    @property
    def watched(self) -> tuple[str | None, ...]:
        """What watches are opened for: each namespace of a list, or (None) the whole cluster."""
        return self._names or (None,)

    @property
    def to_list(self) -> tuple[str | None, ...]:
        """What lists are asked for: as `watched`; with a selector, each namespace in the scope."""
        return tuple(sorted(self._selected)) if self.selector else self.watched

    def add(self, namespace: str, *, ready: bool) -> None:
        """A namespace comes into the scope, or becomes ready."""
        self._selected[namespace] = ready

    def remove(self, namespace: str) -> None:
        """A namespace is no longer in the scope."""
        self._selected.pop(namespace, None)
