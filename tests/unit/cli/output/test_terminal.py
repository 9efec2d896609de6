"""What commands print: texts of clusters, claims and hosts are shown, and nothing in them is obeyed."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.live import Live
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

import scanplan
from scanplan.cli.main import app
from scanplan.cli.output import terminal
from scanplan.client.cluster import cluster as clusters
from scanplan.client.cluster import reader
from scanplan.client.cluster.failure import Failure

SOURCE = Path(scanplan.__file__).parent / "cli"
ESCAPES = (
    "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x1b]8;;http://x\x1b\\", "\r", "\b\b", "\x7f", "\u202e", "\u2066", "\u200b",
    "\u2028", "\ue000", "\ud800", "[bold]", ":skull:", "\x1bPq", "\U000e0041",
)  # fmt: skip
HOSTILE = "before" + "".join(ESCAPES) + "\nafter"
TEXTS = st.one_of(st.text(), st.builds("".join, st.lists(st.sampled_from([*ESCAPES, "a", " ", "\n"]), max_size=8)))


def obeyed(text: str) -> list[str]:
    """Characters that a terminal would obey, or that hide or reorder others."""
    return [
        each
        for each in text
        if unicodedata.category(each) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} and each not in "\n\t"
    ]


def printed(what: Any, *, live: bool = False) -> str:
    file = io.StringIO()
    console = terminal.written_to(file)
    if live:
        with Live(what, console=console, auto_refresh=False):
            pass
    else:
        console.print(what)
    return file.getvalue()


@given(TEXTS)
def test_whatever_is_printed_is_shown_and_not_obeyed(text: str) -> None:
    """Lost otherwise: the analyst's terminal, to a scanned host, or to whoever names a file on a claim."""
    table = Table(text.replace("[", ""), title=Text(text))
    table.add_row(Text(text))
    table.add_row(terminal.line(text))
    for what in (text, Text(text), Text(text, "red"), table, [text], {text: text}):
        assert obeyed(printed(what)) == []
    assert obeyed(printed(table, live=True)) == []


@given(TEXTS)
def test_a_line_stays_one_line(text: str) -> None:
    """Lost otherwise: a row that isn't there, such as `critical 0`, by a line break in a name."""
    assert printed(terminal.line(text)).count("\n") == 1


@given(st.dictionaries(TEXTS.filter(str.isprintable), TEXTS.filter(lambda text: "\ud800" not in text)))
def test_json_is_ascii_and_says_the_same(value: dict[str, str]) -> None:
    """Lost otherwise: the terminal, or what a program reads."""
    file = io.StringIO()
    terminal.written_to(file).print_json(data=value, ensure_ascii=True)
    assert obeyed(file.getvalue()) == []
    assert json.loads(file.getvalue()) == value


class Screen(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_raw_findings_are_made_visible_on_a_terminal_only() -> None:
    """Lost otherwise: the terminal, by `-o ndjson`; or the exact bytes, for a program."""
    screen, pipe = Screen(), io.BytesIO()
    for target in (screen, pipe):
        terminal.pour([HOSTILE.encode(errors="surrogatepass"), b"\n"], target)
    assert obeyed(screen.getvalue().decode()) == []
    assert pipe.getvalue() == HOSTILE.encode(errors="surrogatepass") + b"\n"


def test_all_commands_print_by_the_terminal() -> None:
    """Lost otherwise: the next command, which writes past it."""
    past = re.compile(
        r"\bConsole\((?!\))|typer\.echo\(|(?<![.\w])(?<!def )print\(|sys\.std(?:out|err)\.write|click\.echo"
    )
    own = {"output/terminal.py": 10, "commands/version.py": 1}
    found = {str(file.relative_to(SOURCE)): past.findall(file.read_text()) for file in SOURCE.rglob("*.py")}
    assert {name: hits for name, hits in found.items() if len(hits) > own.get(name, 0)} == {}


def test_hostile_file_names_are_listed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: `artifacts list --all`, by a file whose name looks like a row, or a link that leads nowhere."""
    names = ["a\nb", "1\t2", "\udcff", "\x1b[2J", "plain"]
    (tmp_path / "task").mkdir()
    for name in names:
        (tmp_path / "task" / name).write_bytes(b"xyz")
    (tmp_path / "task/link").symlink_to("nowhere")

    def run(_self: object, program: str, path: str) -> Iterator[bytes]:
        yield subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), path], capture_output=True, check=True
        ).stdout

    monkeypatch.setattr(reader.Reader, "_run", run)
    found = dict(reader.Reader(None, "", "").files("task"))  # type: ignore[arg-type]
    assert found == dict.fromkeys(names, 3)


class Forged:
    """A cluster whose every text is hostile."""

    namespace = "team"
    address = "https://server"

    def __init__(self) -> None:
        metadata = {
            "name": "nightly",
            "namespace": "team",
            "uid": "1",
            "generation": 1,
            "creationTimestamp": "2026-11-24T05:59:00Z",
            "labels": {"app.kubernetes.io/component": "scanner"},
        }
        ready = {
            "type": "Ready",
            "status": "False",
            "reason": "Failed",
            "message": HOSTILE.replace("\ud800", ""),
            "lastTransitionTime": "2026-11-24T06:00:00Z",
        }
        files = [{"name": f"{HOSTILE.replace(chr(0xD800), '')}.ndjson", "bytes": 12, "sha256": "0" * 64}]
        self._plan = {
            "metadata": metadata,
            "spec": {"endpoints": ["a.example"], "templates": ["t"]},
            "status": {
                "observedGeneration": 1,
                "phase": "Failed",
                "progress": ready["message"],
                "duration": ready["message"],
                "taskId": "scan-1",
                "conditions": [ready, {**ready, "type": "Stalled"}],
                "artifacts": {"claimName": "claim", "path": "p", "complete": False, "files": files},
                "scanner": {"image": "i"},
            },
        }
        self._pod = {
            "metadata": {**metadata, "resourceVersion": "1"},
            "status": {
                "phase": "Failed",
                "reason": HOSTILE,
                "message": HOSTILE,
                "containerStatuses": [
                    {"name": "scanner", "state": {"terminated": {"exitCode": 3, "message": HOSTILE}}}
                ],
            },
        }

    def named(self, *_: Any) -> Any:
        return self._plan

    def listed(self, *_: Any, **__: Any) -> Iterator[Any]:
        yield self._plan

    def jobs(self, _: Any) -> list[Any]:
        failed = {"type": "Failed", "status": "True", "reason": HOSTILE, "message": HOSTILE}
        return [{**self._pod, "spec": {}, "status": {"conditions": [failed]}}]

    def pods(self, _: Any) -> list[Any]:
        return [self._pod]

    def events(self, *_: Any) -> list[Any]:
        return [{"metadata": self._plan["metadata"], "type": "Warning", "reason": HOSTILE, "message": HOSTILE}]

    def path(self, *_: Any, **__: Any) -> str:
        return ""

    def each(self, *_: Any) -> Iterator[Any]:
        yield {"metadata": {"name": HOSTILE}, "status": {"used": {HOSTILE: "1"}, "hard": {HOSTILE: "1"}}}

    def log(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield HOSTILE.replace("\n", "").encode(errors="surrogatepass")
        event = {"time": HOSTILE, "event": "warning", "shard": 0, "message": HOSTILE}
        yield json.dumps(event, ensure_ascii=False).encode(errors="surrogatepass")
        yield json.dumps(event).encode()


@pytest.mark.parametrize(
    "words",
    [
        "get", "get nightly", "get -o wide", "get -o wide -A", "get -o name", "get -o json", "explain nightly", "logs nightly",
        "logs nightly --raw", "logs nightly --follow", "artifacts list nightly",
    ],
)  # fmt: skip
def test_no_command_obeys_a_forged_cluster(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: the terminal of whoever looks at somebody else's plan."""
    monkeypatch.setattr(clusters, "connect", lambda *_: Forged())
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 0, done.output
    assert done.output
    assert obeyed(done.output) == []


def test_no_failure_obeys_what_a_server_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: the same by an error message, such as an admission webhook's."""

    def refuse(*_: Any) -> None:
        raise Failure(HOSTILE, HOSTILE)

    monkeypatch.setattr(clusters, "connect", refuse)
    done = CliRunner().invoke(app, ["get"])
    assert "before" in done.output
    assert obeyed(done.output) == []


def closed() -> int:
    """A pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    return write


def test_output_goes_on_without_a_reader() -> None:
    """Lost otherwise: an exit code, or the rest of a command's work, since somebody looked at the first lines only."""
    with os.fdopen(closed(), "w", encoding="utf-8") as lines:
        console = terminal.written_to(lines)
        console.print("first")
        console.print("second")
    with os.fdopen(closed(), "wb") as content:
        terminal.pour([b"x" * 100_000, b"y"], content)
    with os.fdopen(closed(), "w", encoding="utf-8") as lines:
        console = terminal.written_to(lines)
        console.endless = True
        with pytest.raises(terminal.Unread):
            console.print("first")


ON_A_CLUSTER = """
import itertools, sys
from scanplan.cli import changes
from scanplan.cli.main import app
from scanplan.client.cluster import cluster
from tests.unit.cli.output.test_terminal import Forged, Unchanging

Forged.log = lambda *_, **__: itertools.repeat(b"a line")
cluster.connect = lambda *_: Forged()
changes.Changes = Unchanging
app(sys.argv[1:])
"""


class Unchanging:
    """The plan of `Forged`, which is told again and again with another message."""

    def __init__(self, *_: Any) -> None:
        self._number = 0

    def next(self, _: float) -> list[Any]:
        plan = Forged().named()
        self._number += 1
        plan["status"]["conditions"][1]["message"] = f"message {self._number}"
        return [plan]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("get", 0),
        ("logs nightly --follow", 0),
        ("watch", 0),
        ("watch nightly", 1),
    ],
)
def test_who_stops_reading_ends_what_has_no_end_and_changes_no_exit_code(words: str, code: int) -> None:
    """Lost otherwise: the answer of a command that ends with 0 or 1 by the size of a pipe; or a prompt after `watch | head`."""
    assert unread(["-c", ON_A_CLUSTER, *words.split()]) == code


def unread(arguments: list[str]) -> int:
    """The exit code of a program whose output nobody reads; it may say nothing about that."""
    pipe = closed()
    done = subprocess.run([sys.executable, *arguments], stdout=pipe, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(pipe)
    assert b"pipe" not in done.stderr.lower(), done.stderr
    return done.returncode
