"""A real Redis server on a port of its own, and workers as the processes that users start."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import redis

from tests import prefork
from tests.kubectl import eventually


class RedisServer:
    """Keeps nothing on disk unless asked; may be killed, frozen and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        log = self._folder / "redis.log"
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        command += ["--save", "", "--logfile", str(log), *self._options]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        eventually(self.answers, interval=0.02)
        return self

    def answers(self) -> bool:
        with contextlib.suppress(redis.exceptions.RedisError):
            return bool(self.client().ping())
        return False

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def kill(self) -> None:
        """End it at once; nothing where it does not run."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)


class Worker:
    """`scanplan worker` as a process."""

    def __init__(self, variables: Mapping[str, str], log: Path, *arguments: str) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = prefork.workers().start(
                ("scanplan", "worker", *arguments), {**os.environ, **variables}, output.fileno(), session=True
            )

    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """SIGTERM; what runs is given back first."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                self.kill_all()

    def kill_all(self) -> None:
        """SIGKILL for the pool and its workers; their children, which scan, are in groups of their own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
