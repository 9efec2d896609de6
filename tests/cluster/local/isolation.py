"""The walls around a local cluster, seen from the host.

`spawn` starts process 1 in namespaces of its own, `connect` gives it a network link, and `make_cgroups` a
cgroup. The first two vanish with process 1, whatever killed it; `remove_cgroups` sweeps up the third.

Clusters never clash, because the kernel hands out what they could fight for: making a network link of a taken
name fails, so its number, and with it the link's addresses, is the first that works.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

from tests.cluster import programs
from tests.cluster.errors import ClusterError
from tests.cluster.local import supervisor

SLOTS = 256
NOTE_PID = 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec "$@"'
CGROUPS = Path("/sys/fs/cgroup")
GARBAGE_PERCENT = "400"
"""How much of what it uses a component's garbage may grow to before it is collected: memory for a tenth of its processor time."""


def link(slot: int) -> str:
    """The name of the host's end of a cluster's network link."""
    return f"scanplan{slot}"


def host_address(slot: int) -> str:
    return f"198.18.{slot}.1"


def node_address(slot: int) -> str:
    """Where the host reaches the cluster, in 198.18.0.0/15, which is nobody's: it is meant for tests (RFC 2544)."""
    return f"198.18.{slot}.2"


def spawn(folder: Path, path: list[Path], *, temporary: bool) -> None:
    """Start process 1 for the cluster of that folder, with these folders of binaries first on its PATH.

    The outer process notes its own id before anything else, so that even a killed start can be ended by `end`. Of one
    that is `temporary`, process 1 reads from a pipe whose other end this process keeps, and ends when that is closed.
    """
    lifeline: tuple[int, ...] = ()
    if temporary:
        reading, _ = os.pipe()
        lifeline = (reading,)
    (folder / "log").mkdir()
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    init = [sys.executable, "-IS", supervisor.__file__, str(folder), *map(str, lifeline)]
    search = ":".join([*map(str, path), programs.SYSTEM_PATH])
    with (folder / "log" / "supervisor.log").open("wb") as log:
        subprocess.run(
            ["setsid", "--fork", "sh", "-c", NOTE_PID, str(folder / "pid"), *unshare, *init],
            env={"PATH": search, "HOME": "/root", "LANG": "C.UTF-8", "GOGC": GARBAGE_PERCENT},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=lifeline,
            check=True,
        )
    for each in lifeline:
        os.close(each)


def outer_pid(folder: Path) -> int | None:
    """The host's process that holds the cluster, if it lives. A reused process id is not mistaken for it."""
    try:
        pid = int((folder / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if os.fsencode(folder) in command else None


def end(folder: Path) -> None:
    """Kill everything within, and return when the last process is gone."""
    pid = outer_pid(folder)
    if pid is None:
        return
    # unshare would take process 1 with it, but would not wait for it; killed the other way round, its end is the end.
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for victim in children or [str(pid)]:
        os.kill(int(victim), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while outer_pid(folder) is not None and programs.lives(pid):
        if time.monotonic() > deadline:
            raise ClusterError(f"process {pid} does not end, 30 s after its cluster was killed: see `ps -ef --forest`")
        time.sleep(0.02)


def connect(pid: int) -> int:
    """Lay a network link from the host to the namespace of a process; return the link's slot.

    There is no route beyond the host: what runs in a test cluster reaches nobody else.
    """
    for slot in range(SLOTS):
        try:
            programs.run("ip", "link", "add", link(slot), "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        except ClusterError as error:
            if "File exists" not in str(error):
                raise
        else:
            break
    else:
        raise ClusterError(f"all {SLOTS} network links are taken: end some clusters (python -m tests.cluster list)")
    ours = [f"addr add {host_address(slot)}/30 dev {link(slot)}", f"link set {link(slot)} up"]
    theirs = ["link set lo up", f"addr add {node_address(slot)}/30 dev eth0", "link set eth0 up"]
    programs.run("ip", "-batch", "-", text="\n".join(ours))
    programs.run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-", text="\n".join(theirs))
    return slot


def disconnect(slot: int) -> None:
    """Remove a link now, rather than when the kernel gets to the dead namespace."""
    with contextlib.suppress(ClusterError):  # it may be gone
        programs.run("ip", "link", "delete", link(slot))


def is_cgroup_v1() -> bool:
    return not (CGROUPS / "cgroup.controllers").exists()


def cgroup(folder: Path) -> str:
    """The cgroup of a cluster's pods, absolute within each hierarchy; another user's cluster may have the same name."""
    return f"/scanplan-{folder.name}-{zlib.crc32(os.fsencode(folder)):08x}"


def _cgroup_folders(folder: Path) -> list[Path]:
    hierarchies = [path for path in CGROUPS.iterdir() if path.is_mount()] if is_cgroup_v1() else [CGROUPS]
    return [hierarchy / cgroup(folder)[1:] for hierarchy in hierarchies]


def make_cgroups(folder: Path) -> None:
    """Make the cgroup in every hierarchy, with every controller that there is (the kubelet checks)."""
    if not is_cgroup_v1():
        for controller in (CGROUPS / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):  # what the kubelet needs and doesn't find, it names itself
                (CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
    for path in _cgroup_folders(folder):
        path.mkdir(exist_ok=True)


def remove_cgroups(folder: Path) -> None:
    """Remove the cgroup and all below; the kernel needs a moment after the last process of each."""
    deadline = time.monotonic() + 10
    for root in _cgroup_folders(folder):
        while root.exists():
            for path, _, _ in os.walk(root, topdown=False):
                try:
                    Path(path).rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        raise
            time.sleep(0.01)
