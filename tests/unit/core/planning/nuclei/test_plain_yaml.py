"""YAML of others: whatever its text is, it is read, or refused in words that quote nothing of it."""

from __future__ import annotations

import pytest

from scanplan.core.planning.nuclei import plain_yaml

BYTES, DEPTH = 1 << 20, 64
MISFITS = [
    "!!timestamp hunter2", "!!bool hunter2", "!!int ''", "!!int hunter2", "!!float ''", "!!float hunter2", "0b_", "!!int 0x",
    "!!timestamp 2026-13-01", "9" * 5_000, "!!int 1:hunter2",
]  # fmt: skip
"""Values that PyYAML's constructors raise another error for than its own."""


@pytest.mark.parametrize("value", MISFITS)
@pytest.mark.parametrize("around", ["{}", "password: {}", "[{}]", "a: 1\n---\nb: {}"])
def test_a_value_that_its_tag_does_not_allow_is_told_and_not_quoted(value: str, around: str) -> None:
    """Lost otherwise: the value, in the status of a plan, and the plan, which would be tried again for ever."""
    with pytest.raises(ValueError, match=r"^has a value that its tag does not allow: quote it, or leave the tag out$"):
        plain_yaml.read(around.format(value).encode(), BYTES, DEPTH)


@pytest.mark.parametrize("text", ["{hunter2", "!!binary ä", "!hunter2 x", "? {a: b}\n: c", "!!omap hunter2", "\x00"])
def test_what_is_no_yaml_is_told_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is no YAML$"):
        plain_yaml.read(text.encode(), BYTES, DEPTH)


def test_words_and_dates_are_texts_as_nuclei_has_them() -> None:
    assert plain_yaml.read(b"[yes, on, 2026-01-01, true, 7, null]", BYTES, DEPTH) == [
        "yes", "on", "2026-01-01", True, 7, None,
    ]  # fmt: skip
