"""Typed JSON in several threads. Lost otherwise: the process of a program, a worker or the API, by a segmentation fault."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import scanplan

PROGRAM = """
import sys, threading
sys.setswitchinterval(1e-6)
from scanplan.api import wire
from scanplan.api.documents.records import RunRecord, ScanMetadata, ShardRecord

together = threading.Barrier(8)

def read():
    together.wait()
    for kind in (ScanMetadata, ShardRecord, RunRecord):
        try:
            wire.decode(b'{"key": "x", "shards": [{"shard": 1, "attempts": [{"attempt": 1}]}]}', kind)
        except wire.UNREADABLE:
            pass

threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("_attempt", range(5))
def test_threads_may_meet_a_type_at_the_same_time(_attempt: int) -> None:
    assert subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode == 0


def test_all_types_are_met_here() -> None:
    """One that msgspec meets elsewhere can meet another thread."""
    package = Path(scanplan.__file__).parent
    found = [
        f"{path.relative_to(package)}:{call.lineno}"
        for path in package.rglob("*.py")
        if path != package / "api" / "wire.py"
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and (
            (ast.unparse(call.func) == "msgspec.json.decode" and any(each.arg == "type" for each in call.keywords))
            or (ast.unparse(call.func) == "msgspec.json.Decoder" and (call.args or call.keywords))
            or ast.unparse(call.func) == "msgspec.convert"
        )
    ]
    assert found == []
