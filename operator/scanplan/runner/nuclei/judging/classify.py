"""Classifies the end of a Nuclei run: maps its exit code and output to an error class, a reason and a message.

Exit codes alone say little: Nuclei has 0, 1 and 2, and uses 0 for most of its failures. So `failure` first checks whether we
stopped Nuclei or the system killed it. Then it looks up exit code and wording in a table. An exit 0 is a success only
if `doubt` finds nothing wrong.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from scanplan.api.documents.report import TaskError
from scanplan.api.documents.words import ErrorClass
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.judging import coverage
from scanplan.runner.nuclei.judging.coverage import Coverage
from scanplan.runner.nuclei.judging.evidence import SHORTAGES
from scanplan.runner.nuclei.judging.reachability import Verdict

_QUOTED_CHARACTERS = 400
_TELLING = ("panic:", "fatal error:", "runtime: ", "flag ", "invalid ")
"""How the lines begin that explain a failure best."""


class StopCause(StrEnum):
    """Why we told Nuclei to stop."""

    INTERRUPTED = "interrupted"
    TIMEOUT = "timeout"
    HUNG = "hung"
    SCRATCH_FULL = "scratch-full"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a Nuclei process came to its end."""

    return_code: int
    """Exit code; negative: the signal that killed it, as the subprocess module has it."""
    stop: StopCause | None = None
    out_of_memory: bool = False
    """The kernel killed a process of this container for memory during the scan."""
    output: str = ""
    """Lines of stdout that were no findings."""
    log: str = ""
    """The last lines of stderr, without colours."""


class Rule(msgspec.Struct, frozen=True):
    """A row of the table: the first whose codes and wording fit decides."""

    codes: tuple[int, ...]
    wording: str
    error_class: ErrorClass
    reason: Reason
    advice: str


FATAL, TEMPORARY, UNKNOWN = ErrorClass.FATAL, ErrorClass.TEMPORARY, ErrorClass.UNKNOWN

TABLE = (
    Rule(
        (2,),
        r"^runtime: (?:out of memory|cannot allocate)|^fatal error: (?:runtime: )?(?:out of memory|cannot allocate)",
        UNKNOWN,
        Reason.SCANNER_PANIC,
        "Nuclei's own memory ran out: raise the pod's memory limit, or lower concurrency or bulk size.",
    ),
    Rule(
        (2,),
        r"^panic: |^fatal error: |^SIG[A-Z]+: |^goroutine \d+ ",
        UNKNOWN,
        Reason.SCANNER_PANIC,
        "Nuclei crashed; its log has the stack.",
    ),
    Rule(
        (1, 2),
        r"all proxies are dead",
        TEMPORARY,
        Reason.NETWORK_UNAVAILABLE,
        "The proxy does not answer. Check its URL, and the network policies of scan pods.",
    ),
    Rule(
        (1, 2),
        r"^flag provided but not defined|^invalid value .* for flag|^flag needs an argument|^invalid boolean|FTL\] Program exiting",
        FATAL,
        Reason.INVALID_OPTIONS,
        "This Nuclei does not take our options: use the scanner image of this release.",
    ),
    Rule(
        (1,),
        r"the chrome browser is not installed",
        FATAL,
        Reason.INVALID_OPTIONS,
        "The scanner image has no Chromium, which scanner.headless needs: set scanner.image to an image with Chromium.",
    ),
    Rule(
        (1,),
        r"could not pre-fetch secrets",
        UNKNOWN,
        Reason.LOGIN_FAILED,
        "A login of scanner.credentialsFrom failed, so nothing was scanned: check its template, input and variables.",
    ),
    Rule(
        (1,),
        r"no space left on device|disk quota exceeded",
        TEMPORARY,
        Reason.DISK_FULL,
        "Nuclei's temporary space is full: raise the pod's ephemeral storage or the size of its /tmp.",
    ),
    Rule(
        (1,),
        r"read-only file system|permission denied|could not create (?:config|nuclei config|temporary)|could not create dialer"
        r"|too many open files|cannot allocate memory|resource temporarily unavailable",
        TEMPORARY,
        Reason.SCANNER_ENVIRONMENT,
        "The pod does not give Nuclei what it needs: a writable /tmp, open files, or memory.",
    ),
    Rule(
        (1,),
        r"no templates provided for scan",
        FATAL,
        Reason.NO_TEMPLATES_LOADED,
        "Nuclei could use none of the templates: they are invalid, or excluded by its ignore list or severity levels.",
    ),
    Rule(
        (1,),
        r"could not find any templates with tech tag",
        FATAL,
        Reason.NO_TEMPLATES_LOADED,
        "Nuclei could use none of the templates that look for technologies, which an automatic scan needs.",
    ),
    Rule(
        (1,),
        r"Could not validate templates",
        FATAL,
        Reason.NO_TEMPLATES_LOADED,
        "Nuclei refused the templates, since some are invalid.",
    ),
    Rule(
        (1,),
        r"network is unreachable|temporary failure in name resolution|no route to host",
        TEMPORARY,
        Reason.NETWORK_UNAVAILABLE,
        "The pod's network could not be used.",
    ),
    Rule(
        (1,),
        r"Could not create runner|Could not initialize|given config file",
        FATAL,
        Reason.NUCLEI_BINARY_ERROR,
        "Nuclei could not start.",
    ),
    Rule((126, 127), r"", FATAL, Reason.NUCLEI_BINARY_ERROR, "The Nuclei program could not be run."),
)
"""Wordings are those of Nuclei 3.10 (cmd/nuclei/main.go, internal/runner), matched in output and log."""


def failure(ended: Ended) -> TaskError | None:
    """The error that a process ended with; None where it exited with 0 and we did not stop it."""
    if ended.stop is not None:
        return stopped(ended.stop)
    if ended.out_of_memory and ended.return_code != 0:
        return TaskError(
            error_class=TEMPORARY,
            reason=Reason.OUT_OF_MEMORY,
            message="A process of the scan was killed for memory. Raise the pod's memory limit, or lower concurrency, bulk "
            "size or endpoints per shard.",
        )
    if ended.return_code < 0:
        return _killed(-ended.return_code)
    if ended.return_code == 0:
        return None
    said = _said(ended)
    for rule in TABLE:
        if ended.return_code in rule.codes and re.search(rule.wording, said, re.MULTILINE | re.IGNORECASE):
            return TaskError(error_class=rule.error_class, reason=rule.reason, message=f"{rule.advice}{_quoted(ended)}")
    return TaskError(
        error_class=UNKNOWN,
        reason=Reason.UNKNOWN_ERROR,
        message=f"Nuclei ended with exit code {ended.return_code}.{_quoted(ended)}",
    )


def doubt(
    *,
    templates_loaded: int | None,
    covered: Coverage,
    endpoints: int,
    excluded: int,
    verdict: Verdict,
    shortages: Mapping[str, int],
    finished: bool,
) -> TaskError | None:
    """The error behind an exit 0; None where the scan is a success.

    Args:
        templates_loaded: the number in the log; None: the log has none.
        covered: what became of the templates.
        endpoints: of the shard.
        excluded: endpoints that Nuclei struck off its list because they are denied.
        verdict: what became of the endpoints.
        shortages: requests that failed for want of something on this machine, by the error's wording.
        finished: no step is left.
    """
    if templates_loaded is None:
        return TaskError(
            error_class=FATAL,
            reason=Reason.NUCLEI_BINARY_ERROR,
            message="The program ended well without saying that it loaded templates: it is not Nuclei, or not version 3.",
        )
    if covered.refused:
        return TaskError(
            error_class=FATAL,
            reason=Reason.TEMPLATES_NOT_FOUND,
            message=f"Templates that the plan names can't be run: {coverage.listed(covered.refused)}.",
        )
    if templates_loaded == 0:
        return TaskError(
            error_class=FATAL,
            reason=Reason.NO_TEMPLATES_LOADED,
            message=f"Nuclei loaded no template{_because(covered)}.",
        )
    if excluded or (endpoints and len(verdict.denied) >= endpoints):
        return TaskError(
            error_class=FATAL,
            reason=Reason.TARGET_DENIED,
            message=f"{excluded or len(verdict.denied)} of {endpoints} endpoints are denied by the target guard, and were "
            "not scanned. Remove them, or ask the operator's owner.",
        )
    if shortages:
        word = max(shortages, key=lambda name: shortages[name])
        return TaskError(
            error_class=TEMPORARY,
            reason=Reason.SCANNER_ENVIRONMENT,
            message=f"{sum(shortages.values())} requests failed on this machine, not at the targets: {SHORTAGES[word]}.",
        )
    if endpoints and len(verdict.unreachable) >= endpoints:
        return TaskError(
            error_class=TEMPORARY,
            reason=Reason.ENDPOINTS_UNREACHABLE,
            message=f"None of the {endpoints} endpoints answered. Check names, ports and network policies.",
        )
    if endpoints and not covered.run:
        return TaskError(
            error_class=FATAL,
            reason=Reason.NOTHING_SENT,
            message=f"No template could be sent to any endpoint{_because(covered)}.",
        )
    if endpoints and verdict.stopped and not verdict.scanned:
        return TaskError(
            error_class=TEMPORARY,
            reason=Reason.ENDPOINTS_UNREACHABLE,
            message=f"{'; '.join(verdict.warnings)}. Findings until then are kept.",
        )
    if not finished:
        return TaskError(
            error_class=TEMPORARY,
            reason=Reason.ENDPOINTS_UNREACHABLE,
            message="No endpoint answered any more, so the scan ended before its last step. Findings until then are kept. "
            "Check names, ports and network policies.",
        )
    return None


def _because(covered: Coverage) -> str:
    return f": {coverage.listed(covered.not_run)}" if covered.not_run else ""


def stopped(cause: StopCause) -> TaskError:
    """The error of a scan that we stopped."""
    match cause:
        case StopCause.INTERRUPTED:
            reason, message = Reason.INTERRUPTED, "The scan was told to stop; what it had found is kept."
        case StopCause.TIMEOUT:
            reason, message = (
                Reason.ATTEMPT_TIMEOUT,
                "The attempt reached timeoutSeconds; what it had found is kept. Raise timeoutSeconds, or make shards smaller.",
            )
        case StopCause.HUNG:
            reason, message = (
                Reason.SCANNER_HUNG,
                "Nuclei stopped sending requests, so it was ended; what it had found is kept.",
            )
        case StopCause.SCRATCH_FULL:
            reason, message = (
                Reason.DISK_FULL,
                "Nuclei nearly filled the pod's /tmp, so it was ended; its findings are kept. Make shards smaller, or /tmp larger.",
            )
    return TaskError(error_class=TEMPORARY, reason=reason, message=message)


def _killed(number: int) -> TaskError:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number in (signal.SIGSEGV, signal.SIGILL, signal.SIGABRT, signal.SIGBUS):
        return TaskError(error_class=UNKNOWN, reason=Reason.SCANNER_PANIC, message=f"Nuclei crashed with {name}.")
    return TaskError(
        error_class=TEMPORARY,
        reason=Reason.SCANNER_KILLED,
        message=f"Nuclei was killed by {name}. If memory was short, raise the pod's limit or lower concurrency.",
    )


def _said(ended: Ended) -> str:
    """The output to classify: only the fatal lines where there are any, since other lines may quote targets."""
    lines = f"{ended.output}\n{ended.log}".splitlines()
    return "\n".join([line for line in lines if "[FTL]" in line] or lines)


def _quoted(ended: Ended) -> str:
    """The line that explains the failure best, as the end of a message; empty where there is no output."""
    lines = [line.strip() for line in _said(ended).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(_TELLING)]
    chosen = telling[0] if telling else lines[-1] if lines else ""
    return f" Nuclei said: {chosen[:_QUOTED_CHARACTERS]}" if chosen else ""
