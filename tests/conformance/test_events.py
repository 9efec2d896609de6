"""The two documents that the runner reads: a JSON line for each finding, and the statistics."""

from __future__ import annotations

import base64
import datetime

from tests.conformance.conftest import Site
from tests.conformance.laboratory import QUIET, Laboratory

FULL = ("-duc", "-ni", "-nc", "-jsonl")


def test_an_event_says_what_was_found_where_and_by_what(lab: Laboratory, site: Site) -> None:
    template = lab.template(
        "a",
        severity="high",
        tags="One,two",
        description="d",
        impact="i",
        remediation="r",
        reference="https://example.com/",
        metadata={"max-request": 1},
        classification={"cwe-id": "CWE-200", "cvss-score": 7.5},
    )
    (event,) = lab.run("-l", lab.targets(site.url + "/"), "-t", template).events
    port = site.url.rsplit(":", 1)[1]
    timestamp = datetime.datetime.fromisoformat(event.pop("timestamp")[:26])
    assert timestamp.year >= 2025
    assert event.pop("curl-command").startswith("curl -X 'GET'")
    assert event == {
        "template-id": "a",
        "template-path": str(template),
        "info": {
            "name": "a",
            "author": ["tests"],
            "tags": ["one", "two"],
            "description": "d",
            "impact": "i",
            "reference": ["https://example.com/"],
            "severity": "high",
            "metadata": {"max-request": 1},
            "classification": {"cve-id": None, "cwe-id": ["cwe-200"], "cvss-score": 7.5},
            "remediation": "r",
        },
        "type": "http",
        "host": "127.0.0.1",
        "port": port,
        "scheme": "http",
        "url": site.url + "/",
        "path": "/",
        "matched-at": site.url + "/robots.txt",
        "ip": "127.0.0.1",
        "matcher-status": True,
    }


def test_a_template_without_tags_has_null_for_them(lab: Laboratory, site: Site) -> None:
    (event,) = lab.run("-l", lab.targets(site.url), "-t", lab.template("a")).events
    assert event["info"] == {"name": "a", "author": ["tests"], "tags": None, "severity": "info"}
    assert "path" not in event


def test_request_response_and_template_are_there_unless_left_out(lab: Laboratory, site: Site) -> None:
    template = lab.template("a")
    (event,) = lab.run("-l", lab.targets(site.url), "-t", template, base=FULL).events
    assert event["request"].startswith("GET /robots.txt HTTP/1.1\r\nHost: 127.0.0.1:")
    assert event["response"].startswith("HTTP/1.1 200 OK\r\n")
    assert event["response"].endswith("\r\n\r\nUser-agent: *\nDisallow: /backup/\nDisallow: /admin\n")
    assert base64.b64decode(event["template-encoded"]) == template.read_bytes()
    (small,) = lab.run("-l", lab.targets(site.url), "-t", template, base=(*FULL, "-or", "-ot")).events
    assert not small.keys() & {"request", "response", "template-encoded"}


def test_a_response_is_cut_at_the_size_to_save(lab: Laboratory, site: Site) -> None:
    (event,) = lab.run(
        "-l", lab.targets(site.url), "-t", lab.template("a", "/big?bytes=100000"), "-rss", 500, base=FULL
    ).events
    assert len(event["response"]) == 500
    (event,) = lab.run("-l", lab.targets(site.url), "-t", lab.template("a", "/big?bytes=3000000"), base=FULL).events
    assert len(event["response"]) == 1 << 20, "1 MiB when nothing is said"


def test_characters_that_end_a_script_are_escaped(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a", "/search?q=%3Cb%3E%26"), base=FULL)
    assert "\\u003cb\\u003e\\u0026" in done.stdout
    assert "<b>&" in done.events[0]["response"]


def test_a_template_that_found_nothing_is_an_event_only_when_asked_for(lab: Laboratory, site: Site) -> None:
    arguments = ["-l", lab.targets(site.url), "-t", lab.template("a", "/nothing")]
    assert lab.run(*arguments).events == []
    (event,) = lab.run(*arguments, "-ms").events
    assert event["matcher-status"] is False
    assert "error" not in event


def test_the_output_file_gets_what_stdout_gets_at_once_and_the_export_at_the_end(lab: Laboratory, site: Site) -> None:
    output, export = lab.folder / "out.jsonl", lab.folder / "export.jsonl"
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-o", output, "-jle", export)
    assert output.read_text() == done.stdout
    assert '"template-id":"a"' in export.read_text()


def test_without_jsonl_a_finding_is_a_line_for_people(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), base=("-duc", "-ni", "-nc"))
    assert done.stdout == f"[a] [http] [info] {site.url}/robots.txt\n"


def test_statistics_are_strings_and_the_last_line_comes_twice(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url, site.other_url), "-t", lab.template("a"), "-stats", "-sj", "-si", 60)
    last = done.statistics[-1]
    assert all(isinstance(value, str) for value in last.values())
    assert last.keys() == {
        "duration", "errors", "hosts", "matched", "percent", "requests", "rps", "startedAt", "templates", "total",
    }  # fmt: skip
    counts = {key: last[key] for key in ("errors", "hosts", "matched", "percent", "requests", "templates", "total")}
    assert counts == {
        "errors": "0", "hosts": "2", "matched": "2", "percent": "100", "requests": "2", "templates": "1", "total": "2",
    }  # fmt: skip
    assert len(done.statistics) == 2


def test_statistics_of_a_scan_that_never_began_are_no_numbers(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", "/missing.yaml", "-stats", "-sj", "-si", 60)
    (only,) = done.statistics
    assert (only["hosts"], only["templates"], only["startedAt"]) == ("n/a", "n/a", "0001-01-01T00:00:00Z")
    assert (only["percent"], only["rps"]) == (str(2**63), str(2**63))


def test_statistics_come_at_intervals(lab: Laboratory, slow_site: Site) -> None:
    for i in range(8):
        lab.template(f"t{i}", f"/{i}")
    done = lab.run("-l", lab.targets(slow_site.url), "-t", lab.templates, "-c", 1, "-bs", 1, "-stats", "-sj", "-si", 1)
    assert len(done.statistics) >= 3
    assert [int(line["requests"]) for line in done.statistics] == sorted(
        int(line["requests"]) for line in done.statistics
    )


def test_statistics_are_json_with_jsonl_and_are_not_silenced(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-stats", "-si", 60, "-silent")
    assert len(done.statistics) == len(done.stderr.splitlines()) == 2


def test_statistics_for_people(lab: Laboratory, site: Site) -> None:
    text = tuple(flag for flag in QUIET if flag != "-jsonl")
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-stats", "-si", 60, base=text)
    assert "| Templates: 1 | Hosts: 1 | RPS: " in done.stderr
    assert "| Matched: 1 | Errors: 0 | Requests: 1/1 (100%)" in done.stderr


def test_requests_overtake_the_total_where_a_first_match_ends_a_template(lab: Laboratory, site: Site) -> None:
    http = {"path": ["{{BaseURL}}/robots.txt", "{{BaseURL}}/.env", "{{BaseURL}}/"], "stop-at-first-match": True}
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a", http=http), "-stats", "-sj", "-si", 60)
    assert done.found == ["a"]
    assert (done.statistics[-1]["requests"], done.statistics[-1]["total"]) == ("4", "3")
