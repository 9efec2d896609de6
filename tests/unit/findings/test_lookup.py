"""Single findings of a history: a wrong answer marks an old finding as new."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.findings import history, lookup
from scanplan.findings.history import Tally

from .sightings import records, sighting


def content(*numbers: int, name: str = "A name") -> bytes:
    seen = records(*(sighting(number, name=name) for number in numbers))
    return b"".join(history.continued((), seen, "1", lambda _: True, Tally()))


def reading(content: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, size: content[offset : offset + size]


@given(st.frozensets(st.integers(0, 2**128 - 1), max_size=120), st.integers(0, 2**128 - 1), st.integers(0, 300))
def test_each_finding_is_found_and_no_other(numbers: frozenset[int], other: int, length: int) -> None:
    lines = content(*numbers, name="n" * length)
    find = lookup.in_file(reading(lines), len(lines))
    for number in numbers:
        found = find(f"{number:032x}")
        assert found is not None
        assert found.identity == f"{number:032x}"
    assert (find(f"{other:032x}") is None) == (other not in numbers)


def test_a_large_history_is_not_read_whole() -> None:
    lines = content(*range(0, 40_000, 2))
    asked: list[int] = []

    def read(offset: int, size: int) -> bytes:
        asked.append(size)
        return lines[offset : offset + size]

    find = lookup.in_file(read, len(lines))
    assert find(f"{20_000:032x}") is not None
    assert find(f"{20_001:032x}") is None
    assert sum(asked) < len(lines) / 4


@pytest.mark.parametrize(
    "lines", [b"", b"\n", b"x" * 100_000, b"x\n" * 50_000, content(5)[:50], content(5) + b"x" * 90_000]
)
def test_a_file_that_somebody_else_wrote_ends_no_look_up(lines: bytes) -> None:
    assert lookup.in_file(reading(lines), len(lines))(f"{7:032x}") is None
