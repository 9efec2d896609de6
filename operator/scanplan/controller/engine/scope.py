"""The namespaces that one operator works on."""

from __future__ import annotations

from collections.abc import Sequence


class Scope:
    """All namespaces, those of a list, or those that a label selector finds at the time.

    With a selector, namespaces come and go. One of a list may refuse to be listed. A namespace that comes, or refuses, is first
    stored: its objects are kept, and nothing is done about them. When all of them are known, it is ready.
    """

    def __init__(self, names: Sequence[str] = (), selector: str = "") -> None:
        """`names` and `selector` both empty: all namespaces. At most one of them is given."""
        self.selector = selector
        self._names = tuple(names)
        self._ready = dict.fromkeys(names, True)
        """Whether it is ready, by the name of each namespace in the scope; empty where the scope is all namespaces."""

    def __str__(self) -> str:
        if self.selector:
            return f"namespaces with {self.selector} ({len(self._ready)} now)"
        return ", ".join(self._names) or "all namespaces"

    def stores(self, namespace: str) -> bool:
        """Whether objects of the namespace are stored."""
        return self._is_everything or namespace in self._ready

    def is_ready(self, namespace: str) -> bool:
        """Whether objects of the namespace are worked on."""
        return self._is_everything or self._ready.get(namespace, False)

    @property
    def selected(self) -> frozenset[str]:
        """The names of the namespaces in the scope."""
        return frozenset(self._ready)

    @property
    def waiting(self) -> tuple[str, ...]:
        """The namespaces in the scope that are not ready."""
        return tuple(name for name, ready in self._ready.items() if not ready)

    @property
    def watched(self) -> tuple[str | None, ...]:
        """What watches are opened for: each namespace of a list, or (None) the whole cluster."""
        return self._names or (None,)

    @property
    def to_list(self) -> tuple[str | None, ...]:
        """What lists are asked for: each namespace that is ready, or (None) the whole cluster."""
        return (None,) if self._is_everything else tuple(name for name, ready in self._ready.items() if ready)

    def add(self, namespace: str, *, ready: bool) -> None:
        """A namespace comes into the scope, becomes ready, or is no longer."""
        self._ready[namespace] = ready

    def remove(self, namespace: str) -> None:
        """A namespace is no longer in the scope."""
        self._ready.pop(namespace, None)

    @property
    def _is_everything(self) -> bool:
        return not self._names and not self.selector
