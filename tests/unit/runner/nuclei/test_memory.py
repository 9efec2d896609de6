"""Memory trouble must be called by its name, on old and new nodes, and never be invented."""

from __future__ import annotations

from pathlib import Path

from scanplan.runner.nuclei.memory import Memory


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_a_pod_of_version_2(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("0::/\n")
    write(
        tmp_path / "root",
        memory__events="low 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n",
        memory__max="1000\n",
        memory__current="950\n",
        memory__stat="anon 1\ninactive_file 150\n",
    )
    memory = Memory.of_this_process(membership, tmp_path / "root")
    assert memory.kills() == 2
    assert memory.share() == 0.8


def test_a_pod_of_version_1_does_not_see_the_path_that_it_is_told(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("9:name=systemd:/\n4:memory:/kubepods/pod1/c1\n0::/\n")
    write(
        tmp_path / "root/memory",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
        memory__limit_in_bytes="1000",
        memory__usage_in_bytes="500",
        memory__stat="inactive_file 1\ntotal_inactive_file 100\n",
    )
    memory = Memory.of_this_process(membership, tmp_path / "root")
    assert (memory.kills(), memory.share()) == (5, 0.4)
    write(tmp_path / "root/memory/kubepods/pod1/c1", memory__oom_control="oom_kill 1\n")
    assert Memory.of_this_process(membership, tmp_path / "root").kills() == 1


def test_without_limit_or_files_nothing_is_claimed(tmp_path: Path) -> None:
    write(tmp_path / "root", memory__max="max\n", memory__current="950\n", memory__events="rubbish\n")
    for memory in (
        Memory(folder=tmp_path / "root"),
        Memory.of_this_process(tmp_path / "missing", tmp_path / "nowhere"),
    ):
        assert (memory.kills(), memory.share()) == (0, 0.0)
