"""The host's end of the conversation with a cluster's process 1 (see `tests.cluster.local.supervisor`)."""

import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.errors import NotUpError, StartError
from tests.cluster.local import isolation
from tests.cluster.local.components import Component
from tests.cluster.local.supervisor import CONTROL

LOG_LINES = 30


def start(folder: Path, component: Component) -> None:
    """Run a component; return at once. Raises StartError when it can't be run."""
    _ask(folder, do="start", name=component.name, argv=component.argv)


def wait(folder: Path, component: Component, timeout: float = 180) -> None:
    """Return when a component is ready. Raises StartError with the end of its log if it ends first, or is too slow."""
    try:
        _ask(folder, do="wait", name=component.name, ready=component.ready, timeout=timeout)
    except StartError as error:
        raise StartError(f"{error}; the end of its log:\n{tail(folder, component.name)}") from None


def kill(folder: Path, name: str, signal: int) -> None:
    """Send a component a signal; return when it is gone."""
    _ask(folder, do="kill", name=name, signal=signal)


def report(folder: Path) -> dict[str, str]:
    """Each component's state: "running", "exit code 1", "SIGKILL"."""
    return _ask(folder, do="report")


def first_pid(folder: Path, timeout: float = 10) -> int:
    """Wait until process 1 answers, and return its id as the host sees it."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            with _connection(folder) as connection:
                credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                pid, _, _ = struct.unpack("3i", credentials)
                return int(pid)
        except OSError:
            if time.monotonic() > deadline or _ended(folder):
                raise StartError(f"the cluster's process 1 did not start:\n{tail(folder, 'supervisor')}") from None
            time.sleep(0.01)


def _ended(folder: Path) -> bool:
    """Whether the outer process was there and is gone; it looks gone, too, for the instant in which it becomes unshare."""
    if not (folder / "pid").exists() or isolation.outer_pid(folder) is not None:
        return False
    time.sleep(0.1)
    return isolation.outer_pid(folder) is None


def tail(folder: Path, name: str) -> str:
    """The last lines of a component's log."""
    path = folder / "log" / f"{name}.log"
    lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:] if path.exists() else []
    return "\n".join(f"    {line}" for line in lines) or "    (empty)"


@contextmanager
def _connection(folder: Path) -> Iterator[socket.socket]:
    # By way of the folder's descriptor, because the path of a unix socket can't be longer than 108 bytes.
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"/proc/self/fd/{handle}/{CONTROL}")
            yield connection
    finally:
        os.close(handle)


def _ask(folder: Path, **request: object) -> dict[str, Any]:
    try:
        with _connection(folder) as connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            line = stream.readline()
    except OSError as error:
        raise NotUpError(f"cluster “{folder.name}” is not running ({error})") from None
    if not line:
        raise NotUpError(f"cluster “{folder.name}” ended while it was asked to {request['do']}")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise StartError(answer["error"])
    return answer
