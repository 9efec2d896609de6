"""The namespaces that one operator works on."""

from __future__ import annotations

from collections.abc import Container, Sequence


class Scope(Container[str]):
    """All namespaces, those of a list, or those that a label selector finds at the time.

    In the last case the whole cluster is watched, and a namespace may come and go. One that comes joins in two steps: what is in
    it is taken in first, and worked on once all of that is known.
    """

    def __init__(self, names: Sequence[str] = (), selector: str = "") -> None:
        """`names` and `selector` both empty: all namespaces. At most one of them is given."""
        self.selector = selector
        self._names = tuple(names)
        self._selected: dict[str, bool] = {}
        """By name: whether it is worked on already."""

    def __str__(self) -> str:
        if self.selector:
            return f"namespaces with {self.selector} ({len(self._selected)} now)"
        return ", ".join(self._names) or "all namespaces"

    def __contains__(self, namespace: object) -> bool:
        """Whether what happens in the namespace is taken in."""
        return namespace in self._selected if self.selector else not self._names or namespace in self._names

    @property
    def joined(self) -> Container[str]:
        """The namespaces that are worked on. The view changes with the scope."""
        return _Joined(self)

    def has_joined(self, namespace: object) -> bool:
        """Whether the namespace is worked on."""
        return self._selected.get(str(namespace), False) if self.selector else namespace in self

    @property
    def watched(self) -> tuple[str | None, ...]:
        """What watches are opened for: each namespace of a list, or (None) the whole cluster."""
        return self._names or (None,)

    @property
    def listed(self) -> tuple[str | None, ...]:
        """What lists are asked for: as `watched`, but each of the namespaces that the selector finds."""
        return tuple(sorted(self._selected)) if self.selector else self.watched

    def take_in(self, namespace: str, joined: bool) -> None:
        """A namespace comes into the scope. `joined`: all that is in it is known, or will be before any work begins."""
        self._selected[namespace] = joined

    def leave(self, namespace: str) -> None:
        """A namespace is no longer in the scope."""
        self._selected.pop(namespace, None)


class _Joined(Container[str]):
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __contains__(self, namespace: object) -> bool:
        return self._scope.has_joined(namespace)
