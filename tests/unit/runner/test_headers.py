"""Headers from a Secret: a secret that reaches a finding, a log or the argv is a secret lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scanplan.api.errors import NucleiBinaryError
from scanplan.runner.nuclei import headers


def secret(folder: Path, **values: str) -> str:
    for name, value in values.items():
        (folder / name.replace("_", "-")).write_text(value)
    (folder / "..data").mkdir()
    return str(folder)


def test_each_key_is_a_header(tmp_path: Path) -> None:
    read = headers.read(secret(tmp_path, Authorization="Bearer abcdef123456\n", X_Team="red"))
    assert read.lines == ("Authorization: Bearer abcdef123456", "X-Team: red")


def test_without_a_secret_nothing_is_changed() -> None:
    assert headers.read("").redact(b"Bearer abcdef123456") == b"Bearer abcdef123456"


@pytest.mark.parametrize(
    "echo",
    [
        "Authorization: Bearer abcdef123456",
        "the token is abcdef123456",
        json.dumps({"request": 'GET / HTTP/1.1\r\nCookie: a="q&<>x";b\r\n'}),
        '{"request":"a=\\"q\\u0026\\u003c\\u003ex\\";b"}',
    ],
)
def test_what_a_scanned_application_echoes_is_blotted_out(tmp_path: Path, echo: str) -> None:
    read = headers.read(secret(tmp_path, Authorization="Bearer abcdef123456", Cookie='a="q&<>x";b'))
    redacted = read.redact(echo.encode()).decode()
    assert "[redacted]" in redacted
    assert "abcdef123456" not in redacted
    assert "q&<>x" not in redacted
    assert "q\\u0026" not in redacted


def test_short_values_stay_because_they_would_garble_findings(tmp_path: Path) -> None:
    assert headers.read(secret(tmp_path, X_Team="red")).redact(b"hundred") == b"hundred"


@pytest.mark.parametrize(("name", "value"), [("bad name", "value"), ("X-Ok", "one\r\nInjected: two")])
def test_what_would_be_another_header_is_refused(tmp_path: Path, name: str, value: str) -> None:
    (tmp_path / name).write_text(value)
    with pytest.raises(NucleiBinaryError, match="headersFrom"):
        headers.read(str(tmp_path))
