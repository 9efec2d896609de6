"""Lines that are sorted outside of memory, and merged in batches."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from scanplan.runner.artifacts.merging.sorting import merged

LINES = st.lists(st.binary(max_size=3), max_size=30).map(sorted)


def in_batches(lines: list[bytes], size: int) -> Iterator[list[bytes]]:
    return (lines[start : start + size] for start in range(0, len(lines), size))


@given(st.lists(st.tuples(LINES, st.integers(min_value=1, max_value=8)), max_size=6))
def test_batches_are_merged_as_their_lines_would_be(sequences: list[tuple[list[bytes], int]]) -> None:
    """Lost otherwise: a finding between two batches, or the order that the next scan's history relies on."""
    batches = merged([in_batches(lines, size) for lines, size in sequences])
    assert list(itertools.chain.from_iterable(batches)) == list(heapq.merge(*(lines for lines, _ in sequences)))


def test_no_more_is_read_than_the_next_batch_needs() -> None:
    """Lost otherwise: a merge whose memory grows with the findings."""
    read = []

    def sequence() -> Iterator[list[bytes]]:
        for number in range(100):
            read.append(number)
            yield [b"%03d" % number]

    batches = merged([sequence(), sequence()])
    next(batches)
    assert len(read) < 6
