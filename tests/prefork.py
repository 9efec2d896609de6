"""Starts `python -m MODULE` without its imports: one process has imported the module, and forks for each start.

An import of the operator takes a second of processor time, and some tests start it some hundred times. What is started here is a
process of its own, with its own PID, environment, signals and exit code; it ends with the tests, however these end. Its memory
is partly that of the process it was forked from, so what measures memory, or the start itself, starts a new interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
REQUEST_BYTES = 1 << 17
NUMBER = struct.Struct("i")
"""Of what is told of a process: its PID, later its exit code."""
PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
OPERATOR = ("scanplan.cli.commands.operator", "kubernetes.aio.config.kube_config")
"""Modules that every operator imports."""
COMMAND = ("scanplan.cli.main", "scanplan.cli.output.tables", "scanplan.cli.plans", "scanplan.client.cluster.cluster")
"""Modules that most commands import, beside the operator's."""
WORKER = ("scanplan.cli.commands.worker", "scanplan.client.queues.workers")
"""Modules that every worker imports."""


class Process:
    """A process that was forked; as `subprocess.Popen`, as far as tests need it."""

    def __init__(self, pid: int, ended: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        """As Popen has it; a negative number is that of the signal that ended it."""
        self._ended = ended
        self._told = select.poll()
        self._told.register(ended, select.POLLIN)
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code.

        Raises:
            TimeoutExpired: it has not ended within `timeout` seconds.
        """
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _look(self, seconds: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and self._told.poll(None if seconds is None else seconds * 1000):
                (self.returncode,) = NUMBER.unpack(os.read(self._ended, NUMBER.size))
                os.close(self._ended)
            return self.returncode


class Prefork:
    """The process that forks, with its modules; it ends with this one, and what it has forked ends with it."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.prefork", str(theirs.fileno()), *modules],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.close)

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: int,
        errors: int | None = None,
        *,
        given: int | None = None,
        session: bool = False,
    ) -> Process:
        """Start `python -m` with these arguments, the first of which is the module.

        Args:
            environment: all of its environment variables.
            output: a file descriptor for its standard output.
            errors: one for its standard error; None: the same.
            given: one for its standard input; None: it is empty.
            session: make it the leader of a session of its own, and of a process group.
        """
        reading, writing = os.pipe()
        try:
            request = json.dumps([list(arguments), dict(environment), session]).encode()
            passed = [output, output if errors is None else errors, *([] if given is None else [given])]
            socket.send_fds(self._channel, [request], [writing, *passed])
        finally:
            os.close(writing)
        (pid,) = NUMBER.unpack(os.read(reading, NUMBER.size))
        return Process(pid, reading)

    def close(self) -> None:
        """End it."""
        self._channel.close()
        self._process.wait()


@functools.cache
def operators() -> Prefork:
    """The one that forks operators, and commands."""
    return Prefork((*OPERATOR, *COMMAND))


def run(
    arguments: Sequence[str], environment: Mapping[str, str], *, given: str = "", patience: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run `python -m` with these arguments, as `subprocess.run` does.

    Raises:
        TimeoutExpired: it has not ended within `patience` seconds.
    """
    with (
        tempfile.TemporaryFile("w+") as read,
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as errors,
    ):
        read.write(given)
        read.seek(0)
        process = operators().start(arguments, environment, output.fileno(), errors.fileno(), given=read.fileno())
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        for file in (output, errors):
            file.seek(0)
        return subprocess.CompletedProcess(arguments, code, output.read(), errors.read())


@functools.cache
def workers() -> Prefork:
    """The one that forks workers."""
    return Prefork(WORKER)


def _serve(channel: socket.socket) -> list[str]:
    """Fork for each request; returns only in the processes that were forked, with their arguments."""
    under_way: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready in under_way:
                pid, told = under_way.pop(ready)
                poll.unregister(ready)
                os.close(ready)
                _tell(told, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                os.close(told)
                continue
            request, descriptors, *_ = socket.recv_fds(channel, REQUEST_BYTES, 4)
            if not request:
                sys.exit()
            told, *passed = descriptors
            pid = os.fork()
            if not pid:
                for inherited in (channel.detach(), told, *under_way, *(pipe for _, pipe in under_way.values())):
                    os.close(inherited)
                arguments, environment, session = json.loads(request)
                if session:
                    os.setsid()
                return _become(arguments, environment, passed)
            for each in passed:
                os.close(each)
            _tell(told, pid)
            pidfd = os.pidfd_open(pid)
            under_way[pidfd] = pid, told
            poll.register(pidfd, select.POLLIN)


def _tell(pipe: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know
        os.write(pipe, NUMBER.pack(number))


def _become(arguments: list[str], environment: dict[str, str], passed: list[int]) -> list[str]:
    """What a new interpreter has of its own: environment, standard files and signals.

    Args:
        passed: descriptors for standard output, standard error, and perhaps standard input.
    """
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(environment)
    for standard, own in zip((1, 2, 0), passed, strict=False):
        os.dup2(own, standard)
        os.close(own)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return arguments


def main(channel: int, modules: Sequence[str]) -> None:
    """Import the modules and serve; a forked process goes on to be what it was started for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    sys.argv = _serve(socket.socket(fileno=channel))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
