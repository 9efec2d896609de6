"""Running other programs: found where Debian has them, and what they complain about becomes our error."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from tests.cluster.errors import ClusterError

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Root's PATH; `su` keeps that of a user, who has no sbin."""

LAST_LINES = 30


def find(program: str) -> str | None:
    """A program's path: beside this Python (where wheels such as kubectl's put theirs), on PATH, or in the system."""
    beside_python = str(Path(sys.prefix, "bin"))
    return shutil.which(program, path=os.pathsep.join([beside_python, os.environ.get("PATH", ""), SYSTEM_PATH]))


def run(
    *argv: str,
    failure: type[ClusterError] = ClusterError,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: BinaryIO | None = None,
    text: str | None = None,
) -> str:
    """Run a program to its end, with a file or a text as its input; return what it printed.

    Raises `failure`, with the end of what it said (on standard error, if anything), when it is not there or does not succeed.
    """
    where = find(argv[0]) or argv[0]
    try:
        ran = subprocess.run(
            [where, *argv[1:]],
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            stdin=stdin if text is None else None,
            input=None if text is None else text.encode(),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise failure(f"{argv[0]} is not installed") from None
    if ran.returncode != 0:
        said = (ran.stderr.strip() or ran.stdout).decode(errors="replace")
        words = "\n".join(said.strip().splitlines()[-LAST_LINES:])
        raise failure(f"`{' '.join(argv)}` failed: {words or f'exit code {ran.returncode}'}")
    return ran.stdout.decode(errors="replace")


def lives(pid: int) -> bool:
    """Whether a process is more than an entry that init has not collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False
