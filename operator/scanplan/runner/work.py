"""A shard's work in steps: which templates go to which endpoints next.

If Nuclei is killed after an hour of work, that hour is lost. So a shard is scanned in steps of a few minutes. Each is a run of
Nuclei with some of the templates, in their order, and all endpoints. Where one template alone is too much, it has only some of
the endpoints. So each step is a rectangle of templates and endpoints. The next attempt goes on after the rectangles that are
done.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from scanplan.api.documents.words import Count
from scanplan.runner.nuclei.choosing.templates import Template

STEP_SECONDS = 420.0
"""How long a step is meant to take, and so about how much work is lost by a kill. The last step may take twice as long."""
FIRST_SECONDS = 120.0
"""How long the first step is meant to take, while nobody knows how fast the endpoints are."""
_SHARE = 0.25
"""A step is meant to take at most this share of an attempt's time, which has room for one that takes twice as long."""


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A step: templates and endpoints by their positions. Each end is one past the last."""

    first: Count
    end: Count
    first_endpoint: Count
    end_endpoint: Count


class Work:
    """What of a shard is done, and what comes next."""

    def __init__(
        self,
        templates: Sequence[Template],
        endpoints: int,
        rate: float,
        done: Iterable[Span] = (),
        most_endpoints: int = 1 << 31,
        boundary: int = 0,
        *,
        timeout_seconds: float = math.inf,
        whole: bool = False,
    ) -> None:
        """No step has more than `most_endpoints`, or endpoints on both sides of `boundary`.

        Args:
            rate: requests a second that are expected of the first step, and never exceeded by what is measured.
            timeout_seconds: how long an attempt may take. What it has not saved by then is done again.
            whole: a step has all templates of its source with the same needs; Nuclei itself picks an unknown part of them.
        """
        self._requests = [template.requests for template in templates]
        self._runs = [(template.root, template.needs) for template in templates]
        self._endpoints = endpoints
        self._most_endpoints = most_endpoints
        self._boundary = boundary
        self._whole = whole
        self._limit = math.inf if whole else rate
        self._rate = rate
        """Requests a second that are expected of the next step."""
        self._longest = _SHARE * timeout_seconds
        self._seconds = min(FIRST_SECONDS, self._longest)
        self._done: dict[int, tuple[int, int]] = {}
        """By the first template of a step: its end, and the endpoints that are done, from 0."""
        self._reached = 0
        """All templates before this one are done."""
        for span in sorted(done, key=lambda span: (span.first, span.first_endpoint)):
            self.finish(span)

    @property
    def requests(self) -> int:
        """Requests of all the work, as far as the templates tell."""
        return sum(self._requests) * self._endpoints

    @property
    def done(self) -> int:
        """Requests of what is done."""
        return sum(sum(self._requests[first:end]) * endpoints for first, (end, endpoints) in self._done.items())

    def next(self) -> Span | None:
        """The next step; None where nothing is left."""
        while self._reached < len(self._requests):
            end, endpoints = self._done.get(self._reached, (0, 0))
            if not end:
                return self._cut(self._reached)
            if endpoints < self._endpoints:
                return self._part(self._reached, end, endpoints)
            self._reached = end
        return None

    def finish(self, span: Span) -> None:
        """Note a step as done. One that is empty, or does not continue what is done by now, is not noted: it will be done again."""
        end, endpoints = self._done.get(span.first, (span.end, 0))
        if (
            span.first < end == span.end <= len(self._requests)
            and endpoints == span.first_endpoint < span.end_endpoint <= self._endpoints
        ):
            self._done[span.first] = (end, span.end_endpoint)

    def measured(self, span: Span, seconds: float) -> None:
        """Learn from how long a step took."""
        expected = sum(self._requests[span.first : span.end]) * (span.end_endpoint - span.first_endpoint)
        self._rate = max(0.1, min(self._limit, expected / max(seconds, 1.0)))
        self._seconds = min(STEP_SECONDS, self._longest)

    def share(self, span: Span) -> float:
        """A step as a share of all the work."""
        part = sum(self._requests[span.first : span.end]) * (span.end_endpoint - span.first_endpoint)
        return part / self.requests if self.requests else 1.0

    def _cut(self, first: int) -> Span:
        """The next step from `first` on: as many templates of one source with the same needs as fit, at least one."""
        budget = self._rate * self._seconds
        end, load = first, 0
        while end < len(self._requests) and self._runs[end] == self._runs[first]:
            load += self._requests[end] * self._endpoints
            if end > first and load > budget and not self._whole:
                break
            end += 1
        return self._part(first, end, 0)

    def _part(self, first: int, end: int, from_endpoint: int) -> Span:
        """All endpoints that are left, if they take at most twice a step's time; else as many as fit, at least one."""
        load = max(1, sum(self._requests[first:end]))
        fitting = self._endpoints - from_endpoint
        if load * fitting > 2 * self._rate * self._seconds:
            fitting = max(1, int(self._rate * self._seconds / load))
        fitting = min(fitting, self._most_endpoints)
        limit = self._boundary if from_endpoint < self._boundary else self._endpoints
        return Span(first, end, from_endpoint, min(from_endpoint + fitting, limit))
