"""Parts of an artifact that are asked for over HTTP."""

from __future__ import annotations

import pytest

from scanplan.web.artifacts.files import span_of


@pytest.mark.parametrize(
    "header",
    [
        f"bytes={'9' * 5000}-",
        f"bytes=-{'9' * 5000}",
        f"bytes=0-{'9' * 5000}",
        "bytes=\u0663-",
        "bytes=-\u0663",
        "bytes=-",
        "bytes=0-0,2-2",
        "lines=0-1",
        "bytes=2-1",
    ],
)
def test_a_range_that_is_none_is_ignored(header: str) -> None:
    """Lost otherwise: the file, behind an internal error; any client can send such a header."""
    assert span_of(header, 10) is None


@pytest.mark.parametrize(
    ("header", "span"), [("bytes=2-3", (2, 4)), ("bytes=2-", (2, 10)), ("bytes=-3", (7, 10)), ("bytes=0-99", (0, 10))]
)
def test_a_range_is_what_http_says(header: str, span: tuple[int, int]) -> None:
    assert span_of(header, 10) == span
