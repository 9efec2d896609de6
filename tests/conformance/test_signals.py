"""How a scan is stopped, what it leaves, and how the next one goes on from there."""

from __future__ import annotations

import json
import signal

import pytest

from tests.conformance.conftest import Site
from tests.conformance.laboratory import Laboratory

SERIAL = ("-c", "1", "-bs", "1")


def long_scan(lab: Laboratory, site: Site) -> list[object]:
    for i in range(12):
        lab.template(f"t{i:02}", f"/search?q={i}")
    return ["-l", lab.targets(site.url), "-t", lab.templates, *SERIAL, "-o", lab.folder / "out.jsonl"]


def test_interrupt_ends_with_1_and_a_resume_file(lab: Laboratory, slow_site: Site) -> None:
    resume = lab.folder / "resume.cfg"
    arguments = [*long_scan(lab, slow_site), "-resume", resume]
    done = lab.interrupt(signal.SIGINT, lambda: len(slow_site.requests()) > 0, *arguments)
    assert done.code == 1
    told = [line for line in done.log if "HTTP connections" not in line]
    assert told[-3:] == [
        "[INF] CTRL+C pressed: Exiting",
        "[INF] Attempting graceful shutdown...",
        f"[INF] Creating resume file: {resume}",
    ]
    state = json.loads(resume.read_text())["resumeFrom"]
    assert state, "the template that ran is in it"
    assert all(entry.keys() == {"completed", "inFlight"} for entry in state.values())


def test_what_was_found_before_the_interrupt_and_after_it_is_everything(lab: Laboratory, slow_site: Site) -> None:
    resume, output = lab.folder / "resume.cfg", lab.folder / "out.jsonl"
    arguments = [*long_scan(lab, slow_site), "-resume", resume]
    before = lab.interrupt(signal.SIGINT, lambda: slow_site.requests().get("/search", 0) > 3, *arguments)
    assert output.read_text() == before.stdout, "each finding was written when it was found"
    after = lab.run(*arguments)
    assert after.code == 0
    assert "[INF] Resuming from save checkpoint" in after.log
    assert before.found
    assert after.found
    assert {*before.found, *after.found} == {f"t{i:02}" for i in range(12)}
    assert len(after.found) < 12, "what was done is not done again"
    assert len(output.read_text().splitlines()) == len(before.found) + len(after.found), "appended"
    assert not resume.exists(), "nothing to resume any more"


def test_resuming_can_leave_a_target_out(lab: Laboratory, site: Site, closed_url: str) -> None:
    """A resume file counts targets by position, and a host given up on takes none: why a resumed scan proves nothing.

    Here the host was still tried when the file was written, and is known to be dead when it is read.
    """
    for name in ("earlier", "interrupted"):
        lab.template(name)
    state = {"resumeFrom": {"interrupted": {"completed": False, "inFlight": {"2": {}}}}}
    resume = lab.file("resume.cfg", json.dumps(state))
    targets = lab.targets(closed_url, site.url, site.other_url)
    done = lab.run("-l", targets, "-t", lab.templates, "-resume", resume, *SERIAL)
    assert done.found == ["earlier", "earlier"], "the last target was in flight, and is not scanned again"


def test_the_resume_file_is_in_the_cache_when_nothing_else_is_said(lab: Laboratory, slow_site: Site) -> None:
    done = lab.interrupt(signal.SIGINT, lambda: len(slow_site.requests()) > 0, *long_scan(lab, slow_site))
    (resume,) = (lab.home / ".cache/nuclei").glob("resume-*.cfg")
    assert f"[INF] Creating resume file: {resume}" in done.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_any_other_signal_kills_at_once_and_leaves_no_trace(
    lab: Laboratory, slow_site: Site, number: signal.Signals
) -> None:
    resume, export = lab.folder / "resume.cfg", lab.folder / "export.jsonl"
    arguments = [*long_scan(lab, slow_site), "-resume", resume, "-jle", export]
    done = lab.interrupt(number, lambda: slow_site.requests().get("/search", 0) > 2, *arguments)
    assert done.code == -number
    assert done.found, "findings were on stdout as they came"
    assert not any("CTRL+C" in line for line in done.log)
    assert not resume.exists()
    assert not export.exists(), "the buffered export is lost"


def test_a_reader_that_is_gone_kills_it(lab: Laboratory, slow_site: Site) -> None:
    with lab.start(*long_scan(lab, slow_site)) as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=120) == -signal.SIGPIPE
        assert process.stderr
        process.stderr.read()
