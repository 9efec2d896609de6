"""Reads YAML of others as plain values: no aliases, which could make any size of them, bounded depth, and YAML 1.2's booleans."""

from __future__ import annotations

from typing import Any

VALUE_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What PyYAML raises besides its own errors, for a value that its tag does not allow (`!!bool x`, `!!timestamp x`, `0b_`)."""


def read(content: bytes, max_bytes: int, max_depth: int) -> Any:
    """The first document of a file.

    Raises:
        ValueError: what is wrong with it, in words that follow "the file "; it quotes nothing.
    """
    documents = read_all(content, max_bytes, max_depth)
    return documents[0] if documents else None


def read_all(content: bytes, max_bytes: int, max_depth: int) -> list[Any]:
    """All documents of a file. Raises ValueError as `read` does."""
    import yaml  # noqa: PLC0415 - most scans need no parser, and start without it

    if len(content) > max_bytes:
        raise ValueError(f"has more than {max_bytes >> 10} KiB")
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader = type("Loader", (base,), {"yaml_implicit_resolvers": _resolvers(base.yaml_implicit_resolvers)})
    try:
        depth = 0
        for event in yaml.parse(content, Loader=base):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > max_depth or isinstance(event, yaml.AliasEvent):
                raise ValueError("has aliases, or is nested too deep: write it plainly")
    except yaml.YAMLError:
        raise ValueError("is no YAML") from None
    try:
        return list(yaml.load_all(content, Loader=loader))
    except yaml.YAMLError:
        raise ValueError("is no YAML") from None
    except VALUE_ERRORS:
        raise ValueError("has a value that its tag does not allow: quote it, or leave the tag out") from None


def _resolvers(known: dict[str, Any]) -> dict[str, Any]:
    """Those of YAML, where `yes`, `on` and dates are texts, as Nuclei's parser has it."""
    texts = {"tag:yaml.org,2002:timestamp"}
    words = {"t", "T", "f", "F"}
    return {
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag not in texts and (tag != "tag:yaml.org,2002:bool" or first in words)
        ]
        for first, resolvers in known.items()
    }
