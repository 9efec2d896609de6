"""A ScanException: a person's decision about findings, kept in Git, until a day.

It hides nothing. Findings that it matches stay in the artifacts, marked and counted apart. `scanplan.findings.exceptions` says
which finding it matches, `scanplan.core.exceptions` what its status is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from scanplan.api.names import SPACE
from scanplan.api.v1alpha1.model import Model, cel
from scanplan.api.v1alpha1.status import Status

MAX_NAME = 63
"""Characters of an exception's name: results list the names of those that matched."""
MAX_PATTERNS = 50
TEMPLATES = r"^[A-Za-z0-9_.:*?-]+$"
"""Ids of templates, or globs of them. What only a regular expression has is refused, for it would match nothing."""
HOSTS = r"^[A-Za-z0-9_.:*?\[\]-]+$"
"""Hosts with or without port, or globs of them."""
PATHS = r"^[/*?][^\x00-\x20\x7f]*$"
LINE = r"^[^\x00-\x1f\x7f]+$"
FINGERPRINT = r"^[0-9a-f]{16,64}$"
SAYS_SOMETHING = rf"^[^\x00]*[^\x00{SPACE}][^\x00]*$"
_LISTS = ("templates", "hosts", "paths", "matchers", "fingerprints")


class Disposition(StrEnum):
    """Why a finding needs no work now."""

    FALSE_POSITIVE = "FalsePositive"
    """It is none."""
    ACCEPTED_RISK = "AcceptedRisk"
    """Its owner lives with it until the exception expires."""
    MITIGATED = "Mitigated"
    """Something else keeps it from harm."""
    WONT_FIX = "WontFix"
    """It stays."""


def _names_something() -> dict[str, Any]:
    rule = " || ".join(f"(has(self.{name}) && self.{name}.size() > 0)" for name in _LISTS)
    return {"x-kubernetes-validations": [cel(rule, f"match must have at least one of {', '.join(_LISTS)}")]}


def _patterns(pattern: str, length: int, description: str) -> Any:
    return Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=length, pattern=pattern)], ...],
        Field(max_length=MAX_PATTERNS, description=description),
    ]


class Match(Model):
    """Which findings: those that match one item of each list that is not empty."""

    model_config = ConfigDict(json_schema_extra=_names_something())

    templates: _patterns(TEMPLATES, 256, "Ids of templates, or globs: * is any text, ? one character.") = ()  # type: ignore[valid-type]
    hosts: _patterns(HOSTS, 260, "Hosts or host:port, or globs, such as *.example.com.") = ()  # type: ignore[valid-type]
    paths: _patterns(PATHS, 1024, "Paths of URLs without query, or globs, such as /admin/*.") = ()  # type: ignore[valid-type]
    matchers: _patterns(LINE, 256, "Names of a template's matchers or extractors, or globs.") = ()  # type: ignore[valid-type]
    fingerprints: _patterns(FINGERPRINT, 64, "Fingerprints of single findings, as results show them.") = ()  # type: ignore[valid-type]


class ScanExceptionSpec(Model):
    """Which findings, what was decided about them, by whom, and until when."""

    match: Annotated[Match, Field(description="The findings that it is about.")]
    reason: Annotated[
        str, Field(max_length=2048, pattern=SAYS_SOMETHING, description="Why, for whoever reads the finding in a year.")
    ]
    status: Annotated[Disposition, Field(description="What the finding is taken for.")] = Disposition.ACCEPTED_RISK
    owner: Annotated[str, Field(max_length=256, description="Who decided: a person or a team.")] = ""
    ticket: Annotated[str, Field(max_length=1024, description="Where it is tracked: a number or a URL.")] = ""
    expires_at: Annotated[
        str,
        Field(
            max_length=40,
            json_schema_extra={"format": "date-time"},
            description="When the findings count again, at most a year ahead, such as 2027-03-31T00:00:00Z.",
        ),
    ]


class ScanExceptionStatus(Status):
    """Whether it acts, and on what."""

    observed_time: Annotated[
        str | None,
        Field(
            json_schema_extra={"format": "date-time"},
            description="When the operator first saw this generation. Scans that started later know it.",
        ),
    ] = None
    findings: Annotated[
        int | None, Field(description="Findings that it matches, in the results of the plans that know it.")
    ] = None
    plans: Annotated[int | None, Field(description="Plans in whose results it matches a finding.")] = None
