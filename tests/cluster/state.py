"""What this machine remembers of its clusters: one folder each, outside the checkout.

`$XDG_STATE_HOME/scanplan/clusters/NAME` holds `cluster.json` (the record below), `kubeconfig`, and whatever the
provider keeps there. Making the folder is what claims the name; an advisory lock on the folder itself tells a
cluster that is just being started or stopped from one that was left behind, and the kernel drops it with the
process that held it.
"""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tests.cluster.errors import AlreadyUpError, BusyError, UnsupportedError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def home() -> Path:
    """The folder of all clusters' folders."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "scanplan" / "clusters"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of a cluster besides what its provider can see."""

    name: str
    provider: str
    control_plane_only: bool = False
    temporary: bool = False
    """Local clusters: whether it ends with the process that started it."""
    starting: bool = False
    """Whether its start has not come to its end: it is under way, or was killed."""
    slot: int | None = None
    """Local clusters: the number of its network link (see `tests.cluster.local.isolation`)."""
    created: float = field(default_factory=time.time)
    """Seconds since the epoch."""

    @property
    def folder(self) -> Path:
        """Where the cluster's files are."""
        return home() / self.name

    def save(self) -> None:
        """Write the record, all or nothing."""
        draft = self.folder / "cluster.json.new"
        draft.write_text(json.dumps(asdict(self)))
        draft.rename(self.folder / "cluster.json")


def names() -> list[str]:
    """The names of all clusters that have a folder."""
    return sorted(path.name for path in home().glob("*") if path.is_dir())


def load(name: str) -> Record | None:
    """The record of a cluster, or None. A folder whose `up` was killed before it wrote one counts as a local one."""
    folder = home() / check(name)
    if not folder.is_dir():
        return None
    try:
        return Record(**json.loads((folder / "cluster.json").read_text()))
    except FileNotFoundError:
        return Record(name=name, provider="local", starting=True, created=folder.stat().st_mtime)


def check(name: str) -> str:
    """Return the name if it can be one, that is a DNS label of at most 40 characters."""
    if not _NAME.fullmatch(name):
        raise UnsupportedError(f"“{name}” can't name a cluster: use at most 40 of a-z, 0-9 and -, no - at the ends")
    return name


@contextmanager
def claimed(record: Record) -> Iterator[Record]:
    """Take the record's name, and hold it while the block starts the cluster; give the record as it is saved."""
    try:
        (home() / check(record.name)).mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise AlreadyUpError(
            f"there is a cluster “{record.name}” already: use it (up --reuse), or end it first "
            f"(python -m tests.cluster down --name {record.name})"
        ) from None
    with held(record):
        begun = replace(record, starting=True)
        begun.save()
        yield begun
        replace(load(record.name) or begun, starting=False).save()


@contextmanager
def held(record: Record) -> Iterator[bool]:
    """Keep others from starting or stopping the cluster during the block, which gets False when there is none."""
    try:
        folder = os.open(record.folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"cluster “{record.name}” is being started or stopped by another process") from None
        yield record.folder.exists()  # the one who held it before may have removed it
    finally:
        os.close(folder)


def forget(record: Record) -> None:
    """Remove the cluster's folder, and the folders above it that are left empty."""
    shutil.rmtree(record.folder)
    for folder in (home(), home().parent):
        try:
            folder.rmdir()
        except OSError:
            break
