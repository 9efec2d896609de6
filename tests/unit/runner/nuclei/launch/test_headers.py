"""Headers on their way to Nuclei: one that is lost on it is a scan without authentication, which finds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scanplan.api.errors import NucleiBinaryError
from scanplan.runner.nuclei.launch import headers
from scanplan.runner.nuclei.launch.command import Workspace
from scanplan.runner.nuclei.launch.credentials import Credentials


def secret(folder: Path, **values: str) -> str:
    for name, value in values.items():
        (folder / name.replace("_", "-")).write_text(value)
    (folder / "..data").mkdir()
    return str(folder)


def workspace(folder: Path) -> Workspace:
    root = folder / "..workspace"
    root.mkdir()
    return Workspace(root)


def test_each_key_is_a_header_and_goes_by_file(tmp_path: Path) -> None:
    read = headers.read(
        {"User-Agent": "Acme, \"scan\" 'x'"}, secret(tmp_path, Authorization="Bearer abc\n", X_Team=" red")
    )
    place = workspace(tmp_path)
    assert read.write(place) == ["-H", str(place.headers)]
    assert place.headers.read_text() == "User-Agent: Acme, \"scan\" 'x'\nAuthorization: Bearer abc\nX-Team: red\n"
    assert place.headers.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("value", ["p4ss#w0rd#1", "#", "a{{b}}", "a%7B%7bb", "a # b"])
def test_what_a_line_can_not_hold_goes_by_the_secrets_file(tmp_path: Path, value: str) -> None:
    read = headers.read({"X-Team": "red"}, secret(tmp_path, X_Api_Key=value))
    place = workspace(tmp_path)
    assert Credentials(headers=read).write(place) == ["-H", str(place.headers), "-sf", str(place.secrets)]
    assert place.headers.read_text() == "X-Team: red\n"
    (entry,) = json.loads(place.secrets.read_text())["static"]
    assert entry == {"type": "Header", "domains-regex": [".*"], "headers": [{"key": "X-Api-Key", "value": value}]}
    assert place.secrets.stat().st_mode & 0o077 == 0


def test_without_headers_there_are_no_files(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    assert headers.read({}, "").write(place) == []
    assert list(place.root.iterdir()) == []


def test_only_those_of_the_secret_are_kept_out_of_results(tmp_path: Path) -> None:
    read = headers.read({"User-Agent": "template security headers"}, secret(tmp_path, X_Key="s3cr3t-t0k3n"))
    assert (
        Credentials(headers=read).redactor().text("template security headers s3cr3t-t0k3n")
        == "template security headers [redacted]"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bad name", "value"),
        ("X#Y", "value"),
        ("X-Ok", "one\r\nInjected: two"),
        ("X-Ok", "one\0two"),
        ("X-Ok", " \n"),
        ("X-Ok", "a" * 20_000),
        ("Content-Length", "4"),
        ("transfer-encoding", "chunked"),
    ],
)
def test_what_could_not_be_sent_as_it_is_written_is_refused_without_quoting_it(
    tmp_path: Path, name: str, value: str
) -> None:
    (tmp_path / name).write_text(value, newline="")
    with pytest.raises(NucleiBinaryError, match="headersFrom") as refused:
        headers.read({}, str(tmp_path))
    assert name in refused.value.message
    assert "Injected" not in refused.value.message


def test_two_headers_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NucleiBinaryError, match="x-key"):
        headers.read({"x-key": "one"}, secret(tmp_path, X_Key="two"))
    (tmp_path / "x-key").write_text("three")
    with pytest.raises(NucleiBinaryError, match="is the same header as"):
        headers.read({}, str(tmp_path))
