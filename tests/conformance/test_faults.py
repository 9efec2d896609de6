"""The stand-in's faults, which a test asks for by a template: each is what its name says, and a real Nuclei ignores them."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time

import pytest

import tests.doubles
from tests.conformance.conftest import Site
from tests.conformance.laboratory import Laboratory

STATISTICS = ("-stats", "-sj", "-si", "1")


@pytest.fixture
def stand_in(doubles: tests.doubles.Doubles, tmp_path: pathlib.Path) -> Laboratory:
    return Laboratory(doubles.nuclei, tmp_path)


def faulty(lab: Laboratory, fault: object, name: str = "faulty", path: str = "/robots.txt") -> pathlib.Path:
    return lab.template(name, path, metadata={"x-double-fault": fault})


@pytest.mark.parametrize(
    ("fault", "code"),
    [("panic", 2), ("exit:7", 7), ("kill", -signal.SIGKILL), ("torn", -signal.SIGKILL)],
)
def test_sudden_death(stand_in: Laboratory, site: Site, fault: str, code: int) -> None:
    done = stand_in.run("-l", stand_in.targets(site.url), "-t", faulty(stand_in, fault))
    assert done.code == code
    assert ("panic: " in done.stderr) == (fault == "panic")
    assert (done.stdout.startswith('{"template') and not done.stdout.endswith("\n")) == (fault == "torn")


def test_crash_after_some_findings(stand_in: Laboratory, site: Site) -> None:
    templates = [
        "-t",
        faulty(stand_in, "crash-after:2", "a"),
        "-t",
        stand_in.template("b"),
        "-t",
        stand_in.template("c"),
    ]
    done = stand_in.run("-l", stand_in.targets(site.url), *templates, "-c", 1)
    assert (done.code, done.found) == (2, ["a", "b"])


def test_a_hang_sends_nothing_and_can_be_interrupted(stand_in: Laboratory, site: Site) -> None:
    with stand_in.start("-l", stand_in.targets(site.url), "-t", faulty(stand_in, "hang"), *STATISTICS) as process:
        assert process.stderr
        lines = (line for line in process.stderr if line.startswith("{"))
        assert '"requests":"0"' in next(lines)
        assert '"requests":"0"' in next(lines)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 1
        assert process.stdout
        process.stdout.read()


def test_a_deaf_one_must_be_killed(stand_in: Laboratory, site: Site) -> None:
    with stand_in.start("-l", stand_in.targets(site.url), "-t", faulty(stand_in, "deaf"), *STATISTICS) as process:
        assert process.stderr
        next(line for line in process.stderr if line.startswith("{"))
        process.send_signal(signal.SIGINT)
        next(line for line in process.stderr if "Attempting graceful shutdown" in line)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.terminate()
        assert process.wait(timeout=120) == -signal.SIGTERM
        assert process.stdout
        process.stdout.read()
        process.stderr.read()


def test_memory_grows_until_something_kills_it(stand_in: Laboratory, site: Site) -> None:
    with stand_in.start("-l", stand_in.targets(site.url), "-t", faulty(stand_in, "oom")) as process:
        deadline = time.monotonic() + 120
        while resident(process.pid) < 64 << 20:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.communicate()


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_flood_of_findings_of_a_size(stand_in: Laboratory, site: Site) -> None:
    targets = stand_in.targets(site.url, site.other_url)
    done = stand_in.run(
        "-l", targets, "-t", faulty(stand_in, "flood:50:1000"), base=("-duc", "-ni", "-nc", "-jsonl", "-ot")
    )
    assert (done.code, len(done.events)) == (0, 100)
    assert len({event["matched-at"] for event in done.events}) == 100
    assert all(len(event["response"]) >= 1000 for event in done.events)
    assert site.requests() == {}


def test_garbage_among_findings(stand_in: Laboratory, site: Site) -> None:
    done = stand_in.run("-l", stand_in.targets(site.url), "-t", faulty(stand_in, "garbage"))
    lines = done.stdout.splitlines()
    assert (done.code, len(lines)) == (0, 9)
    assert lines[-1].startswith('{"template-id":"faulty"')


def test_chatter_on_stderr(stand_in: Laboratory, site: Site) -> None:
    done = stand_in.run("-l", stand_in.targets(site.url), "-t", faulty(stand_in, "chatter:500"))
    assert (done.code, done.found) == (0, ["faulty"])
    assert sum("Chatter" in line for line in done.log) == 500


def test_slow_requests(stand_in: Laboratory, site: Site) -> None:
    done = stand_in.run("-l", stand_in.targets(site.url), "-t", faulty(stand_in, "slow:1"))
    assert done.found == ["faulty"]


def test_several_faults_at_once(stand_in: Laboratory, site: Site) -> None:
    done = stand_in.run("-l", stand_in.targets(site.url), "-t", faulty(stand_in, ["chatter:3", "exit:9"]))
    assert done.code == 9
    assert sum("Chatter" in line for line in done.log) == 3


@pytest.mark.parametrize("fault", ["nonsense", "exit", "slow:fast"])
def test_a_fault_that_does_not_exist_is_a_template_that_does_not_compile(
    stand_in: Laboratory, site: Site, fault: str
) -> None:
    done = stand_in.run("-l", stand_in.targets(site.url), "-t", faulty(stand_in, fault))
    assert done.code == 1
    assert "Found 1 templates with runtime error" in done.stderr


def test_a_real_nuclei_ignores_the_key(lab: Laboratory, site: Site, doubles: tests.doubles.Doubles) -> None:
    if lab.scanner == doubles.nuclei:
        pytest.skip("this is about the real one")
    assert lab.run("-l", lab.targets(site.url), "-t", faulty(lab, "panic")).found == ["faulty"]
