"""Runs Nuclei once, with some templates and some endpoints, and reads its outputs as they come.

Findings go to the attempt's file, the log to the attempt's log, and the trace log becomes evidence. What the run's end means
by itself is in the result; what its evidence means is decided for all runs of a scan together (`scan`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from scanplan.api.documents.report import TaskError
from scanplan.api.documents.task import TaskDocument
from scanplan.core.planning.nuclei import fuzz_inputs
from scanplan.core.planning.targets.guard import Guard
from scanplan.runner.artifacts import durable
from scanplan.runner.artifacts.publish import Attempt
from scanplan.runner.nuclei import memory, scanner
from scanplan.runner.nuclei.choosing.needs import DAST
from scanplan.runner.nuclei.choosing.templates import Template
from scanplan.runner.nuclei.judging import classify
from scanplan.runner.nuclei.judging.classify import Ended, StopCause
from scanplan.runner.nuclei.judging.evidence import Evidence
from scanplan.runner.nuclei.judging.statistics import ScannerLog
from scanplan.runner.nuclei.judging.watch import Ask, Watch
from scanplan.runner.nuclei.launch import command, rates, resolvers, route, signatures, version
from scanplan.runner.nuclei.launch.command import Workspace
from scanplan.runner.nuclei.launch.credentials import Credentials
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.nuclei.lines import Lines

_LOG_BYTES = 1 << 20


class Result(msgspec.Struct, frozen=True):
    """What came of one run."""

    error: TaskError | None
    """None where Nuclei claims success."""
    log: ScannerLog
    evidence: Evidence


class NucleiRun:
    """Runs Nuclei for one attempt, once or several times."""

    def __init__(
        self,
        document: TaskDocument,
        attempt: Attempt,
        installation: Installation,
        credentials: Credentials,
        refused: Mapping[str, str],
        usage: memory.Memory,
        way: route.Route,
        requests: bytes = b"",
    ) -> None:
        """`requests` is the plan's file with requests to fuzz."""
        self._requests = requests
        self._document = document
        self._attempt = attempt
        self._installation = installation
        self._credentials = credentials
        self._redactor = attempt.findings.redactor  # one for findings and log
        self._guard = Guard(document.denied_targets)
        self._refused = refused
        self._memory = usage
        self._route = way
        self.log = ScannerLog(time.monotonic())
        """Of the run that goes on, or was the last."""
        self._evidence = Evidence(())
        self._traced = Lines()
        self._lines = Lines()

    def check_version(self, template: Template, stop: Callable[[], bool]) -> None:
        """Refuse a Nuclei that is too old.

        Raises:
            NucleiBinaryError: it is.
        """
        with self._installation.workspace() as workspace:
            surroundings = command.environment(self._installation.inherited, workspace, template.root)
            version.check(self._installation.program(), surroundings, workspace.root, stop, time.monotonic())

    def run(
        self,
        batch: Sequence[Template],
        endpoints: Sequence[str],
        shard: Sequence[str],
        on_tick: Callable[[float], StopCause | None],
    ) -> Result:
        """Run Nuclei to its end.

        Args:
            batch: templates with the same needs; the helper files of the first one's source are found.
            endpoints: those to scan; a proxy leads to all of them, or to none.
            shard: all endpoints of the shard, which the evidence is about.
            on_tick: called several times a second with the monotonic clock; a cause makes Nuclei stop.

        Raises:
            ScanError: Nuclei can't be started, or the claim failed.
            OSError: the pod's own disk failed.
        """
        self.log = ScannerLog(time.monotonic())
        self.log.redact = self._redactor.text
        self._evidence, self._traced, self._lines = Evidence(shard), Lines(), Lines()
        findings = self._attempt.findings
        findings.remark = self.log.listed
        watch: Watch | None = None
        with self._installation.workspace() as workspace:
            targets = [endpoint for endpoint in endpoints if endpoint not in self._refused]
            workspace.targets.write_text(command.list_file(targets))
            input_mode = self._write_requests(workspace, targets) if DAST in batch[0].needs else ""
            workspace.templates.write_text(command.list_file([str(template.path) for template in batch]))
            source = batch[0].root
            if self._document.automatic:
                workspace.source_link.symlink_to(source)
                source = workspace.source_link
            workspace.matchers.write_text(command.list_file(self._document.exclude.matchers))
            credentials = self._credentials.write(workspace)
            workspace.denied.write_text(command.list_file(self._guard.ranges()))
            limits = rates.of(self._document.scanner, targets)
            proxy = self._route.proxy_to(endpoints[0])
            if not proxy or proxy.startswith("http://"):
                watch = Watch(targets, self._ask(proxy), during=limits.checks)
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
                    credentials=credentials,
                    proxy=bool(proxy),
                    rates=limits,
                    needs=batch[0].needs,
                    input_mode=input_mode,
                    signed_only=signatures.required(self._document, batch[0].root),
                ),
                command.environment(self._installation.inherited, workspace, source),
                workspace.root,
                on_output=self._take_output,
                on_log=self._take_log,
                on_trace=self._take_trace,
                on_tick=lambda now: self._tick(now, watch, on_tick),
                stop_grace_seconds=scanner.STOP_GRACE_SECONDS,
            )
        if watch is not None:
            watch.finish(time.monotonic(), () if cause is not None else self._evidence.web)
            self._evidence.answers = watch.answers
            self._evidence.requests += watch.requests
        with durable.on_claim():
            findings.finish()
        self._take_log(b"\n")
        error = classify.failure(
            Ended(
                return_code=return_code,
                stop=cause,
                out_of_memory=self._memory.kills() > killed_before,
                output=findings.output,
                log=self.log.text,
            )
        )
        return Result(error, self.log, self._evidence)

    def _write_requests(self, workspace: Workspace, targets: Sequence[str]) -> str:
        """Put what the plan's file of requests has for some endpoints where Nuclei reads it.

        Returns:
            Its input mode; empty: there is nothing.
        """
        mode, content = self._document.requests_mode, self._requests
        made = fuzz_inputs.for_targets(mode, content, targets) if mode and targets else None
        if made is None:
            return ""
        workspace.requests.write_bytes(made[1])
        return made[0]

    def _ask(self, proxy: str) -> Ask:
        from scanplan.runner.nuclei.judging.probe import Prober  # noqa: PLC0415 - a runner that replays starts without

        own = self._credentials.headers
        timeout = float(self._document.scanner.request_timeout_seconds)
        return Prober(
            self._guard,
            {**own.public, **own.secret},
            timeout,
            proxy,
            self._document.scanner.sni,
            self._credentials.certificate,
            self._credentials.logins,
        )

    def _tick(self, now: float, watch: Watch | None, on_tick: Callable[[float], StopCause | None]) -> StopCause | None:
        if watch is not None:
            watch.tick(now, self._evidence.web)
        return on_tick(now)

    def _take_output(self, block: bytes) -> None:
        with durable.on_claim():
            self._attempt.findings.feed(block)

    def _take_trace(self, block: bytes) -> None:
        self.log.moved_at = time.monotonic()  # the statistics of an automatic scan do not count all requests
        for line in self._traced.feed(block)[0]:
            self._evidence.feed(line)

    def _take_log(self, block: bytes) -> None:
        now = time.monotonic()
        lines, overlong = self._lines.feed(block)
        for line in (*overlong, *lines):
            if self.log.feed(line, now) and self._attempt.log.size < _LOG_BYTES:
                with durable.on_claim():
                    clean = self._redactor.raw(line[: _LOG_BYTES + self._redactor.longest])
                    self._attempt.log.write(clean[:_LOG_BYTES].rstrip(b"\n") + b"\n")
