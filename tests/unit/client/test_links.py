"""Links, pipes and devices on a claim: no reader follows them to others' files, or waits for a writer that never comes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from scanplan.cli.output.failure import NotFound as NoResult
from scanplan.cli.result_source import Folder
from scanplan.client import artifacts
from scanplan.client.cluster import pods, reader
from scanplan.client.cluster.failure import Failure, NotFound
from scanplan.client.compat import nuclei_integration, projects
from scanplan.client.queues.local import FOLDER, SyncTaskQueue
from scanplan.client.settings import ClientSettings
from scanplan.web.artifacts.files import open_below

FOREIGN = b'{"template-id":"theirs","info":{"severity":"critical"}}\n'
TASK = "ui_projects/ours/tasks/0123"
FINDINGS = f"{TASK}/nuclei_output.ndjson"
THEIRS = "ui_projects/theirs/tasks/0123"


class Here:
    """A cluster whose pod's programs run on this machine."""

    def execute(self, _namespace: str, _pod: str, command: tuple[str, ...], **_: float) -> Iterator[bytes]:
        ran = subprocess.run([sys.executable, *command[1:]], capture_output=True, timeout=120, check=False)
        if ran.returncode:
            raise Failure(ran.stderr.decode())
        yield ran.stdout


@pytest.fixture
def claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / THEIRS).mkdir(parents=True)
    (tmp_path / THEIRS / "nuclei_output.ndjson").write_bytes(FOREIGN)
    monkeypatch.setattr(pods, "MOUNT", str(tmp_path))
    return tmp_path


def cluster() -> Any:
    return Here()


def by_reader_pod(_: Path, path: str) -> bytes:
    content = io.BytesIO()
    reader.Reader(cluster(), "ns", "pod").copy(path, _Sink(content))
    return content.getvalue()


class _Sink:
    def __init__(self, content: io.BytesIO) -> None:
        self.write = content.write


def by_command_line(claim: Path, path: str) -> bytes:
    content = io.BytesIO()
    Folder(claim).copy(path, content)
    return content.getvalue()


def by_api(claim: Path, path: str) -> bytes:
    with os.fdopen(open_below(claim, PurePosixPath(path)), "rb") as file:
        return file.read()


READERS = [by_reader_pod, by_command_line, by_api]
ABSENT = (FileNotFoundError, NotFound, NoResult)


def file_link(claim: Path) -> str:
    (claim / TASK).mkdir(parents=True)
    (claim / FINDINGS).symlink_to(claim / THEIRS / "nuclei_output.ndjson")
    return FINDINGS


def relative_link(claim: Path) -> str:
    (claim / TASK).mkdir(parents=True)
    (claim / FINDINGS).symlink_to("../../../theirs/tasks/0123/nuclei_output.ndjson")
    return FINDINGS


def linked_task(claim: Path) -> str:
    (claim / TASK).parent.mkdir(parents=True)
    (claim / TASK).symlink_to(claim / THEIRS)
    return FINDINGS


def linked_tasks(claim: Path) -> str:
    (claim / TASK).parent.parent.mkdir(parents=True)
    (claim / TASK).parent.symlink_to((claim / THEIRS).parent)
    return FINDINGS


def pipe(claim: Path) -> str:
    (claim / TASK).mkdir(parents=True)
    os.mkfifo(claim / FINDINGS)
    return FINDINGS


def device(claim: Path) -> str:
    (claim / TASK).mkdir(parents=True)
    (claim / FINDINGS).symlink_to("/dev/zero")
    return FINDINGS


def upwards(claim: Path) -> str:
    """As a run's record may say: its author writes what it likes as a task's path."""
    (claim / TASK).mkdir(parents=True)
    return f"{TASK}/../../../theirs/tasks/0123/nuclei_output.ndjson"


def folder(claim: Path) -> str:
    (claim / FINDINGS).mkdir(parents=True)
    return FINDINGS


@pytest.mark.parametrize("kind", [file_link, relative_link, linked_task, linked_tasks, pipe, device, upwards, folder])
@pytest.mark.parametrize("read", READERS)
def test_no_reader_leaves_the_folder_or_waits(
    claim: Path, read: Callable[[Path, str], bytes], kind: Callable[[Path], str]
) -> None:
    path = kind(claim)
    with pytest.raises(ABSENT):
        read(claim, path)


@pytest.mark.parametrize("read", READERS)
def test_regular_files_are_read(claim: Path, read: Callable[[Path, str], bytes]) -> None:
    assert read(claim, f"{THEIRS}/nuclei_output.ndjson") == FOREIGN


def test_a_reader_pod_lists_regular_files_alone(claim: Path) -> None:
    """Otherwise one link would name others' files, and keep `artifacts get --all` from fetching the rest."""
    (claim / TASK / "shards").mkdir(parents=True)
    (claim / TASK / "shards/log").write_bytes(b"12345")
    (claim / TASK / "link").symlink_to(claim / THEIRS / "nuclei_output.ndjson")
    (claim / TASK / "folder").symlink_to(claim / THEIRS)
    os.mkfifo(claim / TASK / "pipe")
    files = reader.Reader(cluster(), "ns", "pod").files
    assert files(TASK) == [("shards/log", 5)]
    assert files(f"{TASK}/folder") == files(f"{TASK}/none") == files(f"{TASK}/../../../theirs") == []


def test_programs_read_no_pipe_and_no_link(claim: Path) -> None:
    run, queue = claim / "ui_projects/ours", claim / "projects/ours"
    for place, name in ((run, artifacts.RECORD), (queue, projects.QUEUE), (run, "findings.ndjson")):
        place.mkdir(parents=True, exist_ok=True)
        os.mkfifo(place / name)
    assert artifacts.recorded(run) == {}
    with pytest.raises(FileNotFoundError):
        nuclei_integration.to_internal_findings(run / "findings.ndjson")
    assert projects._read(queue / projects.QUEUE) == ""
    (run / ".lock").symlink_to(claim / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), artifacts.locked(run / ".lock"):
        pass
    assert not (claim / "elsewhere").exists()


@pytest.mark.parametrize("name", ["json", "lock"])
def test_the_sync_queue_waits_for_no_pipe(claim: Path, name: str) -> None:
    task = f"scan-{'0' * 20}"
    (claim / FOLDER).mkdir()
    os.mkfifo(claim / FOLDER / f"{task}.{name}")
    queue = SyncTaskQueue(ClientSettings(data_directory=claim))
    assert queue._stored(task) is None
    assert not queue._is_running(task)
