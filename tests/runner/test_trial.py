"""What `scanplan doctor --claim` says of volumes: real ones, good and bad."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanplan.api import environment
from scanplan.api.v1alpha1.volume_trial import VolumeTrial
from scanplan.cli.checks import storage
from scanplan.cli.checks.check import Verdict
from scanplan.runner.artifacts import trial

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a volume")


def run(folder: Path) -> VolumeTrial:
    """Try a folder in a process of its own, as the pod does."""
    log = folder.parent / "termination-log"
    variables = {**os.environ, environment.TERMINATION_LOG: str(log)}
    subprocess.run([sys.executable, "-m", "scanplan.runner.artifacts.trial", folder], env=variables, check=True)
    assert len(log.read_bytes()) <= 4096
    return msgspec.json.decode(log.read_bytes(), type=VolumeTrial)


def as_user(user: int, folder: Path) -> VolumeTrial:
    """Try a folder as another user, who may not reach it by its path."""
    reading, writing = os.pipe()
    if not os.fork():
        os.chdir(folder)
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        os.write(writing, msgspec.json.encode(trial.trial(Path())))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        return msgspec.json.decode(told.read(), type=VolumeTrial)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    made: list[Path] = []

    def mounted(*options: str) -> Path:
        folder = tmp_path / f"volume-{len(made)}"
        folder.mkdir()
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", folder], check=True)
        except subprocess.CalledProcessError:
            pytest.skip("mounting is not allowed here")
        made.append(folder)
        return folder

    yield mounted
    for folder in made:
        subprocess.run(["umount", "--lazy", folder], check=True)


def words(found: VolumeTrial) -> str:
    return " ".join(f"{check.verdict}: {check.seen} {check.advice}" for check in storage.of_trial("shelf", found))


def test_a_good_volume_does_everything_and_is_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "claim"
    folder.mkdir()
    found = run(folder)
    assert not found.failed
    assert not [each for each in found.attempts if each.error]
    assert not list(folder.iterdir())
    assert Verdict.FAILED not in words(found)


@needs_root
def test_a_volume_that_is_read_only(volume: Callable[..., Path]) -> None:
    assert "EROFS" in words(run(volume("size=2m", "ro")))


@needs_root
def test_a_volume_that_is_full(volume: Callable[..., Path]) -> None:
    folder = volume("size=64k")
    found = run(folder)
    assert found.failed[0].error == "ENOSPC"
    assert "a larger claim" in words(found)
    assert not list(folder.iterdir())


@needs_root
def test_a_volume_of_somebody_else(volume: Callable[..., Path]) -> None:
    """What NFS with root squash, EFS and hostPath look like to a scan pod."""
    folder = volume("size=2m", "mode=0755")
    found = as_user(65532, folder)
    assert [each.error for each in found.failed] == ["EACCES"]
    assert all(word in words(found) for word in ("65532:65532", "0:0, mode 0755", "root squash", "EFS", "SMB"))


FAULTS: dict[str, tuple[str, int, str]] = {
    "an object store that can't rename": ("replace", errno.ENOSYS, "S3"),
    "no hard links": ("hardlink_to", errno.EPERM, "nothing: files are published by a rename"),
    "no symbolic links": ("symlink_to", errno.EPERM, "nothing: a run has no link"),
    "folders that can't be renamed": ("rename", errno.ENOTSUP, "prune"),
}


@pytest.mark.parametrize(("call", "error", "told"), FAULTS.values(), ids=FAULTS)
def test_file_systems_that_lack_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: int, told: str
) -> None:
    """By a call that fails: no such file system can be mounted here."""

    def fails(*_: Any) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, call, fails)
    found = trial.trial(tmp_path)
    assert told in words(found)
    assert bool(found.failed) is (call == "replace")


def test_an_object_store_that_can_not_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def opens(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & os.O_APPEND:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        return real(path, flags, *arguments, **named)

    monkeypatch.setattr(os, "open", opens)
    found = trial.trial(tmp_path)
    assert found.failed[0].what == "append to a file"
    assert "S3" in words(found)


@pytest.mark.parametrize(
    ("modes", "verdict", "told"),
    [
        (["ReadWriteMany"], Verdict.WELL, ""),
        (["ReadWriteOnce", "ReadWriteMany"], Verdict.WELL, ""),
        (["ReadWriteOnce"], Verdict.WELL, "one node"),
        (["ReadWriteOncePod"], Verdict.WARNING, "one pod at a time"),
        (["ReadOnlyMany"], Verdict.FAILED, "read-only"),
        ([], Verdict.FAILED, "read-only"),
    ],
)
def test_what_access_modes_mean(modes: list[str], verdict: Verdict, told: str) -> None:
    found, seen = storage.of_modes(modes)
    assert (found, told in seen) == (verdict, True)
