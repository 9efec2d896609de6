"""Undoes the encodings of texts, and tells where each character came from.

A scanned host may echo a value as it was sent, percent-encoded, as HTML or JSON writes it, or quoted for a shell. It may do
several of these in turn. All of them become the same once nothing is left to decode, so that a value is found by searching
plain text.
"""

from __future__ import annotations

import base64
import bisect
import functools
import html
import re
from urllib.parse import unquote

_ROUNDS = 5
"""Encodings on top of each other that are undone."""
_INTRODUCERS = "%&\\'="
_UNIT = re.compile(
    r"(?:%[89A-Fa-f][0-9A-Fa-f])+|%[0-7][0-9A-Fa-f]"
    r"|%u[0-9A-Fa-f]{4}|=3[Dd]"
    r"|&(?:#[0-9]{1,20};?|#[xX][0-9A-Fa-f]{1,20};?|(?:amp|lt|gt|quot|apos)\b;?|[A-Za-z]{2,31};)"
    r"|\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\u\{[0-9A-Fa-f]{1,8}\}|\\U[0-9A-Fa-f]{8}"
    r"|(?:\\x[89A-Fa-f][0-9A-Fa-f])+|\\x[0-7][0-9A-Fa-f]|\\[01][0-7]{2}|\\[^A-Za-z0-9]"
    r"|'\\''|'\"'\"'"
)
_LETTERS = re.compile(r"[A-Za-z0-9]")
_LOWER = bytes(range(128)).lower() + bytes(range(128, 256))
_SEPARATORS = bytes(octet for octet in range(256) if not (octet < 128 and chr(octet).isalnum()))
_Unit = tuple[int, int, int, int]
"""Where a decoded unit begins and ends in the decoded text, and where in the text that it came from."""


class Decoded:
    """A text without its encodings."""

    def __init__(self, text: str) -> None:
        self._given = text
        self._rounds: list[list[_Unit]] | None = None
        for _ in range(_ROUNDS):
            before = text
            if any(introducer in text for introducer in _INTRODUCERS):
                text = _UNIT.sub(_replacement, text)
            if text == before:
                break
        self.text = text.replace("+", " ")
        """As forms write it, a plus is a blank; so it is in values that are searched for."""

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of `text`, which is not empty, stands in the text as it was given."""
        if self._rounds is None:
            self._rounds = _rounds(self._given)
        for units in reversed(self._rounds):
            start, end = _before(units, start)[0], _before(units, end - 1)[1]
        return start, end


def plain(value: str) -> str:
    """A value as it reads in a decoded text."""
    return Decoded(value).text


def dense(value: str) -> set[str]:
    """A value in encodings of several characters at once: hex, and base64 at each of its three alignments."""
    content = value.encode(errors="surrogateescape")
    found = {content.hex(), content.hex().upper()}
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + content).decode()
        core = whole[(offset * 8 + 5) // 6 : (offset + len(content)) * 8 // 6]
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return found


def squeezed(text: str) -> str:
    """Its ASCII letters and digits alone, in lower case: equal however a value is wrapped, separated, or capitalized."""
    return text.encode("ascii", "ignore").translate(_LOWER, _SEPARATORS).decode()


class Squeezed:
    """A text's letters and digits, and the way back to where they stand."""

    def __init__(self, text: str) -> None:
        self.text = squeezed(text)
        self._given = text
        self._places: list[int] = []

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of `text`, which is not empty, stands in the text as it was given."""
        self._places = self._places or [match.start() for match in _LETTERS.finditer(self._given)]
        return self._places[start], self._places[end - 1] + 1


def _replacement(unit: re.Match[str]) -> str:
    return _character(unit[0])


def _rounds(text: str) -> list[list[_Unit]]:
    """The units of each round of decoding, which costs more than decoding: asked only where something was found."""
    rounds: list[list[_Unit]] = []
    while len(rounds) < _ROUNDS:
        units: list[_Unit] = []
        shift = 0
        for match in _UNIT.finditer(text):
            start, end = match.span()
            character = _character(match[0])
            if character == match[0]:
                continue
            length = len(character)
            units.append((start - shift, start - shift + length, start, end))
            shift += end - start - length
        rounds.append(units)
        before, text = text, _UNIT.sub(_replacement, text)
        if text == before:
            break
    return rounds


@functools.lru_cache(4096)
def _character(unit: str) -> str:
    """What one encoded unit stands for; itself where it is none after all."""
    try:
        match unit[0]:
            case "%" if unit[1] == "u":
                return chr(int(unit[2:], 16))
            case "=":
                return "="
            case "%":
                return unquote(unit, errors="surrogateescape")
            case "&":
                return html.unescape(unit)
            case "'":
                return "'"
            case _ if unit[1] == "U":
                return chr(int(unit[2:], 16))
            case _ if unit[1] == "u":
                return _utf16(unit)
            case _ if unit[1] == "x":
                return bytes.fromhex(unit.replace("\\x", "")).decode(errors="surrogateescape")
            case _ if unit[1].isdigit():
                return chr(int(unit[1:], 8))
            case _:
                return unit[1]
    except (ValueError, OverflowError):
        return unit


def _utf16(unit: str) -> str:
    if unit[2] == "{":
        return chr(int(unit[3:-1], 16))
    return bytes.fromhex(unit.replace("\\u", "")).decode("utf-16-be", errors="surrogatepass")


def _before(units: list[_Unit], at: int) -> tuple[int, int]:
    """Begin and end of what the character at this place was decoded from."""
    index = bisect.bisect_right(units, at, key=lambda unit: unit[0]) - 1
    if index < 0:
        return at, at + 1
    _, end, start_before, end_before = units[index]
    if at < end:
        return start_before, end_before
    return end_before + at - end, end_before + at - end + 1
