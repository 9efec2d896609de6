"""A real memory limit of a cgroup, as a pod has one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanplan.api.documents.words import encode
from scanplan.api.exit_codes import ExitCode
from scanplan.runner.nuclei.memory import Memory

from .conftest import Bench

LIMIT = 300 << 20


@pytest.fixture
def limited() -> Iterator[Path]:
    """A cgroup below our own, with a memory limit."""
    own = Memory.of_this_process()
    group = own.folder / f"scanplan-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / own.limit).write_text(str(LIMIT))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"no cgroup with a memory limit can be made here: {error}")
    yield group
    group.rmdir()


@pytest.mark.skipif("NUCLEI_BIN" in os.environ, reason="the real Nuclei doesn't run out of memory on order")
def test_a_scanner_killed_for_memory_is_told_from_other_kills(bench: Bench, limited: Path) -> None:
    bench.template("a-good")
    bench.template("z-oom", fault="oom")
    (bench.folder / "task" / "task.json").write_bytes(encode(bench.document))
    starting = (
        f"import os, sys; open({str(limited / 'cgroup.procs')!r}, 'w').write(str(os.getpid()));"
        "os.execv(sys.executable, [sys.executable, '-m', 'scanplan.runner'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", starting],
        env=bench.variables(0),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    attempt = bench.end(process)
    assert (attempt.code, attempt.reason) == (ExitCode.TEMPORARY, "OutOfMemory")
    assert attempt.report is not None
    assert attempt.report.error is not None
    assert "memory limit" in attempt.report.error.message
