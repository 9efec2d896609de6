"""The scan of one attempt: Nuclei run and watched, and its end understood.

Between the attempt's folder, which exists, and its record, which is written afterwards, this is where Nuclei's outputs
meet the modules that read them. Templates of several sources take a run of Nuclei each, since it looks for helper files
below one folder only. The result is the attempt's record, complete but for its files: counts, versions, what became of
endpoints and templates, warnings, and the error where the scan was none.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
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
    coverage,
    headers,
    knock,
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
from scanplan.runner.nuclei.coverage import Coverage
from scanplan.runner.nuclei.evidence import Evidence
from scanplan.runner.nuclei.installation import Installation
from scanplan.runner.nuclei.lines import Lines
from scanplan.runner.nuclei.reachability import Verdict
from scanplan.runner.nuclei.statistics import ScannerLog
from scanplan.runner.nuclei.templates import Selection, Template

HANG_SECONDS = 300.0
"""At least so long may Nuclei send no request; template sets of ten thousand take a minute to load."""
_HEARTBEAT_SECONDS = 20.0
_LOG_BYTES = 1 << 20


def hang_seconds(document: TaskDocument) -> float:
    """How long Nuclei may send no request before it counts as hung: longer than any request of its own may take."""
    options = document.scanner
    return max(HANG_SECONDS, 4.0 * options.request_timeout_seconds * (options.request_retries + 1))


class Scan:
    """The endpoints of a shard, scanned by one or several runs of Nuclei."""

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
        self._logs: list[ScannerLog] = []
        self._evidence = Evidence(endpoints)
        self._guard = Guard(document.denied_targets)
        self._refused: dict[str, str] = {}
        """Endpoints that are kept from Nuclei, since their names have denied addresses, with the range."""
        self._traced = Lines()
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
        verdict, covered = Verdict(), Coverage()
        selection: Selection | None = None
        try:
            self._headers = headers.read(self._document.scanner.headers, self._document.headers_folder)
            self._redactor = self._attempt.findings.redactor = self._headers.redactor()
            templates.verify(self._document.template_folders)
            selection = templates.select(
                self._document.templates, self._document.severity_levels, self._installation.templates
            )
            selection, left_out = unguarded.without(selection, self._document.unguarded_protocols)
            if left_out:
                self._warn(left_out)
            error = self._scan(selection)
            covered = self._cover(selection)
            verdict = self._judge()
            error = self._doubt(error, covered, verdict)
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
            outcome=self._outcome(error, verdict),
            error=error,
            endpoints_scanned=len(verdict.scanned) if error is None else 0,
            endpoints_unreachable=verdict.unreachable,
            endpoints_skipped=verdict.skipped,
            templates_run=covered.run,
            templates_not_run=covered.not_run,
            requests=self._evidence.requests,
            pairs=covered.pairs,
            findings=attempt.counts,
            malformed_lines=attempt.malformed_lines,
            scanner=ScannerVersion(
                nuclei_version=self._log.version,
                templates_digest=selection.digest if selection else "",
                templates_loaded=covered.loaded,
            ),
            warnings=tuple(self._warnings),
        )

    def _outcome(self, error: TaskError | None, verdict: Verdict) -> Outcome:
        if error is None:
            return Outcome.COMPLETE
        return Outcome.PARTIAL if verdict.scanned or self._attempt.findings.total else Outcome.FAILED

    def _scan(self, selection: Selection) -> TaskError | None:
        """Run Nuclei for the templates of each source in turn; what ended the last run, None where all went well."""
        self._refused = resolution.denied(self._endpoints, self._guard, stop=self._stop)
        if len(self._refused) == len(self._endpoints):
            raise NucleiBinaryError(
                Reason.TARGET_DENIED,
                f"All {len(self._refused)} endpoints resolve to addresses that the target guard denies: "
                f"{resolution.shown(self._refused)}.",
            )
        self._check_version(selection.templates[0].root)
        error = None
        for _, batch in itertools.groupby(selection.templates, lambda template: template.root):
            error = self._run(tuple(batch)) or error
            if error is not None and error.reason is not Reason.NO_TEMPLATES_LOADED:
                return error
        return error if not any(log.templates_loaded for log in self._logs) else None

    def _check_version(self, root: Path) -> None:
        with self._installation.workspace() as workspace:
            surroundings = command.environment(self._installation.inherited, workspace, root)
            version.check(self._installation.program(), surroundings, workspace.root, self._stop, time.monotonic())

    def _run(self, batch: Sequence[Template]) -> TaskError | None:
        """Run Nuclei once; what ended it, None where it claims success."""
        self._log = ScannerLog(time.monotonic())
        self._log.redact = self._redactor.text
        self._logs.append(self._log)
        self._attempt.findings.remark = self._log.listed
        with self._installation.workspace() as workspace:
            targets = [endpoint for endpoint in self._endpoints if endpoint not in self._refused]
            workspace.targets.write_text(command.list_file(targets))
            workspace.templates.write_text(command.list_file([str(template.path) for template in batch]))
            header_files = self._headers.write(workspace)
            workspace.denied.write_text(command.list_file(self._guard.ranges()))
            proxy = command.proxy_of(self._installation.inherited, targets)
            if proxy:
                workspace.proxy.touch(mode=0o600)
                workspace.proxy.write_text(command.list_file([proxy]))
            servers = resolvers.own()
            workspace.resolvers.write_text(command.list_file(servers))
            killed_before = self._memory.kills()
            return_code, cause = scanner.run(
                lambda trace: command.arguments(
                    self._document,
                    self._installation.program(),
                    workspace,
                    trace,
                    own_resolvers=bool(servers),
                    headers=header_files,
                    proxy=bool(proxy),
                ),
                command.environment(self._installation.inherited, workspace, batch[0].root),
                workspace.root,
                on_output=self._take_output,
                on_log=self._take_log,
                on_trace=self._take_trace,
                on_tick=self._tick,
                stop_grace_seconds=scanner.STOP_GRACE_SECONDS,
            )
        with durable.on_claim():
            self._attempt.findings.finish()
        self._take_log(b"\n")
        return classify.failure(
            Ended(
                return_code=return_code,
                stop=cause,
                out_of_memory=self._memory.kills() > killed_before,
                output=self._attempt.findings.output,
                log=self._log.text,
            )
        )

    def _cover(self, selection: Selection) -> Coverage:
        return coverage.of(
            selection, self._logs, self._evidence, self._attempt.findings.matched, self._document.severity_levels
        )

    def _judge(self) -> Verdict:
        given_up = {name for log in self._logs for name in log.skipped}
        timeout = float(self._document.scanner.request_timeout_seconds)
        return reachability.judge(
            self._evidence,
            given_up,
            self._refused,
            lambda endpoint: knock.listens(endpoint, self._guard, timeout),
        )

    def _doubt(self, error: TaskError | None, covered: Coverage, verdict: Verdict) -> TaskError | None:
        """The error that counts, with what the scan has to say besides."""
        if error is not None and error.reason is not Reason.NO_TEMPLATES_LOADED:
            return error
        loaded = [log.templates_loaded for log in self._logs if log.templates_loaded is not None]
        if error is None or covered.not_run:
            error = classify.doubt(
                templates_loaded=0 if error else sum(loaded) if loaded else None,
                covered=covered,
                endpoints=len(self._endpoints),
                excluded=max((log.excluded for log in self._logs), default=0),
                verdict=verdict,
                shortages=self._evidence.shortages,
            )
        if covered.not_run:
            count = len(covered.not_run)
            total = count + covered.run
            self._warn(f"{count} of {total} templates were not run: {coverage.listed(covered.not_run)}")
        if error is None:
            for warning in verdict.warnings:
                self._warn(warning)
        return error

    def _take_output(self, block: bytes) -> None:
        with durable.on_claim():
            self._attempt.findings.feed(block)

    def _take_trace(self, block: bytes) -> None:
        for line in self._traced.feed(block)[0]:
            self._evidence.feed(line)

    def _take_log(self, block: bytes) -> None:
        now = time.monotonic()
        lines, overlong = self._log_lines.feed(block)
        for line in (*overlong, *lines):
            if self._log.feed(line, now) and self._attempt.log.size < _LOG_BYTES:
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
