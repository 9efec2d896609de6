"""What Nuclei's stderr tells, in the real program's wording (3.10)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.runner.nuclei.judging.statistics import ScannerLog

REAL = b"""\
[INF] Current nuclei version: v3.10.0 (unknown) - remove '-duc' flag to enable update checks
[INF] Current nuclei-templates version:  (unknown) - remove '-duc' flag to enable update checks
[INF] New templates added in latest release: 0
[INF] Templates loaded for current scan: 44
[INF] Targets loaded for current scan: 6
[INF] Number of hosts excluded from input: 1
[INF] Skipped 127.0.0.1:47525 from target list as found unresponsive 3 times
[INF] Skipped 127.0.0.1:18098 from target list as found unresponsive permanently: cause="port closed or filtered"
[ERR] Could not find template '/t/nix.yaml': could not find file: open /t/nix.yaml: no such file or directory
[ERR] Error occurred loading template /t/broken.yaml: cause="Could not load template /t/broken.yaml: yaml: line 3"
"""


def statistics(requests: int, total: int, percent: str = "0") -> bytes:
    return (
        f'{{"duration":"0:00:02","errors":"2","hosts":"1","matched":"3","percent":"{percent}","requests":"{requests}",'
        f'"rps":"2","startedAt":"2026-11-24T06:39:43.3Z","templates":"1","total":"{total}"}}'
    ).encode()


def test_the_real_log_is_understood() -> None:
    log = ScannerLog(0.0)
    for line in REAL.splitlines():
        assert log.feed(line, 1.0)
    assert log.version == "v3.10.0"
    assert (log.templates_loaded, log.targets_loaded, log.excluded) == (44, 6, 1)
    assert log.skipped == {"127.0.0.1:47525", "127.0.0.1:18098"}
    assert log.not_loaded.keys() == {"/t/nix.yaml", "/t/broken.yaml"}


NOT_LOADED = [
    (
        b'[WRN] cause="Could not load template /t/a b.yaml: yaml: line 3: field paths not found"',
        "/t/a b.yaml",
        "line 3: field paths",
    ),
    (b'[WRN] -headless flag is required for headless template "/t/h.yaml".', "/t/h.yaml", "-headless flag is required"),
    (
        b"[WRN] Could not parse template /t/f.yaml: could not compile flow: SyntaxError: Line 1:11",
        "/t/f.yaml",
        "could not compile flow",
    ),
    (b'[WRN] Unverified code template at "/t/c.yaml"', "/t/c.yaml", "Unverified code template"),
    (b"[WRN] /t/dos.yaml excluded from default run using .nuclei-ignore", "/t/dos.yaml", "excluded from default run"),
    (
        b"[DBG] Skipping duplicate template ID 'dup' from path '/t/dup2.yaml'",
        "/t/dup2.yaml",
        "duplicate template ID 'dup'",
    ),
]


@pytest.mark.parametrize(("line", "path", "why"), NOT_LOADED)
def test_why_a_template_was_not_loaded_is_read_from_the_log(line: bytes, path: str, why: str) -> None:
    log = ScannerLog(0.0)
    log.feed(line, 1.0)
    assert list(log.not_loaded) == [path]
    assert why in log.not_loaded[path]


NOT_SENT = [
    (
        b"[WRN] [v] Could not make http request for http://h:1: unresolved variables found: token",
        "unresolved variables found: token",
    ),
    (
        b'[WRN] [v] Could not execute request for localhost: cause="interactsh client not initialized"',
        "interactsh client",
    ),
    (b"[WRN] [v] Could not make network request for (h:9) : could not connect to server", "could not connect"),
    (
        b"[WRN] [v] Could not execute step on http://h: cause=\"[v] invalid request id '9' provided\"",
        "invalid request id",
    ),
    (b"[WRN] [v] Could not execute code: context deadline exceeded", "deadline"),
    (
        b'[WRN] [v] Could not execute code: cause="signal: killed" chain="failed to exec command got: x for y : z"',
        "killed",
    ),
]


@pytest.mark.parametrize(("line", "why"), NOT_SENT)
def test_why_a_request_was_not_sent_is_read_from_the_log(line: bytes, why: str) -> None:
    log = ScannerLog(0.0)
    log.feed(line, 1.0)
    assert why in log.not_sent["v"]


def test_a_program_that_ends_with_another_code_has_run() -> None:
    """It may say so that it found nothing."""
    log = ScannerLog(0.0)
    log.feed(
        b'[WRN] [v] Could not execute code: cause="exit status 3" chain="failed to exec command got: x for y : z"', 1.0
    )
    assert log.not_sent == {}


def test_remarks_about_single_requests_dont_crowd_out_the_log() -> None:
    log = ScannerLog(0.0)
    log.feed(b"[INF] kept", 1.0)
    kept = [log.feed(b"[WRN] [v] Could not execute request for h: x", 1.0) for _ in range(500)]
    assert 0 < kept.count(True) <= 100
    assert not log.feed(b"[VER] [v] Sent HTTP request to http://h", 1.0)
    assert log.text == "[INF] kept"


def test_what_nuclei_lists_on_stdout_is_no_finding() -> None:
    log = ScannerLog(0.0)
    assert log.listed(b"[dup] A name [x] (@t) [info]")
    assert log.listed(b"\taes_cbc(arg1, arg2, arg3 interface{}) interface{}")
    assert log.listed(b"[\x1b[33mWRN\x1b[0m] Template dup is not signed or tampered")
    assert not log.listed(b"[1,2]")
    assert not log.listed(b"this is no JSON")
    assert log.loaded == {"dup"}


def test_the_beginning_of_a_crash_is_remembered_behind_a_long_trace() -> None:
    log = ScannerLog(0.0)
    log.feed(b"fatal error: runtime: out of memory", 1.0)
    for number in range(500):
        log.feed(b"goroutine %d gp=0xc000 m=nil [select]:" % number, 1.0)
    assert log.text.startswith("fatal error: runtime: out of memory")


def test_colours_dont_matter() -> None:
    log = ScannerLog(0.0)
    log.feed(b"[\x1b[34mINF\x1b[0m] Templates loaded for current scan: \x1b[1m7\x1b[0m", 1.0)
    assert log.templates_loaded == 7
    assert "\x1b" not in log.text


@pytest.mark.parametrize(
    ("requests", "total", "printed", "percent"),
    [(0, 0, "9223372036854775808", 0), (5, 200, "2", 2), (200, 200, "100", 100), (210, 200, "105", 100)],
)
def test_percent_is_computed_and_bounded(requests: int, total: int, printed: str, percent: int) -> None:
    log = ScannerLog(0.0)
    assert not log.feed(statistics(requests, total, printed), 1.0)
    assert log.percent == percent


def test_a_scan_moves_only_when_requests_change() -> None:
    log = ScannerLog(0.0)
    log.feed(statistics(5, 10), 5.0)
    log.feed(statistics(5, 10), 10.0)
    log.feed(b"[INF] something", 12.0)
    assert log.moved_at == 5.0
    log.feed(statistics(6, 10), 15.0)
    assert log.moved_at == 15.0


@pytest.mark.parametrize("line", [b"{", b"{}x", b'{"requests":"many"}', b'{"requests":5}', b"\xff\xfe", b""])
def test_a_strange_line_is_a_log_line(line: bytes) -> None:
    log = ScannerLog(0.0)
    assert log.feed(line, 1.0) == bool(line)
    assert log.requests == 0


@given(st.binary(max_size=200))
def test_nothing_on_stderr_can_break_the_runner(line: bytes) -> None:
    ScannerLog(0.0).feed(line, 1.0)
