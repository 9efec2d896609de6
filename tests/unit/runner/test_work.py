"""Steps of a shard: all of the work is done, none of it twice, wherever an attempt stops."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scanplan.runner.nuclei.choosing.templates import Template
from scanplan.runner.work import FIRST_SECONDS, STEP_SECONDS, Span, Work


def library(requests: list[int], roots: int = 1) -> list[Template]:
    """Templates of several sources, in order of these."""
    size = max(1, -(-len(requests) // roots))
    return [
        Template(
            Path(f"/{number // size}/{number}.yaml"),
            Path(f"/{number // size}"),
            str(number),
            named=False,
            requests=load,
        )
        for number, load in enumerate(requests)
    ]


def pairs(span: Span) -> set[tuple[int, int]]:
    return {(t, e) for t in range(span.first, span.end) for e in range(span.first_endpoint, span.end_endpoint)}


@given(
    st.lists(st.integers(1, 5_000), min_size=1, max_size=40),
    st.integers(1, 60),
    st.integers(1, 3),
    st.floats(1, 500),
    st.lists(st.floats(0.0, 5_000.0), max_size=400),
    st.integers(0, 30),
    st.integers(0, 60),
)
def test_all_is_done_once_and_a_later_attempt_goes_on(
    requests: list[int], endpoints: int, roots: int, rate: float, times: list[float], stop_after: int, boundary: int
) -> None:
    templates = library(requests, roots)
    saved: list[Span] = []
    done: set[tuple[int, int]] = set()
    boundary = min(boundary, endpoints)
    work = Work(templates, endpoints, rate, boundary=boundary)
    while (span := work.next()) is not None:
        assert pairs(span)
        assert not pairs(span) & done
        assert not span.first_endpoint < boundary < span.end_endpoint
        assert len({template.root for template in templates[span.first : span.end]}) == 1
        done |= pairs(span)
        saved.append(span)
        work.finish(span)
        work.measured(span, times[len(saved) % len(times)] if times else 1.0)
        if len(saved) == stop_after:  # killed: another attempt, that knows only what was saved
            work = Work(templates, endpoints, rate, saved, boundary=boundary)
    assert done == {(t, e) for t in range(len(requests)) for e in range(endpoints)}
    assert work.done == work.requests
    assert Work(templates, endpoints, rate, saved).next() is None


def test_a_small_scan_is_one_step() -> None:
    work = Work(library([1] * 50), 10, 150.0)
    assert work.next() == Span(0, 50, 0, 10)


def test_steps_are_sized_by_the_rate_and_then_by_what_was_measured() -> None:
    work = Work(library([1] * 10_000), 100, 150.0)
    first = work.next()
    assert first is not None
    assert 100 * first.end == pytest.approx(150.0 * FIRST_SECONDS, rel=0.02)
    work.finish(first)
    work.measured(first, 4 * FIRST_SECONDS)  # slow endpoints: a quarter of the rate
    second = work.next()
    assert second is not None
    assert 100 * (second.end - second.first) == pytest.approx(150.0 / 4 * STEP_SECONDS, rel=0.02)


@pytest.mark.parametrize("timeout", [10, 60, 600, 3_600])
@pytest.mark.parametrize("slower", [1, 10])
def test_an_attempt_has_time_for_several_steps(timeout: int, slower: int) -> None:
    """Lost otherwise: all work of each attempt, where the first step takes longer than `timeoutSeconds`."""
    rate = 10.0
    work = Work(library([1] * 2_000), 20, rate, timeout_seconds=timeout)
    while (span := work.next()) is not None:
        seconds = len(pairs(span)) / rate
        assert seconds <= timeout / 2
        assert seconds <= 2 * STEP_SECONDS
        work.finish(span)
        work.measured(span, slower * seconds)
        rate = 10.0 / slower


def test_a_template_that_is_too_much_alone_is_cut_by_endpoints() -> None:
    work = Work(library([10_000]), 250, 150.0)
    span = work.next()
    assert span == Span(0, 1, 0, 1)


def test_an_automatic_scan_is_cut_by_endpoints_alone() -> None:
    """Lost otherwise: a step without the templates that look for technologies, or one that they could choose."""
    work = Work(library([1] * 10_000, roots=2), 100, 150.0, whole=True)
    spans = []
    while (span := work.next()) is not None:
        spans.append(span)
        work.finish(span)
        work.measured(span, 1.0)
    assert {(span.first, span.end) for span in spans} == {(0, 5_000), (5_000, 10_000)}
    assert spans[0].end_endpoint == 3
    assert spans[1] == Span(0, 5_000, 3, 100), "little of it is sent, so the next step has more"


@pytest.mark.parametrize(
    "strange",
    [Span(3, 5, 0, 10), Span(0, 9, 0, 10), Span(0, 2, 5, 10), Span(0, 2, 0, 11), Span(0, 2, 4, 4), Span(2, 1, 0, 10)],
)
def test_a_saved_step_that_does_not_fit_is_done_again(strange: Span) -> None:
    assert Work(library([1] * 5), 10, 150.0, [strange]).next() == Span(0, 5, 0, 10)


POSITION = st.integers(0, 7)


@given(st.lists(st.builds(Span, POSITION, POSITION, POSITION, POSITION), max_size=6))
@example([Span(0, 0, 0, 6)])
@example([Span(0, 2, 0, 6), Span(2, 2, 0, 6)])
def test_whatever_was_saved_the_work_comes_to_its_end(saved: list[Span]) -> None:
    """Lost otherwise: a runner that goes on for ever, since whoever may write to the claim can change what was saved."""
    work = Work(library([1] * 5), 6, 0.01, saved)
    for _ in range(30):
        if (span := work.next()) is None:
            return
        assert pairs(span)
        work.finish(span)
    assert work.next() is None
