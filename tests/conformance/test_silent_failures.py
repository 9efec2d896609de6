"""Failures that look like success: Nuclei ends with 0, and only a close look tells. The runner has to look."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.conformance.conftest import Site
from tests.conformance.laboratory import Laboratory

STATISTICS = ("-stats", "-sj", "-si", "60")


def test_a_target_that_refuses_shows_only_as_errors_twice_the_requests(lab: Laboratory, closed_url: str) -> None:
    done = lab.run("-l", lab.targets(closed_url), "-t", lab.template("a"), *STATISTICS)
    last = done.statistics[-1]
    assert (done.code, done.stdout) == (0, "")
    assert (last["requests"], last["errors"], last["total"]) == ("1", "2", "1")
    assert not any("Skipped" in line for line in done.log), "a host is only reported when it is asked for again"


def test_a_name_that_does_not_resolve_is_no_failure(lab: Laboratory) -> None:
    done = lab.run("-l", lab.targets("http://no-such-host.invalid"), "-t", lab.template("a"), *STATISTICS)
    assert (done.code, done.stdout, done.statistics[-1]["errors"]) == (0, "", "2")


def test_a_host_that_refuses_is_skipped_at_once(lab: Laboratory, closed_url: str) -> None:
    for i in range(5):
        lab.template(f"t{i}", f"/{i}")
    done = lab.run("-l", lab.targets(closed_url), "-t", lab.templates, "-c", 1, "-bs", 1, *STATISTICS)
    host = closed_url.removeprefix("http://")
    skipped = [line for line in done.log if "Skipped" in line]
    assert len(skipped) == 1
    assert skipped[0].startswith(
        f"[INF] Skipped {host} from target list as found unresponsive permanently: "
        f'cause="port closed or filtered" address={host} chain="connection refused; got err while executing {closed_url}/'
    )
    assert (done.statistics[-1]["requests"], done.statistics[-1]["total"]) == ("1", "5"), "requests stop short"


def test_a_host_that_never_answers_is_skipped_after_some_errors(lab: Laboratory, mute_url: str) -> None:
    for i in range(4):
        lab.template(f"t{i}", f"/{i}")
    limits = ["-timeout", 1, "-retries", 0, "-mhe", 2, "-c", 1, "-bs", 1]
    done = lab.run("-l", lab.targets(mute_url), "-t", lab.templates, *limits, *STATISTICS)
    host = mute_url.removeprefix("http://")
    assert done.code == 0
    assert f"[INF] Skipped {host} from target list as found unresponsive 2 times" in done.log
    assert (done.statistics[-1]["requests"], done.statistics[-1]["errors"]) == ("2", "4")


def test_the_limit_of_host_errors_is_never_below_the_concurrency(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-mhe", 3, "-c", 7)
    assert "[INF] Adjusting max-host-error to the concurrency value: 7" in done.log


def test_failure_events_name_the_host_that_cannot_be_reached(lab: Laboratory, closed_url: str) -> None:
    done = lab.run("-l", lab.targets(closed_url), "-t", lab.template("a"), "-ms")
    (event,) = done.events
    assert done.code == 0
    assert (event["matcher-status"], event["error"], event["url"]) == (False, "port closed or filtered", closed_url)


def test_failure_events_of_a_skipped_host_name_it_as_listed(lab: Laboratory, closed_url: str) -> None:
    templates = [lab.template(f"t{i}", f"/{i}") for i in range(2)]
    done = lab.run("-l", lab.targets(closed_url), "-t", templates[0], "-t", templates[1], "-ms", "-c", 1, "-bs", 1)
    skipped = [event for event in done.events if event["error"] == "host was skipped as it was found unresponsive"]
    assert [event["host"] for event in skipped] == [closed_url]
    assert "url" not in skipped[0]


def test_the_error_log_has_a_line_for_each_failed_request(lab: Laboratory, closed_url: str) -> None:
    log = lab.folder / "errors.jsonl"
    template = lab.template("a")
    done = lab.run("-l", lab.targets(closed_url), "-t", template, "-elog", log)
    (entry,) = (json.loads(line) for line in log.read_text().splitlines())
    assert done.code == 0
    assert entry["template"] == str(template)
    assert (entry["type"], entry["input"]) == ("http", closed_url + "/robots.txt")
    assert (entry["address"], entry["kind"]) == (closed_url.removeprefix("http://"), "network-permanent-error")
    assert entry["error"] == "port closed or filtered"


def test_no_target_is_a_scan_of_nothing(lab: Laboratory) -> None:
    for arguments in (["-l", lab.targets()], []):
        done = lab.run(*arguments, "-t", lab.template("a"), *STATISTICS)
        last = done.statistics[-1]
        assert (done.code, done.stdout) == (0, "")
        assert (last["hosts"], last["total"]) == ("0", "0")
        assert last["percent"] == str(2**63), "zero divided by zero, as an integer"


def test_missing_templates_among_others_are_errors_in_the_log(lab: Laboratory, site: Site) -> None:
    wanted = [lab.template("a"), "/missing.yaml", "missing.yaml", "missing/"]
    done = lab.run("-l", lab.targets(site.url), *(word for path in wanted for word in ("-t", path)))
    assert (done.code, done.found, done.loaded()) == (0, ["a"], 1)
    assert {line for line in done.log if line.startswith("[ERR]")} == {
        "[ERR] Could not find template '/missing.yaml': could not find file: open /missing.yaml: no such file or directory",
        "[ERR] Could not find template 'missing.yaml': could not find template file: no such path found: missing.yaml",
        "[ERR] Could not find template 'missing/': could not find template file: no such path found: missing/",
    }


@pytest.mark.parametrize(
    "content",
    [
        "id: bad\ninfo:\n  name: [open\n",
        "id: bad\ninfo: {author: me, severity: info}\nhttp: [{method: GET, path: ['{{BaseURL}}/']}]\n",
        "id: bad\ninfo: {name: x, severity: info}\nhttp: [{method: GET, path: ['{{BaseURL}}/']}]\n",
        "id: 'bad id'\ninfo: {name: x, author: me, severity: info}\nhttp: [{method: GET, path: ['{{BaseURL}}/']}]\n",
        "id: bad\ninfo: {name: x, author: me, severity: awful}\nhttp: [{method: GET, path: ['{{BaseURL}}/']}]\n",
        "id: bad\nunknown: 1\ninfo: {name: x, author: me, severity: info}\nhttp: [{method: GET, path: ['{{BaseURL}}/']}]\n",
        "id: bad\ninfo: {name: x, author: me, severity: info}\nhttp: [{path: [/], matchers: [{type: nonsense}]}]\n",
    ],
    ids=["yaml", "no name", "no author", "bad id", "bad severity", "unknown key", "bad matcher"],
)
def test_an_invalid_template_among_others_leaves_no_trace(lab: Laboratory, site: Site, content: str) -> None:
    bad = lab.file("templates/bad.yaml", content)
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-t", bad)
    assert (done.code, done.found, done.loaded()) == (0, ["a"], 1)
    assert not any("bad" in line or line.startswith(("[ERR]", "[WRN]")) for line in done.log)


@pytest.mark.parametrize(
    "http",
    ["", "http: [{method: GET, path: ['{{BaseURL}}/'], matchers: [{type: regex, regex: ['(open']}]}]\n"],
    ids=["no request", "bad expression"],
)
def test_a_template_that_does_not_compile_is_counted_not_named(lab: Laboratory, site: Site, http: str) -> None:
    bad = lab.file("templates/bad.yaml", "id: bad\ninfo: {name: x, author: me, severity: info}\n" + http)
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-t", bad)
    assert (done.code, done.found, done.loaded()) == (0, ["a"], 1)
    assert "[WRN] Found 1 templates with runtime error (use -validate flag for further examination)" in done.log


def test_of_two_templates_with_one_id_only_one_runs(lab: Laboratory, site: Site) -> None:
    again = lab.file("templates/z/again.yaml", lab.template("a").read_text())
    done = lab.run("-l", lab.targets(site.url), "-t", lab.templates / "a.yaml", "-t", again)
    assert (done.code, done.found, done.loaded()) == (0, ["a"], 1)


def test_a_full_disk_loses_the_finding_and_nothing_says_so(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-o", "/dev/full")
    assert (done.code, done.found) == (0, ["a"])
    assert any("0 matches found." in line for line in done.log)


def test_a_full_stdout_goes_unnoticed(lab: Laboratory, site: Site) -> None:
    with pathlib.Path("/dev/full").open("w") as full:
        done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), stdout=full)
    assert done.code == 0
    assert any("1 matches found." in line for line in done.log)


def test_an_export_that_cannot_be_written_goes_unnoticed(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-jle", "/missing/export")
    assert (done.code, done.found) == (0, ["a"])
    assert not any(line.startswith("[ERR]") for line in done.log)


def test_validation_finds_a_missing_template_valid(lab: Laboratory) -> None:
    done = lab.run("-t", "/missing.yaml", "-validate")
    assert done.code == 0
    assert "[INF] All templates validated successfully" in done.log


def test_output_is_cut_off_by_the_next_run_unless_it_resumes(lab: Laboratory, site: Site) -> None:
    output = lab.file("out.jsonl", "earlier\n")
    arguments = ["-l", lab.targets(site.url), "-t", lab.template("a"), "-o", output]
    lab.run(*arguments, "-resume", lab.folder / "resume.cfg")
    assert output.read_text().startswith("earlier\n{")
    lab.run(*arguments)
    assert output.read_text().startswith("{")
