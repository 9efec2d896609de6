"""The API server's version: the oldest that scans work on, and what an older one lacks.

A server drops fields that it does not know without an error. So a Job on a server that is too old would run without what the
field is for, and the operator does not start there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

Version = tuple[int, int]

OLDEST: Version = (1, 33)
"""Of Jobs, backoffLimitPerIndex is stable since then (KEP-3850): without it, one shard's failure ends the others."""
NEWEST: Version = (1, 37)
"""The newest that the manifests are held against."""


class Feature(NamedTuple):
    """What plans may ask for, and not every server has."""

    since: Version
    """The first version that has it without a feature gate."""
    field: str
    """The plan's field."""
    what: str


FEATURES = (Feature((1, 35), "templatesFrom[].image", "images as volumes (feature gate ImageVolume)"),)


def parsed(answer: Mapping[str, Any]) -> Version | None:
    """The version in the answer of `/version`; providers add to the numbers (`33+`). None: it names none."""
    numbers = [re.match(r"\d+", str(answer.get(part, ""))) for part in ("major", "minor")]
    major, minor = (int(number[0]) if number else None for number in numbers)
    return None if major is None or minor is None else (major, minor)


def spelled(version: Version) -> str:
    """As people write it: 1.33."""
    return ".".join(map(str, version))


def missing(version: Version) -> list[Feature]:
    """What a server that is not too old lacks, unless its feature gates are switched on."""
    return [feature for feature in FEATURES if version < feature.since]
