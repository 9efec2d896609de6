"""Starts a Nuclei process, reads its outputs, and ends it.

One loop reads its outputs and its trace log, and looks every moment whether it has to stop. It is stopped by SIGINT, which it
handles, and after a while by SIGKILL. Nothing survives the call: the process has a group of its own, which is killed whatever
happens. Its stdin is the null device, since Nuclei waits for minutes on an open one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.judging.classify import StopCause

STOP_GRACE_SECONDS = 10.0
"""How long Nuclei may take to end after SIGINT."""
_TICK_SECONDS = 0.2
_DRAIN_SECONDS = 2.0
_BLOCK_BYTES = 1 << 20
_PIPE_BYTES = 1 << 20

Take = Callable[[bytes], None]


def run(
    command_line: Callable[[str], Sequence[str]],
    environment: Mapping[str, str],
    directory: Path,
    *,
    on_output: Take,
    on_log: Take,
    on_trace: Take,
    on_tick: Callable[[float], StopCause | None],
    stop_grace_seconds: float,
) -> tuple[int, StopCause | None]:
    """Run a process to its end.

    Args:
        command_line: makes the program and its arguments, given the path at which Nuclei writes its trace log: a pipe to
            us, which can't fill a disk or lose a line.
        environment: the whole of it.
        directory: the working directory, where crashes may leave files.
        on_output: takes blocks of stdout.
        on_log: takes blocks of stderr.
        on_trace: takes blocks of the trace log.
        on_tick: called several times a second with the monotonic clock; a cause makes the process stop.
        stop_grace_seconds: between SIGINT and SIGKILL.

    Returns:
        The return code (negative: a signal), and why we stopped it; None where it ended by itself.

    Raises:
        NucleiBinaryError: the program can't be started.
        Exception: what a callback raised, after the process was killed.
    """
    trace, writer = os.pipe()
    try:
        process = _start(command_line(f"/dev/fd/{writer}"), environment, directory, writer)
    except BaseException:
        os.close(trace)
        raise
    finally:
        os.close(writer)
    streams = {trace: on_trace}
    for stream, take in ((process.stdout, on_output), (process.stderr, on_log)):
        if stream is not None:
            streams[stream.fileno()] = take
    try:
        return _watch(process, streams, on_tick, stop_grace_seconds)
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()
        os.close(trace)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _start(
    argv: Sequence[str], environment: Mapping[str, str], directory: Path, inherited: int
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            pass_fds=(inherited,),
        )
    except OSError as error:
        raise NucleiBinaryError(
            Reason.NUCLEI_BINARY_ERROR,
            f"{argv[0]} can't be started: {error.strerror}. Check the scanner image, or NUCLEI_BIN.",
        ) from error


def _watch(
    process: subprocess.Popen[bytes],
    streams: Mapping[int, Take],
    on_tick: Callable[[float], StopCause | None],
    stop_grace_seconds: float,
) -> tuple[int, StopCause | None]:
    stopping = _Stopping(process, on_tick, stop_grace_seconds)
    drained_at = float("inf")
    with selectors.DefaultSelector() as selector:
        for descriptor, take in streams.items():
            _widen(descriptor)
            selector.register(descriptor, selectors.EVENT_READ, take)
        while selector.get_map():
            for key, _ in selector.select(_TICK_SECONDS):
                if block := os.read(key.fd, _BLOCK_BYTES):
                    key.data(block)
                else:
                    selector.unregister(key.fd)
            if process.poll() is None:
                stopping.tick()
                continue
            # A grandchild may hold the pipes open: what is in them by now is all that we wait for.
            drained_at = min(drained_at, time.monotonic() + _DRAIN_SECONDS)
            if time.monotonic() >= drained_at:
                break
    while process.poll() is None:  # it closed its outputs and lives on
        stopping.tick()
        time.sleep(_TICK_SECONDS)
    return process.returncode, stopping.cause


class _Stopping:
    """Stops a process when its time has come: first the signal that it handles, then the one that it can't."""

    def __init__(
        self, process: subprocess.Popen[bytes], on_tick: Callable[[float], StopCause | None], grace_seconds: float
    ) -> None:
        self.cause: StopCause | None = None
        self._process = process
        self._on_tick = on_tick
        self._grace_seconds = grace_seconds
        self._kill_at = float("inf")

    def tick(self) -> None:
        now = time.monotonic()
        if self.cause is None:
            self.cause = self._on_tick(now)
            if self.cause is not None:
                _signal(self._process, signal.SIGINT)
                self._kill_at = now + self._grace_seconds
        elif now >= self._kill_at:
            _signal(self._process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the process' whole group; it may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _widen(descriptor: int) -> None:
    """A larger pipe saves switches between Nuclei and us (Linux; elsewhere, or at the user's limit, it stays as it is)."""
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
