"""The operator as a process of its own, which a test may start, kill and start again."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests import prefork
from tests.kubectl import eventually

SCANNER_IMAGE = "registry.example/scanner:1"
"""Image of plans that name none; never pulled here."""


class OperatorProcess:
    """`python -m scanplan operator`, with the rights of its service account and no others."""

    program: tuple[str, ...] = ("scanplan", "operator")
    """The module and its arguments."""

    def __init__(self, kubeconfig: Path, namespaces: Sequence[str], log: Path, **settings: str) -> None:
        self.log = log
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SCANPLAN_")},
            "KUBECONFIG": str(kubeconfig),
            "SCANPLAN_SCANNER_IMAGE": SCANNER_IMAGE,
            "SCANPLAN_PROBE_PORT": "0",
            "SCANPLAN_METRICS_PORT": "0",
            "SCANPLAN_NAMESPACES": ",".join(namespaces),
            **settings,
        }
        self._process: subprocess.Popen[bytes] | prefork.Process | None = None

    def twin(self, **settings: str) -> OperatorProcess:
        """Another one with the same settings, but for these, and a log of its own; not started yet."""
        twin = copy.copy(self)
        twin.log, twin._process = self.log.with_stem(f"{self.log.stem}-twin"), None
        twin._environment = {**self._environment, **settings}
        return twin

    def start(self, *, fresh: bool = False) -> OperatorProcess:
        """Start it; it is at work within a second, and nothing depends on when.

        Args:
            fresh: by a new interpreter, as users do, rather than by a fork of one that has imported all: for what measures.
        """
        with self.log.open("ab") as log:
            if not fresh:
                self._process = prefork.operators().start(self.program, self._environment, log.fileno())
                return self
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.program],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        return self

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """With what it has ended; None: it is alive."""
        assert self._process
        return self._process.poll()

    def kill(self) -> None:
        """SIGKILL: it has no time for anything."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP, until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM, as a Deployment does; returns the exit code."""
        assert self._process
        self._process.terminate()
        try:
            return self._process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def text(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace")

    def wait_until_watching(self) -> None:
        """For tests that depend on what it saw first."""
        eventually(lambda: "watching" in self.text())
