"""What the runner says of a scan is what happened: each case is an input for which Nuclei itself says nothing, or the wrong thing.

Named after the rows of the table in docs/nuclei.md. The runner scans loopback with the scanner under test.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest

from scanplan.api.documents.report import Trouble
from scanplan.api.documents.task import ScannerOptions
from scanplan.api.documents.words import Outcome
from tests.conformance.conftest import running_site
from tests.conformance.desk import HTTP_ONLY, TEMPLATES, Desk, Server, dead_urls
from tests.doubles import Doubles


@pytest.fixture
def needs(is_real: bool) -> Callable[..., None]:
    """Skips where the scanner under test can't run a template."""

    def check(*names: str) -> None:
        if not is_real and not set(names) <= HTTP_ONLY:
            pytest.skip("the stand-in speaks http only")

    return check


@pytest.mark.parametrize("name", ["variable.yaml", "oast.yaml"])
def test_row_3_a_template_that_cannot_be_sent_fails_alone_and_is_told_beside_others(
    desk: Desk, live: Server, needs: Callable[..., None], name: str
) -> None:
    """Nuclei counts the request and sends none: a critical check would pass as clean."""
    needs(name)
    desk.write(name)
    report, _ = desk.scan(live.url, named=(name,))
    assert report.error is not None
    assert report.error.reason == "NothingSent"
    assert name in report.error.message
    assert ("token" in report.error.message) == (name == "variable.yaml")


@pytest.mark.parametrize("name", ["variable.yaml", "oast.yaml", "dns.yaml", "socket.yaml"])
def test_rows_3_and_21_what_was_not_sent_is_told_beside_others(
    desk: Desk, live: Server, needs: Callable[..., None], name: str
) -> None:
    needs(name)
    desk.write("title.yaml", name)
    report, record = desk.scan(live.url)
    assert report.outcome is Outcome.COMPLETE
    assert [item.template for item in record.templates_not_run] == [name]
    assert record.templates_run == 1
    assert any(name in warning for warning in report.warnings)
    assert report.merged is not None
    assert (report.merged.templates_not_run, report.merged.coverage) == (1, 500)


@pytest.mark.parametrize("name", ["title.yaml", "flow.yaml"])
def test_row_4_one_template_and_dead_endpoints(desk: Desk, live: Server, needs: Callable[..., None], name: str) -> None:
    needs(name)
    desk.write(name)
    report, record = desk.scan(live.url, *dead_urls(10))
    assert report.outcome is Outcome.COMPLETE
    assert (report.endpoints_scanned, len(record.endpoints_unreachable)) == (1, 10)


@pytest.mark.parametrize("names", [("p110.yaml",), ("p6379.yaml",), ("p110.yaml", "p6379.yaml"), ("tls.yaml",)])
def test_row_5_a_closed_port_is_an_answer(
    desk: Desk, live: Server, needs: Callable[..., None], names: tuple[str, ...]
) -> None:
    needs(*names)
    desk.write(*names)
    report, _ = desk.scan(live.url, named=names)
    assert (report.outcome, report.error) == (Outcome.COMPLETE, None)
    assert (report.endpoints_scanned, report.findings.total) == (1, 0)


def test_row_5_a_closed_port_of_a_bare_host_is_an_answer(desk: Desk, needs: Callable[..., None]) -> None:
    needs("p110.yaml")
    desk.write("p110.yaml", "p6379.yaml")
    report, _ = desk.scan("127.0.0.1")
    assert (report.outcome, report.endpoints_scanned) == (Outcome.COMPLETE, 1)


@pytest.mark.parametrize("root", [0, 1])
def test_row_6_helper_files_are_found_beside_the_templates_own_source(
    desk: Desk, live: Server, needs: Callable[..., None], root: int
) -> None:
    needs("words.yaml")
    desk.write("title.yaml", root=1 - root)
    desk.write("words.yaml", root=root)
    desk.put("helpers/words.txt", "admin\nlogin\n", root=root)
    report, record = desk.scan(live.url)
    assert report.outcome is Outcome.COMPLETE
    assert record.templates_not_run == ()
    assert report.findings.total == 3


SPELLINGS = {
    "one line": ("t.yaml", "id: t\ninfo: {name: t, author: t, severity: critical}\n"),
    "in prose": (
        "t.yaml",
        "id: t\ninfo:\n  name: t\n  author: t\n  description: |\n    x\n    severity: low\n  severity: critical\n",
    ),
    "quoted keys": ("t.yaml", '"id": "t"\n"info": {"name": t, "author": t, "severity": "critical"}\n'),
    "next line": ("t.yaml", "id:\n  t\ninfo:\n  name: t\n  author: t\n  severity:\n    critical\n"),
    "comment": ("t.yaml", "id: t # the id\ninfo:\n  name: t\n  author: t\n  severity: critical # grave\n"),
    "byte order mark": ("t.yaml", "\ufeffid: t\ninfo:\n  name: t\n  author: t\n  severity: critical\n"),
    "capitals": ("t.yaml", "id: t\ninfo:\n  name: t\n  author: t\n  severity: CRITICAL\n"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("named", [(), ("t",)])
def test_row_7_any_spelling_of_id_and_severity_is_understood(
    desk: Desk, live: Server, spelling: str, named: tuple[str, ...]
) -> None:
    name, head = SPELLINGS[spelling]
    desk.put(name, head + TEMPLATES["title.yaml"] + "\n")
    desk.write("other.yaml", severity="low")
    desk.options["severity_levels"] = ("critical",)
    report, record = desk.scan(live.url, named=named)
    assert (report.error, report.findings.critical, report.findings.total) == (None, 1, 1)
    assert record.templates_not_run == ()


def test_row_7_templates_in_json_are_run(desk: Desk, live: Server) -> None:
    desk.put(
        "t.json",
        '{"id": "t", "info": {"name": "t", "author": "t", "severity": "critical"}, "http": [{"method": "GET", '
        '"path": ["{{BaseURL}}/"], "matchers": [{"type": "word", "words": ["hello"]}]}]}',
    )
    desk.put("helpers/data.json", '{"id": 1}')
    report, _ = desk.scan(live.url)
    assert (report.error, report.findings.critical) == (None, 1)


UNRUNNABLE = {
    "regex.yaml": "regex",
    "function.yaml": "nosuch",
    "broken-flow.yaml": "flow",
    "payload.yaml": "no/such.txt",
    "workflow.yaml": "workflow",
    "headless.yaml": "headless",
    "contained.yaml": "self-contained",
    "code.yaml": "code",
    "dast.yaml": "",
}


@pytest.mark.parametrize("name", UNRUNNABLE)
def test_rows_8_and_15_a_template_that_is_named_and_not_run_is_an_error_with_its_cause(
    desk: Desk, live: Server, needs: Callable[..., None], name: str
) -> None:
    needs(name)
    desk.write("title.yaml", name)
    report, _ = desk.scan(live.url, named=("title.yaml", name))
    assert report.error is not None
    assert report.error.reason == "TemplatesNotFound"
    assert name in report.error.message
    assert UNRUNNABLE[name] in report.error.message


@pytest.mark.parametrize("name", UNRUNNABLE)
def test_rows_8_and_15_in_a_folder_it_is_told(desk: Desk, live: Server, needs: Callable[..., None], name: str) -> None:
    needs(name)
    desk.write("title.yaml", name)
    report, record = desk.scan(live.url)
    assert report.outcome is Outcome.COMPLETE
    assert [item.template for item in record.templates_not_run] == [name]
    assert UNRUNNABLE[name] in record.templates_not_run[0].reason


@pytest.mark.parametrize("second", ["dns.yaml", "flow.yaml", "tls.yaml", "p110.yaml", "other.yaml"])
def test_row_14_a_dead_endpoint_is_unreachable_whatever_else_is_asked_about_it(
    desk: Desk, needs: Callable[..., None], second: str
) -> None:
    needs("title.yaml", second)
    desk.write("title.yaml", second)
    report, _ = desk.scan(*dead_urls(1))
    assert report.error is not None
    assert report.error.reason == "EndpointsUnreachable"


def test_row_16_evidence_does_not_pass_through_a_disk(desk: Desk, live: Server) -> None:
    """The log of errors was a file in /tmp: where that was full, dead endpoints became scanned ones."""
    desk.write("title.yaml", "other.yaml")
    report, record = desk.scan(live.url, *dead_urls(3))
    assert (report.endpoints_scanned, len(record.endpoints_unreachable)) == (1, 3)
    assert not list(desk.folder.rglob("*.jsonl"))


def test_row_17_each_endpoint_is_judged_by_its_own_failures(desk: Desk) -> None:
    for number in range(60):
        desk.put(
            f"t{number}.yaml",
            f"id: t{number}\ninfo: {{name: t, author: t, severity: info}}\n"
            + TEMPLATES["title.yaml"].replace("}}/'", f"}}}}/{number}'"),
        )
    with contextlib.ExitStack() as stack:
        good = [stack.enter_context(Server()) for _ in range(9)]
        bad = stack.enter_context(Server(limit=10))
        desk.options["scanner"] = ScannerOptions(request_retries=0, concurrency=5, bulk_size=10, rate_limit=1000)
        report, record = desk.scan(*(server.url for server in (*good, bad)))
    assert report.outcome is Outcome.COMPLETE
    assert any(bad.url in warning and "10" in warning for warning in report.warnings)
    assert not any(server.url in warning for warning in report.warnings for server in good)
    assert record.endpoints_skipped == (bad.url,)
    assert report.endpoints_scanned == 9


def test_row_18_a_name_that_is_alive_and_one_of_its_ports_that_is_dead(desk: Desk, live: Server) -> None:
    port = live.url.rpartition(":")[2]
    dead = dead_urls(1)[0].replace("127.0.0.1", "localhost")
    desk.write("title.yaml", "other.yaml")
    report, record = desk.scan(f"localhost:{port}", dead)
    assert (report.error, report.endpoints_scanned) == (None, 1)
    assert record.endpoints_unreachable == (dead,)


def test_row_19_a_target_that_dies_midway_is_told(desk: Desk) -> None:
    for number in range(60):
        desk.put(
            f"t{number}.yaml",
            f"id: t{number}\ninfo: {{name: t, author: t, severity: info}}\n"
            + TEMPLATES["title.yaml"].replace("}}/'", f"}}}}/{number}'"),
        )
    with Server(limit=20) as server:
        desk.options["scanner"] = ScannerOptions(request_retries=0, concurrency=5, bulk_size=5)
        report, _ = desk.scan(server.url)
    assert report.outcome is Outcome.PARTIAL
    assert report.error is not None
    assert "answered 20" in report.error.message


CHANGES = {
    "dies": (20, 1, "stopped"),
    "throttles": (0, 429, "throttled"),
    "throttles after a while": (20, 429, "throttled"),
    "is out of service": (0, 503, "unavailable"),
    "blocks after a while": (20, 403, "blocked"),
    "blocks from the first request on": (0, 403, "blocked"),
}
"""What an endpoint does: requests that it answers before, the status code then (1: resets), and the trouble."""


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("count", [3, 60])
def test_row_19_what_an_endpoint_answered_is_told_with_counts(
    desk: Desk, live: Server, doubles: Doubles, change: str, count: int
) -> None:
    """A scan that gets nothing but 403 finds nothing, and looks clean."""
    after, then, trouble = CHANGES[change]
    for number in range(count):
        desk.put(
            f"t{number}.yaml",
            f"id: t{number}\ninfo: {{name: t, author: t, severity: info}}\n"
            + TEMPLATES["title.yaml"].replace("}}/'", f"}}}}/{number}'"),
        )
    with running_site(doubles.webapp, "0s", "-after", str(min(after, count)), "-then", str(then)) as site:
        report, record = desk.scan(live.url, site.url)
    assert (report.outcome, report.error) == (Outcome.COMPLETE, None)
    if trouble == "stopped" and count < 20:
        return  # it died after the last request
    # On a busy machine, requests may time out too, which is told beside it.
    (told,) = [each for each in record.endpoints_troubled if each.trouble != Trouble.FAILING]
    assert (told.endpoint, told.trouble) == (site.url, trouble)
    assert 0 < told.count <= told.total
    assert str(told.count) in told.remark
    assert any(site.url in warning and told.remark in warning for warning in report.warnings)
    merged = report.merged
    assert merged is not None
    assert told.remark in merged.endpoints_remark
    counts = (merged.endpoints_skipped, merged.endpoints_throttled, merged.endpoints_blocked)
    assert counts == {"stopped": (1, 0, 0), "blocked": (0, 0, 1)}.get(trouble, (0, 1, 0))
    metadata = json.loads(next(desk.folder.glob("run/tasks/*/scan_metadata.json")).read_bytes())
    troubled = [each for shard in metadata["shards"] for each in shard["endpointsTroubled"]]
    (kept,) = [each for each in troubled if each["trouble"] == trouble]
    assert (kept["endpoint"], kept["count"], kept["remark"]) == (site.url, told.count, told.remark)
    page = next(desk.folder.glob("run/tasks/*/report.html")).read_text()
    assert told.remark in page[page.index("What was not scanned") :]


def test_row_19_an_endpoint_that_forbids_just_its_root_is_not_told_as_blocking(desk: Desk, live: Server) -> None:
    """Many servers list no folder: a warning about each of them would hide the true ones."""
    live.forbidden = b"GET / "
    desk.write("other.yaml")
    report, record = desk.scan(live.url)
    assert (report.outcome, record.endpoints_troubled) == (Outcome.COMPLETE, ())


def test_row_20_too_few_open_files_are_our_shortage(desk: Desk, needs: Callable[..., None], live: Server) -> None:
    """It would be told as endpoints that don't answer, and tried again in vain."""
    needs("tls.yaml")
    script = desk.folder / "nuclei"
    script.write_text(f'#!/bin/sh\nulimit -n 40\nexec {desk.scanner} "$@"\n')
    script.chmod(0o755)
    desk.scanner = script
    for number in range(6):
        desk.put(
            f"t{number}.yaml",
            f"id: t{number}\ninfo: {{name: t, author: t, severity: info}}\n"
            + TEMPLATES["title.yaml"].replace("}}/'", f"}}}}/{number}'"),
        )
    port = live.url.rpartition(":")[2]
    with Server("0.0.0.0") as server:  # noqa: S104 - every loopback address
        port = server.url.rpartition(":")[2]
        report, _ = desk.scan(*(f"http://127.0.0.{number}:{port}" for number in range(1, 40)))
    assert report.error is not None
    assert report.error.reason == "ScannerEnvironment"
    assert "open files" in report.error.message


def test_row_21_two_templates_of_one_id(desk: Desk, live: Server) -> None:
    desk.write("title.yaml")
    desk.put("twin.yaml", "id: title\ninfo: {name: twin, author: t, severity: info}\n" + TEMPLATES["other.yaml"])
    report, record = desk.scan(live.url)
    assert report.outcome is Outcome.COMPLETE
    assert [item.template for item in record.templates_not_run] == ["twin.yaml"]
    assert "same id" in record.templates_not_run[0].reason


def test_templates_with_the_same_request_are_run_together(desk: Desk, live: Server) -> None:
    """Nuclei sends it once and names one of them: the others were run as well."""
    desk.write("title.yaml")
    for name in ("second.yaml", "third.yaml"):
        desk.put(name, f"id: {name[:-5]}\ninfo: {{name: t, author: t, severity: high}}\n{TEMPLATES['title.yaml']}\n")
    report, record = desk.scan(live.url)
    assert (record.templates_run, record.templates_not_run) == (3, ())
    assert report.merged is not None
    assert report.merged.coverage == 1000
