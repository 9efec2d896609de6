"""Kubernetes' quantities as numbers (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
"""What Python calls a number is more: nan, inf, 1_000, digits of other scripts."""
_DECIMAL = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {f"{prefix}i": float(1 << 10 * power) for power, prefix in enumerate("KMGTPE", 1)}


def quantity(text: str) -> float:
    """A quantity as a number: 500m is 0.5, 1Ki is 1024.

    Raises:
        ValueError: it is none.
    """
    suffix, factor = next((each for each in {**_BINARY, **_DECIMAL}.items() if text.endswith(each[0])), ("", 1.0))
    number = text.removesuffix(suffix)
    if not _NUMBER.fullmatch(number):
        raise ValueError(f"{text!r} is no quantity, such as 500m or 2Gi")
    return float(number) * factor
