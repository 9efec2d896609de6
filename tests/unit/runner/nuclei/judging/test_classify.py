"""The table of ends: what the status says about a failed scan, and whether it is tried again.

The wordings are the real program's (3.10), recorded.
"""

from __future__ import annotations

import signal

import pytest

from scanplan.api.documents.report import TemplateNotRun
from scanplan.api.documents.words import ErrorClass
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.judging.classify import Ended, StopCause, doubt, failure
from scanplan.runner.nuclei.judging.coverage import Coverage
from scanplan.runner.nuclei.judging.reachability import Verdict

FATAL, TEMPORARY, UNKNOWN = ErrorClass.FATAL, ErrorClass.TEMPORARY, ErrorClass.UNKNOWN
COULD_NOT_RUN = "[FTL] Could not run nuclei: "
NO_RUNNER = "[FTL] Could not create runner: "

ENDS = [
    # exit code, stdout, stderr → class, reason
    (1, "", f"{COULD_NOT_RUN}no templates provided for scan", FATAL, Reason.NO_TEMPLATES_LOADED),
    (
        1,
        "",
        f"{NO_RUNNER}could not create input provider: could not open targets file: open /w/targets.txt: no such file or directory",
        FATAL,
        Reason.NUCLEI_BINARY_ERROR,
    ),
    (
        1,
        "",
        f'{NO_RUNNER}cause="read-only file system" chain="could not create config file"',
        TEMPORARY,
        Reason.SCANNER_ENVIRONMENT,
    ),
    (
        1,
        "",
        "[FTL] Could not create nuclei config file at /w/.templates-config.json: read-only file system",
        TEMPORARY,
        Reason.SCANNER_ENVIRONMENT,
    ),
    (
        1,
        "",
        "[FTL] Could not initialize protocols: could not create dialer: mkdir /w/tmp/nuclei2271513873: read-only file system",
        TEMPORARY,
        Reason.SCANNER_ENVIRONMENT,
    ),
    (
        1,
        "",
        "[FTL] Could not initialize protocols: could not create dialer: open /nonexistent: no such file or directory",
        TEMPORARY,
        Reason.SCANNER_ENVIRONMENT,
    ),
    (
        1,
        "",
        f"{NO_RUNNER}could not create temporary input file: open /tmp/nuclei3/LOG: too many open files",
        TEMPORARY,
        Reason.SCANNER_ENVIRONMENT,
    ),
    (
        1,
        "",
        f"{NO_RUNNER}could not create input provider: write /tmp/nuclei3/LOG: no space left on device",
        TEMPORARY,
        Reason.DISK_FULL,
    ),
    (
        1,
        "",
        "[FTL] Could not validate templates: errors occurred during template validation",
        FATAL,
        Reason.NO_TEMPLATES_LOADED,
    ),
    (
        1,
        "",
        "[FTL] Program exiting: both follow redirects and disable redirects specified",
        FATAL,
        Reason.INVALID_OPTIONS,
    ),
    (1, "", "[FTL] given config file '/nonexistent.yaml' does not exist", FATAL, Reason.NUCLEI_BINARY_ERROR),
    (2, "flag provided but not defined: -no-such-flag\nUsage:", "", FATAL, Reason.INVALID_OPTIONS),
    (2, 'invalid value "many" for flag -c: parse error', "", FATAL, Reason.INVALID_OPTIONS),
    (2, "flag needs an argument: -l", "", FATAL, Reason.INVALID_OPTIONS),
    (
        2,
        "",
        "panic: non-positive interval for NewTicker\n\ngoroutine 36 [running]:\ntime.NewTicker",
        UNKNOWN,
        Reason.SCANNER_PANIC,
    ),
    (2, "", "fatal error: concurrent map writes\n\ngoroutine 1 [running]:", UNKNOWN, Reason.SCANNER_PANIC),
    (
        2,
        "",
        "runtime: out of memory: cannot allocate 4194304-byte block\nfatal error: out of memory",
        UNKNOWN,
        Reason.SCANNER_PANIC,
    ),
    (2, "", "goroutine 7 gp=0xc000185340 m=nil [select]:\nruntime.gopark(0x1)", UNKNOWN, Reason.SCANNER_PANIC),
    (1, "", "[INF] Templates loaded for current scan: 1", UNKNOWN, Reason.UNKNOWN_ERROR),
    (1, "", "", UNKNOWN, Reason.UNKNOWN_ERROR),
    (77, "", "[INF] bye", UNKNOWN, Reason.UNKNOWN_ERROR),
    (127, "", "", FATAL, Reason.NUCLEI_BINARY_ERROR),
    (-signal.SIGKILL, "", "", TEMPORARY, Reason.SCANNER_KILLED),
    (-signal.SIGTERM, "", "", TEMPORARY, Reason.SCANNER_KILLED),
    (-signal.SIGSEGV, "", "", UNKNOWN, Reason.SCANNER_PANIC),
    # what a target answered is no reason
    (
        1,
        "",
        "[WRN] http://a.example: permission denied, no space left on device\n"
        + COULD_NOT_RUN
        + "no templates provided for scan",
        FATAL,
        Reason.NO_TEMPLATES_LOADED,
    ),
]


@pytest.mark.parametrize(("code", "output", "log", "error_class", "reason"), ENDS)
def test_ends(code: int, output: str, log: str, error_class: ErrorClass, reason: Reason) -> None:
    error = failure(Ended(return_code=code, output=output, log=log))
    assert error is not None
    assert (error.error_class, error.reason) == (error_class, reason)
    assert error.message[0].isupper()
    assert len(error.message.encode()) <= 1024


def test_exit_0_is_no_failure_by_itself() -> None:
    assert failure(Ended(return_code=0, log="[ERR] anything")) is None


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (StopCause.INTERRUPTED, Reason.INTERRUPTED),
        (StopCause.TIMEOUT, Reason.ATTEMPT_TIMEOUT),
        (StopCause.HUNG, Reason.SCANNER_HUNG),
        (StopCause.SCRATCH_FULL, Reason.DISK_FULL),
    ],
)
@pytest.mark.parametrize("code", [0, 1, 2, -2, -9])
def test_what_we_did_ourselves_decides_first(stop: StopCause, reason: Reason, code: int) -> None:
    error = failure(Ended(return_code=code, stop=stop, out_of_memory=True))
    assert error is not None
    assert (error.error_class, error.reason) == (TEMPORARY, reason)


def test_a_kill_by_the_kernel_is_told_from_others() -> None:
    error = failure(Ended(return_code=-9, out_of_memory=True))
    assert error is not None
    assert error.reason is Reason.OUT_OF_MEMORY
    assert "memory limit" in error.message


def test_the_message_quotes_the_line_that_says_most() -> None:
    error = failure(Ended(return_code=1, log="[INF] a\n[FTL] Could not run nuclei: the disk is on fire\n[INF] b"))
    assert error is not None
    assert "the disk is on fire" in error.message


BROKEN = (TemplateNotRun(template="broken.yaml", reason="no YAML"),)
BOTH = ("http://a", "http://b")
GOOD = {
    "templates_loaded": 3,
    "covered": Coverage(loaded=3, run=3),
    "endpoints": 2,
    "excluded": 0,
    "verdict": Verdict(scanned=BOTH),
    "shortages": {},
    "finished": True,
}


@pytest.mark.parametrize(
    ("change", "error_class", "reason", "word"),
    [
        ({"templates_loaded": None}, FATAL, Reason.NUCLEI_BINARY_ERROR, "not Nuclei"),
        ({"templates_loaded": 0}, FATAL, Reason.NO_TEMPLATES_LOADED, "no template"),
        ({"templates_loaded": 0, "covered": Coverage(not_run=BROKEN)}, FATAL, Reason.NO_TEMPLATES_LOADED, "no YAML"),
        ({"covered": Coverage(run=2, refused=BROKEN)}, FATAL, Reason.TEMPLATES_NOT_FOUND, "broken.yaml"),
        ({"covered": Coverage(loaded=1, not_run=BROKEN)}, FATAL, Reason.NOTHING_SENT, "broken.yaml"),
        ({"verdict": Verdict(unreachable=BOTH)}, TEMPORARY, Reason.ENDPOINTS_UNREACHABLE, "None of the 2"),
        ({"verdict": Verdict(unreachable=BOTH, denied=BOTH)}, FATAL, Reason.TARGET_DENIED, "2 of 2"),
        (
            {"verdict": Verdict(skipped=BOTH, stopped=BOTH, warnings=("2 stopped",))},
            TEMPORARY,
            Reason.ENDPOINTS_UNREACHABLE,
            "stopped",
        ),
        ({"excluded": 1}, FATAL, Reason.TARGET_DENIED, "1 of 2"),
        ({"finished": False}, TEMPORARY, Reason.ENDPOINTS_UNREACHABLE, "before its last step"),
        ({"shortages": {"too many open files": 7}}, TEMPORARY, Reason.SCANNER_ENVIRONMENT, "open files"),
    ],
)
def test_an_exit_0_is_doubted(change: dict[str, object], error_class: ErrorClass, reason: Reason, word: str) -> None:
    error = doubt(**(GOOD | change))  # type: ignore[arg-type]
    assert error is not None
    assert (error.error_class, error.reason) == (error_class, reason)
    assert word in error.message


def test_a_success_with_some_silent_endpoints_is_one() -> None:
    silent = Verdict(scanned=("http://b",), unreachable=("http://a",))
    assert doubt(**(GOOD | {"verdict": silent})) is None  # type: ignore[arg-type]
