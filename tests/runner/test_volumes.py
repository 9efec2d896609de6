"""A real small volume that fills up, or turns read-only, under a running scan."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanplan.api import layout
from scanplan.api.documents.words import Outcome
from scanplan.api.exit_codes import ExitCode

from .conftest import Bench

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a volume"),
    pytest.mark.skipif("NUCLEI_BIN" in os.environ, reason="the real Nuclei has no floods on order"),
]


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


@pytest.fixture
def volume(bench: Bench) -> Iterator[Path]:
    """A claim of 2 MiB."""
    claim = bench.folder / "claim"
    claim.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(claim))
    except subprocess.CalledProcessError:
        pytest.skip("mounting is not allowed here")
    yield claim
    subprocess.run(["umount", "--lazy", claim], check=True)


def published(bench: Bench, attempt: int) -> list[dict[str, object]]:
    content = (bench.shard_folder() / f"attempt-{attempt}" / layout.FINDINGS).read_bytes()
    assert content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


def test_a_full_volume_is_a_temporary_failure_and_what_fitted_is_published(bench: Bench, volume: Path) -> None:
    bench.template("flood", fault="flood:100:40000")
    full = bench.attempt()
    assert (full.code, full.reason) == (ExitCode.TEMPORARY, "DiskFull")
    assert full.report is not None
    assert full.report.findings.total == len(published(bench, 1)) > 10
    again = bench.attempt()
    assert (again.code, again.reason) == (ExitCode.TEMPORARY, "DiskFull")
    mount("-o", "remount,size=40m", str(volume))
    last = bench.attempt()
    assert last.code == 0
    assert len(bench.findings()) == 100


def test_a_volume_that_is_full_before_the_first_attempt(bench: Bench, volume: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (volume / "ballast").write_bytes(bytes(3 << 20))
    full = bench.attempt()
    assert (full.code, full.reason) == (ExitCode.TEMPORARY, "DiskFull")
    (volume / "ballast").unlink()
    assert bench.attempt().code == 0


def test_a_volume_too_full_to_merge_fails_without_a_half_merge(bench: Bench, volume: Path) -> None:
    bench.template("flood", fault="flood:30:40000")
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.TEMPORARY, "DiskFull")
    assert not (bench.merged / layout.FINDINGS).exists()
    assert not list(bench.merged.glob(".*"))
    mount("-o", "remount,size=40m", str(volume))
    merged = bench.attempt()
    assert merged.code == 0
    assert merged.report is not None
    assert merged.report.replayed
    assert merged.report.merged is not None
    assert merged.report.merged.complete


def test_a_scan_in_steps_that_can_not_be_merged_costs_retries(bench: Bench, volume: Path) -> None:
    """Lost otherwise: the end of the scan, which would be tried again for ever."""
    del volume
    bench.template("plain")
    plain = bench.templates[0].rename(bench.folder / "first")
    bench.template("flood", fault="flood:30:40000")
    bench.templates.insert(0, plain)
    for replayed in (False, True, True):
        attempt = bench.attempt()
        assert (attempt.code, attempt.reason) == (ExitCode.TEMPORARY, "DiskFull")
        assert attempt.report is not None
        assert (attempt.report.outcome, attempt.report.replayed) == (Outcome.COMPLETE, replayed)


def test_a_read_only_volume_is_not_writable(bench: Bench, volume: Path) -> None:
    mount("-o", "remount,ro", str(volume))
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "ClaimNotWritable")
