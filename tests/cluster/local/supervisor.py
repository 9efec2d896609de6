"""Process 1 of a local cluster: runs what it is told, in namespaces of its own.

`unshare` starts this file with fresh network, mount and process namespaces. It covers the parts of the file
system that Kubernetes' components write to, so that nothing of theirs reaches the host, then serves commands on
a unix socket: start a component, wait until it is ready, kill it, report. When it dies the kernel ends every
process, mount and interface of the cluster with it. Only the standard library is imported: this is the first
thing a cluster waits for.

A command is one JSON line, and so is its answer, which has "error" when it failed:

    {"do": "start", "name": "etcd", "argv": ["etcd", …]}
    {"do": "wait", "name": "etcd", "ready": "http://127.0.0.1:2379/readyz", "timeout": 60}
    {"do": "kill", "name": "etcd", "signal": 9}
    {"do": "report"}                                  → {"etcd": "running", "kubelet": "exit code 1"}
"""

import contextlib
import functools
import http.client
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from signal import Signals
from urllib.parse import urlsplit

CLUSTER = "/run/cluster"
"""Where the components see the cluster's folder, however long its path on the host (that of a socket is short)."""

CONTROL = "control"
"""The socket's name in that folder."""

PROVISIONED = "/tmp/hostpath_pv"
"""Where kube-controller-manager's hostPath provisioner makes a folder for each claim; it can't be told another."""

KUBELET_SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
"""What the kubelet insists on (setupKernelTunables in its container manager); it would change the host's values."""


def cover(folder: str) -> None:
    """Arrange the mount namespace: the cluster's folder at a fixed place, and private copies of what gets written."""

    def mount(*arguments: str) -> None:
        subprocess.run(["mount", *arguments], check=True)

    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # stays reachable if it is below what gets covered
    os.set_inheritable(handle, True)
    mount("--make-rshared", "/")
    for covered in ("/run", "/var/lib"):
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", covered)
    Path(CLUSTER).mkdir()
    subprocess.run(["mount", "--bind", f"/proc/self/fd/{handle}", CLUSTER], check=True, pass_fds=[handle])
    os.close(handle)
    scratch = {layer: f"/run/tmp/{layer}" for layer in ("upper", "work")}
    for path in scratch.values():
        Path(path).mkdir(parents=True)
    # What is in /tmp stays visible (perhaps the interpreter), what gets written there does not reach the host.
    mount("-t", "overlay", "-o", "lowerdir=/tmp,upperdir={upper},workdir={work}".format(**scratch), "overlay", "/tmp")
    for source, target in (("log", "/var/log"), ("kubelet", "/var/lib/kubelet"), ("volumes", PROVISIONED)):
        Path(CLUSTER, source).mkdir(exist_ok=True)
        Path(target).mkdir(exist_ok=True)
        mount("--bind", f"{CLUSTER}/{source}", target)
    for name, value in KUBELET_SYSCTLS.items():
        stand_in = Path("/run/sysctl", name)
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text(f"{value}\n")
        mount("--bind", str(stand_in), f"/proc/sys/{name}")


def is_ready(check: str) -> bool:
    """Whether a component answers: an http(s) URL with status 200, or unix:PATH by accepting a connection."""
    url = urlsplit(check)
    try:
        if url.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(url.path)
            return True
        connection = (
            http.client.HTTPSConnection(url.netloc, timeout=2, context=ssl._create_unverified_context())  # noqa: S323 (own loopback)
            if url.scheme == "https"
            else http.client.HTTPConnection(url.netloc, timeout=2)
        )
        try:
            connection.request("GET", url.path)
            return connection.getresponse().status == http.client.OK
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


class Children:
    """The components, and the orphans that process 1 inherits from them (containerd's shims)."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pids: dict[str, int] = {}
        self._exits: dict[str, str] = {}

    def start(self, name: str, argv: list[str]) -> None:
        with self._changed:
            if name in self._pids:
                raise RuntimeError(f"{name} runs already")
            log = (os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._pids[name] = os.posix_spawnp(
                argv[0],
                argv,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, f"{CLUSTER}/log/{name}.log", *log),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
            )
            self._exits.pop(name, None)
            self._changed.notify_all()

    def wait(self, name: str, ready: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not is_ready(ready):
            if name in self._exits:
                raise RuntimeError(f"{name} ended with {self._exits[name]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} was not ready within {timeout:.0f} s (no good answer from {ready})")
            time.sleep(0.05)

    def kill(self, name: str, signal: int) -> None:
        with self._changed:
            if name in self._pids:
                os.kill(self._pids[name], signal)
                ends = signal not in (Signals.SIGSTOP, Signals.SIGCONT)
                if ends and not self._changed.wait_for(lambda: name not in self._pids, timeout=30):
                    raise RuntimeError(f"{name} has not ended 30 s after {Signals(signal).name}")

    def report(self) -> dict[str, str]:
        with self._changed:
            return {**self._exits, **dict.fromkeys(self._pids, "running")}

    def reap(self) -> None:
        """Collect whatever ends, for ever. Only this waits for processes, so that no exit is taken by somebody else."""
        while True:
            try:
                pid, status = os.wait()
            except ChildProcessError:
                with self._changed:
                    self._changed.wait_for(lambda: bool(self._pids))
                continue
            code = os.waitstatus_to_exitcode(status)
            with self._changed:
                for name in [name for name, running in self._pids.items() if running == pid]:
                    del self._pids[name]
                    self._exits[name] = f"exit code {code}" if code >= 0 else Signals(-code).name
                self._changed.notify_all()


def open_volumes() -> None:
    """Let any user write to new volumes, as other clusters' provisioners do; the in-tree one makes them 0750."""
    folder, seen, looked = Path(PROVISIONED), set[str](), 0.0
    while True:
        changed = folder.stat().st_mtime
        if changed != looked:
            present = {entry.name for entry in os.scandir(folder)}
            for name in present - seen:
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    (folder / name).chmod(0o777)
            # A folder's time is coarse: another one may still come within the same few milliseconds.
            seen, looked = present, changed if time.time() - changed > 0.1 else 0.0
        time.sleep(0.05)


def serve(children: Children) -> None:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                request = json.loads(line)
                verb = {
                    "start": children.start,
                    "wait": children.wait,
                    "kill": children.kill,
                    "report": children.report,
                }[request.pop("do")]
                try:
                    answer = verb(**request) or {}  # type: ignore[operator]
                except (RuntimeError, OSError) as error:
                    answer = {"error": str(error)}
                self.wfile.write(json.dumps(answer).encode() + b"\n")

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    Server(f"{CLUSTER}/{CONTROL}", Handler).serve_forever()


def end_with(lifeline: int) -> None:
    """End, and the cluster with it, when the process that keeps the other end of this pipe has ended."""
    os.read(lifeline, 1)
    os._exit(0)


def main() -> None:
    folder, *lifelines = sys.argv[1:]
    cover(folder)
    children = Children()
    tasks = [open_volumes, lambda: serve(children)]
    for lifeline in map(int, lifelines):
        os.set_inheritable(lifeline, False)
        tasks.append(functools.partial(end_with, lifeline))
    for task in tasks:
        threading.Thread(target=task, daemon=True).start()
    children.reap()


if __name__ == "__main__":
    main()
