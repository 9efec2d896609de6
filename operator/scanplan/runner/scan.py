"""Scans for one attempt: runs and watches Nuclei, and finds out why it ended.

The caller makes the attempt's folder before the scan, and publishes the record after it. A shard is scanned in steps (`work`).
Each step is one run of Nuclei. When it ends it is saved, if more steps follow (`artifacts.steps`). An attempt continues after the
steps of earlier attempts. The result is the attempt's record: counts, versions, the state of endpoints and templates, warnings,
and the error where the scan failed. The caller adds the list of files.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from scanplan.api.documents.records import ShardCoverage, ShardRecord
from scanplan.api.documents.report import ScannerVersion, TaskError
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.errors import NucleiBinaryError, ScanError, TemporaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.nuclei import logins
from scanplan.core.planning.targets.guard import Guard
from scanplan.runner import progress
from scanplan.runner.artifacts import durable, publish, steps
from scanplan.runner.artifacts.merging import merge
from scanplan.runner.artifacts.publish import Attempt
from scanplan.runner.artifacts.steps import Journal
from scanplan.runner.judgement import Judged, Judgement
from scanplan.runner.nuclei.choosing import automatic, chosen, needs, profiles, templates, unguarded
from scanplan.runner.nuclei.choosing.templates import Selection, Template
from scanplan.runner.nuclei.judging import classify, dial, resolution
from scanplan.runner.nuclei.judging.classify import StopCause
from scanplan.runner.nuclei.launch import credentials, rates, route
from scanplan.runner.nuclei.launch.credentials import Credentials
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.nuclei_run import NucleiRun, Result
from scanplan.runner.reporter import Reporter
from scanplan.runner.watchdog import Watchdog
from scanplan.runner.work import Span, Work

_MOST_HALVINGS = 4
"""How often concurrency is halved at most, after attempts that were killed for memory."""


class Scan:
    """The scan of one attempt at a shard."""

    def __init__(
        self,
        document: TaskDocument,
        index: int,
        endpoints: Sequence[str],
        shard: Path,
        attempt: Attempt,
        installation: Installation,
        on_progress: progress.OnProgress,
        stop: Callable[[], bool],
        on_saved: Callable[[int], None],
    ) -> None:
        """`on_saved` is called with the number of steps that this attempt has saved, whenever the number has grown."""
        self._on_saved = on_saved
        self._document = document
        self._endpoints = endpoints
        self._shard = shard
        self._attempt = attempt
        self._installation = installation
        self._stop = stop
        self._reporter = Reporter(on_progress, index, attempt.number)
        self._watchdog = Watchdog(document, attempt, installation, self._reporter, stop)
        self._guard = Guard(document.denied_targets)
        self._route = route.Route(document.scanner, installation.inherited)
        timeout = float(document.scanner.request_timeout_seconds)
        self._listeners = dial.Listeners(self._guard, timeout, lambda: self._told_to_end() is not None)
        self._judgement = Judgement(endpoints, self._reporter, self._listening, self._told_to_end)
        self._fuzz_input = b""
        self._earlier_requests = 0
        self._saved = 0
        self._finished = False
        """No step is left."""
        self._detecting: tuple[Template, ...] = ()
        """Only in an automatic scan: the templates that detect technologies."""
        self._selection: Selection | None = None

    def run(self, record: ShardRecord) -> ShardRecord:
        """Scan. A failure of the scan is an error in the record, not an exception.

        Args:
            record: the attempt's record so far.
        """
        self._reporter.tell("started", endpoints=len(self._endpoints))
        if not self._endpoints:
            return msgspec.structs.replace(record, outcome=Outcome.COMPLETE)
        try:
            outcome = self._scan_and_judge()
        except ScanError as failed:
            outcome = Judged(TaskError.of(failed))
        except OSError as failed:
            # `on_claim` has turned errors of the PersistentVolumeClaim into ScanErrors. So these are files of the pod.
            detail = f"{failed.strerror} ({failed.filename})"
            message = f"The scanner's own files failed: {detail}. /tmp must be writable and have space."
            reason = Reason.SCANNER_ENVIRONMENT
            outcome = Judged(TaskError(error_class=TemporaryError.error_class, reason=reason, message=message))
        if malformed := self._attempt.findings.malformed_lines:
            self._reporter.warn(
                f"{malformed} lines of Nuclei's output are not findings; they are in malformed_output.txt."
            )
        return self._completed(record, outcome)

    def _scan_and_judge(self) -> Judged:
        """Choose the templates, run what is left of the steps, and judge what came of it.

        Raises:
            ScanError: the scan can't run.
            OSError: a file of the pod, outside of the claim, can't be read or written.
        """
        plan_credentials = credentials.read(self._document, self._installation.templates)
        self._attempt.findings.redactor = plan_credentials.redactor()
        self._attempt.findings.distinct = self._document.automatic
        listed = self._document.endpoints_file is None
        if listed and (idle := logins.unused(plan_credentials.logins, self._document.endpoints)):
            self._reporter.warn(
                f"credentialsFrom has credentials that match no endpoint of the plan: {', '.join(idle)}."
            )
        templates.verify(self._document.template_folders)
        self._take_profile()
        self._fuzz_input = templates.fuzz_input(self._document)
        selection = self._selection = self._select()
        self._detecting = automatic.detecting(selection.templates) if self._document.automatic else ()
        error = self._scan(selection, plan_credentials)
        verdict = self._judgement.verdict()
        try:
            covered = self._judgement.coverage(self._document, selection)
        except OSError:
            raise
        except Exception as failed:  # a fault of ours must not cost what was found
            traceback.print_tb(failed.__traceback__)
            message = (
                f"The runner failed to find out what the scan has covered: {type(failed).__name__}. Its log has the trace; "
                "what was found is kept."
            )
            unknown = TaskError(error_class=ErrorClass.UNKNOWN, reason=Reason.UNKNOWN_ERROR, message=message)
            return Judged(error or unknown, verdict)
        error = self._judgement.checked(error, covered, verdict, finished=self._finished)
        if error is None:
            self._attempt.coverage = ShardCoverage.of(
                self._endpoints, verdict.untroubled, covered.ran, self._document.exclude.matchers
            )
        return Judged(error, verdict, covered)

    def _select(self) -> Selection:
        """The templates that the plan selects, without those whose protocol could reach denied targets (`unguarded`)."""
        allowed = self._document.unguarded_protocols
        selection = chosen.of(profiles.of_plan(self._document), self._installation.templates, allowed)
        selection = needs.arranged(selection, self._document.scanner)
        selection, left_out = unguarded.without(selection, allowed)
        if left_out:
            self._reporter.warn(left_out)
        return selection

    def _completed(self, record: ShardRecord, judged: Judged) -> ShardRecord:
        """The attempt's record, with the outcome of the scan."""
        error, verdict, covered = judged.error, judged.verdict, judged.covered
        findings, selection = self._attempt.findings, self._selection
        failed = Outcome.PARTIAL if verdict.scanned or findings.total else Outcome.FAILED
        return msgspec.structs.replace(
            record,
            outcome=failed if error else Outcome.COMPLETE,
            error=error,
            endpoints_scanned=len(verdict.scanned) if error is None else 0,
            endpoints_unreachable=verdict.unreachable,
            endpoints_skipped=verdict.skipped,
            endpoints_troubled=verdict.troubled,
            templates_run=covered.run,
            templates_not_run=covered.not_run,
            templates_left_out={
                **(selection.filtered if selection else {}),
                **({automatic.NOT_CHOSEN: covered.not_chosen} if covered.not_chosen else {}),
            },
            steps=self._saved,
            requests=self._judgement.evidence.requests - self._earlier_requests,
            pairs=covered.pairs,
            findings=findings.counts,
            malformed_lines=findings.malformed_lines,
            scanner=ScannerVersion(
                nuclei_version=self._judgement.nuclei_version,
                templates_digest=selection.digest if selection else "",
                templates_loaded=covered.loaded,
            ),
            warnings=tuple(self._reporter.warnings),
        )

    def _take_profile(self) -> None:
        """Apply the plan's template profile. The plan's own fields take precedence over it."""
        self._document, asks_for = profiles.of_task(self._document, self._installation.templates)
        if asks_for:
            self._reporter.warn(
                f"The template profile asks for {', '.join(asks_for)}, which is ignored: only fields of the plan switch it on."
            )

    def _scan(self, selection: Selection, plan_credentials: Credentials) -> TaskError | None:
        """Run the remaining steps, until none is left or no endpoint can answer any more.

        Returns:
            The error that ended the scan. None: `Judgement.checked` decides by what the steps have shown.
        """
        self._check_addresses()
        ordered, direct = self._route.ordered(self._endpoints)
        # Saved steps store endpoints by position. The guard decides which lines of an endpoints file are in the list, and the
        # proxy settings decide the order. Where either may change, the list is part of the journal's `plan`.
        list_may_change = 0 < direct < len(ordered) or self._document.endpoints_file is not None
        journal, document = self._open_journal(selection, ordered if list_may_change else ())
        work = self._work(selection, journal, direct)
        nuclei = NucleiRun(
            document,
            self._attempt,
            self._installation,
            plan_credentials,
            self._judgement.refused,
            self._watchdog.memory,
            self._route,
            self._fuzz_input,
        )
        nuclei.check_version(selection.templates[0], self._stop)

        def tick(now: float) -> StopCause | None:
            return self._watchdog.tick(now, nuclei.log, self._judgement.evidence.requests)

        error = None
        while (span := work.next()) is not None:
            if (cause := self._told_to_end()) is not None:
                return classify.stopped(cause)
            self._watchdog.begin_step(100.0 * work.done / max(1, work.requests), work.share(span))
            began = time.monotonic()
            batch = automatic.run_of(selection.templates[span.first : span.end], self._detecting)
            targets = ordered[span.first_endpoint : span.end_endpoint]
            result = nuclei.run(batch, targets, self._endpoints, tick)
            self._judgement.add(result.log, self._attempt.findings.matched, result.evidence)
            sources = self._installation.templates
            if self._document.automatic and (unselected := automatic.unselected(result.evidence.sent, batch, sources)):
                return TaskError.of(unselected)
            # A step without loadable templates is no failure if another step loads some.
            if result.error is not None and result.error.reason is not Reason.NO_TEMPLATES_LOADED:
                return result.error
            error = result.error or error
            verdict = self._judgement.of_step(result.log, result.evidence)
            # All that the scan has shown decides, not this step alone: a step may have nothing for the endpoints that answer.
            if result.evidence.shortages or (not verdict.scanned and self._judgement.verdict().hopeless):
                break
            trusted = not verdict.doubtful
            work.finish(span)
            if trusted:
                work.measured(span, time.monotonic() - began)
            if work.next() is not None:
                self._save(journal, span, result, hold=not trusted)
        self._finished = work.next() is None
        return error if self._judgement.nothing_loaded else None

    def _check_addresses(self) -> None:
        """Find the endpoints that the target guard denies by their addresses, and check the proxy and the interactsh server.

        Raises:
            ScanError: all endpoints are denied, or one of these servers is.
        """
        refused = self._judgement.refused = resolution.denied(self._endpoints, self._guard, stop=self._stop)
        if len(refused) == len(self._endpoints):
            raise NucleiBinaryError(
                Reason.TARGET_DENIED,
                f"All {len(refused)} endpoints resolve to addresses that the target guard denies: "
                f"{resolution.shown(refused)}.",
            )
        route.check(self._document.scanner.proxy, self._guard, self._stop)
        route.check_out_of_band(self._document.scanner.interactsh_server, self._guard, self._stop)

    def _open_journal(self, selection: Selection, order: Sequence[str]) -> tuple[Journal, TaskDocument]:
        """Open the journal, and add the results of earlier attempts' steps. The returned document may have less concurrency.

        Args:
            order: the endpoints in the order of this scan; empty: the shard's own order.
        """
        names = [str(template.path.relative_to(template.root)) for template in selection.templates]
        plan = hashlib.sha256("\0".join([selection.digest, *names, *order]).encode()).hexdigest()
        not_before = merge.not_before(self._document)
        with durable.on_claim():
            journal = Journal(self._shard, self._attempt.number, plan, not_before=not_before)
            document = self._with_less_concurrency(publish.published(self._shard, not_before=not_before))
        for step in journal.earlier:
            self._judgement.add(steps.log_of(step), step.matched, steps.evidence_of(step))
        self._earlier_requests = self._judgement.evidence.requests
        return journal, document

    def _work(self, selection: Selection, journal: Journal, direct: int) -> Work:
        """The steps that are left. Warns if the time is probably too short for them.

        Args:
            direct: how many endpoints, the first ones, are reached without the proxy.
        """
        options, count, whole = self._document.scanner, len(self._endpoints), self._document.automatic
        rate, most = rates.expected(options, count), rates.most_endpoints(options)
        done = [step.span for step in journal.earlier]
        timeout = self._document.timeout_seconds
        work = Work(
            selection.templates,
            count,
            rate,
            done,
            most_endpoints=most,
            boundary=direct,
            timeout_seconds=timeout,
            whole=whole,
        )
        warning = rates.foretold(options, count, work.requests - work.done, timeout)
        if warning and not whole:
            self._reporter.warn(warning)
        return work

    def _with_less_concurrency(self, attempts: Sequence[ShardRecord]) -> TaskDocument:
        """The document, with less concurrency after attempts that were killed for memory."""
        killed = sum(
            1 for record in attempts if record.error is not None and record.error.reason is Reason.OUT_OF_MEMORY
        )
        if not killed:
            return self._document
        options, divisor = self._document.scanner, 1 << min(killed, _MOST_HALVINGS)
        concurrency, bulk = max(1, options.concurrency // divisor), max(1, options.bulk_size // divisor)
        self._reporter.warn(
            f"{killed} earlier attempts were killed for memory: this one takes concurrency {concurrency} and bulk size "
            f"{bulk}. Raise the pod's memory limit to keep {options.concurrency} and {options.bulk_size}."
        )
        fewer = msgspec.structs.replace(options, concurrency=concurrency, bulk_size=bulk)
        return msgspec.structs.replace(self._document, scanner=fewer)

    def _told_to_end(self) -> StopCause | None:
        return self._watchdog.stop_cause(time.monotonic())

    def _listening(self, endpoints: Sequence[str]) -> set[str]:
        """Those of some endpoints at which somebody listens. An endpoint behind a SOCKS proxy is not tried (`Route.hides`)."""
        return self._listeners.among(endpoint for endpoint in endpoints if not self._route.hides(endpoint))

    def _save(self, journal: Journal, span: Span, result: Result, *, hold: bool) -> None:
        """Save a step. `hold`: only once a later step is saved, which shows that the network works."""
        with durable.on_claim():
            size = self._attempt.sync()
            step = steps.step(journal.plan, span, size, result.log, result.evidence, self._judgement.matched)
            (journal.hold if hold else journal.add)(step)
        if journal.added > self._saved:
            self._saved = journal.added
            self._on_saved(self._saved)
