"""Judges a scan by what its steps have shown, together with the saved steps of earlier attempts.

A run of Nuclei that claims success may have reached nothing. So what was sent, what answered and what Nuclei's log says is
gathered here step by step, and decides at the end which endpoints and templates were covered, and whether the scan failed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scanplan.api.documents.report import TaskError
from scanplan.api.documents.task import TaskDocument
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.choosing.templates import Selection
from scanplan.runner.nuclei.judging import classify, coverage, reachability
from scanplan.runner.nuclei.judging.classify import StopCause
from scanplan.runner.nuclei.judging.coverage import Coverage
from scanplan.runner.nuclei.judging.evidence import Evidence
from scanplan.runner.nuclei.judging.reachability import Verdict
from scanplan.runner.nuclei.judging.statistics import ScannerLog
from scanplan.runner.nuclei.launch import signatures
from scanplan.runner.reporter import Reporter


@dataclass(frozen=True, slots=True)
class Judged:
    """The outcome of a scan."""

    error: TaskError | None
    """None: all steps are done, and the result has passed the checks (`classify.doubt`)."""
    verdict: Verdict = field(default_factory=Verdict)
    covered: Coverage = field(default_factory=Coverage)


class Judgement:
    """What the steps of one scan have shown."""

    def __init__(
        self,
        endpoints: Sequence[str],
        reporter: Reporter,
        listening: Callable[[Sequence[str]], Collection[str]],
        told_to_end: Callable[[], StopCause | None],
    ) -> None:
        """An empty one.

        Args:
            endpoints: those of the shard.
            reporter: takes warnings about endpoints and templates.
            listening: those of some endpoints at which somebody listens. It gives up early if the scan has to end.
            told_to_end: why the scan has to end; None: it goes on.
        """
        self._reporter = reporter
        self._listening = listening
        self._told_to_end = told_to_end
        self.refused: Mapping[str, str] = {}
        """Endpoints that Nuclei does not get because their names resolve to denied addresses, each with the denied range."""
        self.evidence = Evidence(endpoints)
        self.logs: list[ScannerLog] = []
        self.matched: set[str] = set()
        """Templates that have found something."""

    def add(self, log: ScannerLog, matched: Iterable[str], evidence: Evidence) -> None:
        """Add what one step has shown."""
        self.logs.append(log)
        self.matched.update(matched)
        self.evidence.add(evidence)

    @property
    def nothing_loaded(self) -> bool:
        """No step has loaded a template. A single step without one is no failure if another step loads some."""
        return not any(log.templates_loaded for log in self.logs)

    @property
    def nuclei_version(self) -> str:
        """The version that the newest log names; empty: none does."""
        return next((log.version for log in reversed(self.logs) if log.version), "")

    def of_step(self, log: ScannerLog, evidence: Evidence) -> Verdict:
        """What one step says about the endpoints."""
        return self._verdict(evidence, [log])

    def verdict(self) -> Verdict:
        """What all steps say about the endpoints."""
        return self._verdict(self.evidence, self.logs)

    def coverage(self, document: TaskDocument, selection: Selection) -> Coverage:
        """Which of the selected templates have run."""
        return coverage.of(
            selection,
            self.logs,
            self.evidence,
            self.matched,
            document.severity_levels,
            signed_only=lambda root: signatures.required(document, root),
            automatic=document.automatic,
        )

    def checked(
        self, error: TaskError | None, covered: Coverage, verdict: Verdict, *, finished: bool
    ) -> TaskError | None:
        """The error of the scan; None: it succeeded. A success is checked once more (`classify.doubt`). Adds warnings.

        Args:
            error: what has ended the scan.
            finished: no step is left.
        """
        if error is not None and error.reason is not Reason.NO_TEMPLATES_LOADED:
            return error
        loaded = [log.templates_loaded for log in self.logs if log.templates_loaded is not None]
        if error is None or covered.not_run:
            error = classify.doubt(
                templates_loaded=0 if error else sum(loaded) if loaded else None,
                covered=covered,
                endpoints=len(self.evidence.addresses.endpoints),
                excluded=max((log.excluded for log in self.logs), default=0),
                verdict=verdict,
                shortages=self.evidence.shortages,
                finished=finished,
            )
        unreachable = error is not None and error.reason is Reason.ENDPOINTS_UNREACHABLE
        if unreachable and (cause := self._told_to_end()) is not None:  # so perhaps `listening` has not waited
            error = classify.stopped(cause)
        if covered.not_run:
            count = len(covered.not_run)
            total = count + covered.run
            self._reporter.warn(f"{count} of {total} templates were not run: {coverage.listed(covered.not_run)}")
        if error is None:
            for warning in verdict.warnings:
                self._reporter.warn(warning)
        return error

    def _verdict(self, evidence: Evidence, logs: Iterable[ScannerLog]) -> Verdict:
        given_up = {name for log in logs for name in log.skipped}
        return reachability.judge(evidence, given_up, self.refused, self._listening)
