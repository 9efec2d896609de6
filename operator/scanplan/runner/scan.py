"""The scan of one attempt: Nuclei run and watched, and its end understood.

Between the attempt's folder, which exists, and its record, which is written afterwards, this is where Nuclei's outputs
meet the modules that read them. The result is the attempt's record, complete but for its files: counts, versions,
unreachable endpoints, warnings, and the error where the scan was none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from scanplan.api.errors import NucleiBinaryError, ScanError, TemporaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.task import Outcome, ScannerVersion, TaskDocument, TaskError
from scanplan.core.planning.guard import Guard
from scanplan.runner import progress
from scanplan.runner.artifacts import durable, records
from scanplan.runner.artifacts.publish import Attempt
from scanplan.runner.artifacts.records import ShardRecord
from scanplan.runner.nuclei import (
    classify,
    command,
    headers,
    memory,
    reachability,
    resolution,
    resolvers,
    scanner,
    templates,
    unguarded,
    version,
)
from scanplan.runner.nuclei.classify import Ended, StopCause
from scanplan.runner.nuclei.command import Workspace
from scanplan.runner.nuclei.installation import Installation
from scanplan.runner.nuclei.lines import Lines
from scanplan.runner.nuclei.reachability import Silent
from scanplan.runner.nuclei.statistics import ScannerLog
from scanplan.runner.nuclei.templates import Selection

HANG_SECONDS = 300.0
"""At least so long may Nuclei send no request; template sets of ten thousand take a minute to load."""
_HEARTBEAT_SECONDS = 20.0
_VALIDATION_SECONDS = 120.0
_LOG_BYTES = 1 << 20
_NAMED_IN_WARNING = 5
_FAILED_SHARE = 0.05
"""Share of failed requests from which on a scan says so: single time-outs are common, and Nuclei tries again itself."""


def hang_seconds(document: TaskDocument) -> float:
    """How long Nuclei may send no request before it counts as hung: longer than any request of its own may take."""
    options = document.scanner
    return max(HANG_SECONDS, 4.0 * options.request_timeout_seconds * (options.request_retries + 1))


class Scan:
    """One run of Nuclei over the endpoints of a shard."""

    def __init__(
        self,
        document: TaskDocument,
        index: int,
        endpoints: Sequence[str],
        attempt: Attempt,
        installation: Installation,
        on_progress: progress.OnProgress,
        stop: Callable[[], bool],
    ) -> None:
        self._document = document
        self._index = index
        self._endpoints = endpoints
        self._attempt = attempt
        self._installation = installation
        self._on_progress = on_progress
        self._stop = stop
        now = time.monotonic()
        self._deadline = now + document.timeout_seconds
        self._hang_seconds = hang_seconds(document)
        self._log = ScannerLog(now)
        self._log_lines = Lines()
        self._pace = progress.Pace(progress.INTERVAL_SECONDS)
        self._heartbeat = progress.Pace(_HEARTBEAT_SECONDS)
        self._memory = memory.Memory.of_this_process()
        self._headers = headers.Headers()
        self._redactor = self._headers.redactor()
        self._warnings: list[str] = []
        self._near_limit = False

    def run(self, record: ShardRecord) -> ShardRecord:
        """Scan; never raises for what can go wrong with a scan.

        Args:
            record: the attempt's, to be completed.
        """
        self._tell("started", endpoints=len(self._endpoints))
        if not self._endpoints:
            return msgspec.structs.replace(record, outcome=Outcome.COMPLETE)
        error: TaskError | None
        silent = Silent()
        selection: Selection | None = None
        try:
            self._headers = headers.read(self._document.scanner.headers, self._document.headers_folder)
            self._redactor = self._attempt.findings.redactor = self._headers.redactor()
            self._log.redact = self._redactor.text
            templates.verify(self._document.template_folders)
            selection = templates.select(
                self._document.templates, self._document.severity_levels, self._installation.templates
            )
            selection, left_out = unguarded.without(selection, self._document.unguarded_protocols)
            if left_out:
                self._warn(left_out)
            error, silent = self._scan(selection)
        except ScanError as failed:
            error = TaskError(error_class=failed.error_class, reason=failed.reason, message=failed.message)
        except OSError as failed:
            # The claim's errors are ScanErrors by now: this is the pod's own disk, or the templates.
            error = TaskError(
                error_class=TemporaryError.error_class,
                reason=Reason.SCANNER_ENVIRONMENT,
                message=f"The scanner's own files failed: {failed.strerror} ({failed.filename}). /tmp must be writable and "
                "have space.",
            )
        attempt = self._attempt.findings
        if attempt.malformed_lines:
            self._warn(
                f"{attempt.malformed_lines} lines of Nuclei's output are no findings; they are kept beside these."
            )
        return msgspec.structs.replace(
            record,
            outcome=self._outcome(error, silent),
            error=error,
            endpoints_scanned=len(self._endpoints) - len(silent.unreachable) if error is None else 0,
            endpoints_unreachable=silent.unreachable,
            findings=attempt.counts,
            malformed_lines=attempt.malformed_lines,
            scanner=ScannerVersion(
                nuclei_version=self._log.version,
                templates_digest=selection.digest if selection else "",
                templates_loaded=self._log.templates_loaded or 0,
            ),
            warnings=tuple(self._warnings),
        )

    def _outcome(self, error: TaskError | None, silent: Silent) -> Outcome:
        if error is None:
            return Outcome.COMPLETE
        scanned = self._log.requests > 0 and len(silent.unreachable) < len(self._endpoints)
        return Outcome.PARTIAL if scanned or self._attempt.findings.total else Outcome.FAILED

    def _scan(self, selection: Selection) -> tuple[TaskError | None, Silent]:
        guard = Guard(self._document.denied_targets)
        refused = resolution.denied(self._endpoints, guard, stop=self._stop)
        if len(refused) == len(self._endpoints):
            raise NucleiBinaryError(
                Reason.TARGET_DENIED,
                f"All {len(refused)} endpoints resolve to addresses that the target guard denies: {resolution.shown(refused)}.",
            )
        with self._installation.workspace() as workspace:
            version.check(
                self._installation.program(), self._environment(workspace), workspace.root, self._stop, time.monotonic()
            )
            targets = [endpoint for endpoint in self._endpoints if endpoint not in refused]
            workspace.targets.write_text(command.list_file(targets))
            workspace.templates.write_text(command.list_file([str(path) for path in selection.files]))
            header_files = self._headers.write(workspace)
            workspace.denied.write_text(command.list_file(guard.ranges()))
            servers = resolvers.own()
            workspace.resolvers.write_text(command.list_file(servers))
            killed_before = self._memory.kills()
            return_code, cause = scanner.run(
                command.arguments(
                    self._document,
                    self._installation.program(),
                    workspace,
                    own_resolvers=bool(servers),
                    headers=header_files,
                ),
                self._environment(workspace),
                workspace.root,
                on_output=self._take_output,
                on_log=self._take_log,
                on_tick=self._tick,
                stop_grace_seconds=scanner.STOP_GRACE_SECONDS,
            )
            with durable.on_claim():
                self._attempt.findings.finish()
            self._take_log(b"\n")
            error = classify.failure(
                Ended(
                    return_code=return_code,
                    stop=cause,
                    out_of_memory=self._memory.kills() > killed_before,
                    output=self._attempt.findings.output,
                    log=self._log.text,
                )
            )
            if error is not None and cause is not None:
                return error, Silent()
            silent = reachability.silent(targets, self._log, _lines(workspace.errors)).refusing(
                refused, self._endpoints
            )
            invalid = self._invalid(error, selection, workspace)
        if error is None:
            error = classify.doubt(
                templates_loaded=self._log.templates_loaded,
                named_not_loaded=sorted(invalid & selection.named),
                endpoints=len(self._endpoints),
                excluded=self._log.excluded,
                silent=silent,
            )
        if silent.unreachable and error is None:
            shown = ", ".join(silent.unreachable[:_NAMED_IN_WARNING])
            self._warn(f"{len(silent.unreachable)} of {len(self._endpoints)} endpoints never answered: {shown}")
        if silent.failed_elsewhere > self._log.requests * _FAILED_SHARE and error is None:
            self._warn(
                f"{silent.failed_elsewhere} of {self._log.requests} requests failed at endpoints that do answer: they may be "
                "overloaded, and findings may be missing. Lower rateLimit or concurrency."
            )
        if silent.denied and error is None:
            shown = ", ".join(silent.denied[:_NAMED_IN_WARNING])
            self._warn(f"{len(silent.denied)} endpoints resolve to addresses that the target guard denies: {shown}")
        return error, silent

    def _invalid(self, error: TaskError | None, selection: Selection, workspace: Workspace) -> set[Path]:
        """The selected templates that Nuclei left out, which it does without a word; asked only where some are missing."""
        loaded = self._log.templates_loaded
        if error is not None and error.reason is Reason.NO_TEMPLATES_LOADED:
            loaded = 0
        elif error is not None or loaded is None:
            return set()
        if loaded >= selection.identifiers:
            return set()
        answer = ScannerLog(0.0)
        lines = Lines()
        deadline = time.monotonic() + _VALIDATION_SECONDS

        def take(block: bytes) -> None:
            for line in lines.feed(block)[0]:
                answer.feed(line, 0.0)

        scanner.run(
            command.validation(self._installation.program(), workspace),
            self._environment(workspace),
            workspace.root,
            on_output=lambda _block: None,
            on_log=take,
            on_tick=lambda now: StopCause.TIMEOUT if now > deadline or self._stop() else None,
            stop_grace_seconds=scanner.STOP_GRACE_SECONDS,
        )
        invalid = {Path(name) for name in answer.not_loaded} & set(selection.files)
        names = ", ".join(sorted(path.name for path in invalid)[:_NAMED_IN_WARNING])
        why = f"invalid are {names}" if names else "excluded by the ignore list, or of a kind that is off by default"
        self._warn(f"{selection.identifiers - loaded} of {selection.identifiers} templates were not loaded: {why}")
        return invalid

    def _environment(self, workspace: Workspace) -> dict[str, str]:
        return command.environment(self._installation.inherited, workspace, self._installation.templates[0])

    def _take_output(self, block: bytes) -> None:
        with durable.on_claim():
            self._attempt.findings.feed(block)

    def _take_log(self, block: bytes) -> None:
        now = time.monotonic()
        lines, overlong = self._log_lines.feed(block)
        for line in (*overlong, *lines):
            if not self._log.feed(line, now) and line and self._attempt.log.size < _LOG_BYTES:
                with durable.on_claim():
                    clean = self._redactor.raw(line[: _LOG_BYTES + self._redactor.longest])
                    self._attempt.log.write(clean[:_LOG_BYTES].rstrip(b"\n") + b"\n")

    def _tick(self, now: float) -> StopCause | None:
        if self._stop():
            return StopCause.INTERRUPTED
        if now >= self._deadline:
            return StopCause.TIMEOUT
        if now - self._log.moved_at > self._hang_seconds:
            return StopCause.HUNG
        if self._heartbeat.due(now):
            self._attempt.heartbeat()
        if self._pace.due(now):
            self._tell(
                "progress",
                percent=self._log.percent,
                requests=self._log.requests,
                findings=self._attempt.findings.total,
            )
            if not self._near_limit and (share := self._memory.share()) > memory.NEAR:
                self._near_limit = True
                self._warn(
                    f"Memory was at {share:.0%} of the pod's limit: raise it, or lower concurrency or bulk size."
                )
        return None

    def _warn(self, message: str) -> None:
        self._warnings.append(message)
        self._tell("warning", message=message)

    def _tell(
        self,
        event: progress.Kind,
        *,
        percent: int = -1,
        requests: int = -1,
        endpoints: int = -1,
        findings: int = -1,
        message: str = "",
    ) -> None:
        self._on_progress(
            progress.Event(
                time=records.timestamp(time.time()),
                event=event,
                shard=self._index,
                attempt=self._attempt.number,
                percent=percent,
                requests=requests,
                endpoints=endpoints,
                findings=findings,
                message=message,
            )
        )


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file that may not be there."""
    try:
        with path.open("rb") as file:
            yield from file
    except FileNotFoundError:
        return
