"""Which templates a scan runs: paths, filters, ignored tags, validation; and that the shipped ones find what they should."""

from __future__ import annotations

import collections

import pytest

from tests.conformance.conftest import Site
from tests.conformance.laboratory import QUIET, STARTER_TEMPLATES, Laboratory

SHIPPED_FINDINGS = {
    "admin-admin": "critical",
    "path-traversal": "critical",
    "sql-dump": "critical",
    "env-file": "high",
    "cors-any-origin": "medium",
    "git-config": "medium",
    "reflected-parameter": "medium",
    "directory-listing": "low",
    "open-redirect": "low",
    "php-info": "low",
    "missing-security-headers": "info",
    "robots-txt": "info",
    "server-banner": "info",
}


def test_the_shipped_templates_are_valid(lab: Laboratory) -> None:
    done = lab.run("-t", STARTER_TEMPLATES, "-validate")
    assert (done.code, done.log[-1]) == (0, "[INF] All templates validated successfully")


def test_the_shipped_templates_find_what_the_site_gives_away(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", STARTER_TEMPLATES)
    assert done.loaded() == 18
    assert {event["template-id"]: event["info"]["severity"] for event in done.events} == SHIPPED_FINDINGS
    counts = collections.Counter(done.found)
    assert counts.pop("missing-security-headers") == 2, "one for each missing header"
    assert set(counts.values()) == {1}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["-severity", "high,critical"], ["grave", "severe"]),
        (["-severity", "high", "-severity", "critical"], ["grave", "severe"]),
        (["-s", "HIGH"], ["severe"]),
        (["-es", "high"], ["grave", "plain"]),
        (["-id", "plain,grave"], ["grave", "plain"]),
        (["-id", "*ve*"], ["grave", "severe"]),
        (["-eid", "plain"], ["grave", "severe"]),
        (["-tags", "web"], ["plain"]),
        (["-etags", "web"], ["grave", "severe"]),
        (["-et", "templates/plain.yaml"], ["grave", "severe"]),
    ],
    ids=" ".join,
)
def test_filters(lab: Laboratory, site: Site, filters: list[str], expected: list[str]) -> None:
    lab.template("plain", tags="web")
    lab.template("severe", severity="high")
    lab.template("grave", severity="critical")
    done = lab.run("-l", lab.targets(site.url), "-t", lab.templates, *filters)
    assert (done.code, done.found) == (0, expected)


def test_filters_and_paths_come_from_a_file_when_the_value_names_one(lab: Laboratory, site: Site) -> None:
    wanted = lab.file("wanted.txt", f"{lab.template('a')}\n{lab.template('b')}\n")
    done = lab.run("-l", lab.targets(site.url), "-t", wanted, "-id", lab.file("ids.txt", "a\n"))
    assert done.found == ["a"]


def test_paths_split_at_commas(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", f"{lab.template('a')},{lab.template('b')}")
    assert done.found == ["a", "b"]


def test_a_template_without_severity_is_in_no_severity_filter(lab: Laboratory, site: Site) -> None:
    arguments = ["-l", lab.targets(site.url), "-t", lab.template("unrated", severity=None), "-t", lab.template("a")]
    assert lab.run(*arguments).found == ["a", "unrated"]
    assert lab.run(*arguments, "-severity", "info").found == ["a"]


def test_tags_of_the_ignore_file_are_left_out_unless_asked_for(lab: Laboratory, site: Site) -> None:
    arguments = ["-l", lab.targets(site.url), "-t", lab.template("a"), "-t", lab.template("heavy", tags="dos")]
    assert lab.run(*arguments).found == ["a"]
    assert lab.run(*arguments, "-itags", "dos").found == ["a", "heavy"]


def test_without_an_ignore_file_dangerous_templates_run(lab: Laboratory, site: Site) -> None:
    (lab.settings / ".nuclei-ignore").unlink()
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("heavy", tags="dos"))
    assert done.found == ["heavy"]
    assert any(line.startswith("[ERR] Could not read nuclei-ignore file: open ") for line in done.log)


def test_a_relative_path_is_looked_for_in_the_templates_folder(lab: Laboratory, site: Site) -> None:
    lab.file("library/http/a.yaml", lab.template("a").read_text())
    surroundings = {"NUCLEI_TEMPLATES_DIR": str(lab.folder / "library")}
    done = lab.run("-l", lab.targets(site.url), "-t", "http/", environment=surroundings)
    (event,) = done.events
    assert event["template"] == "http/a.yaml"
    assert event["template-path"] == str(lab.folder / "library/http/a.yaml")


def test_an_id_alone_searches_the_templates_folder(lab: Laboratory, site: Site) -> None:
    lab.template("a")
    lab.template("b")
    surroundings = {"NUCLEI_TEMPLATES_DIR": str(lab.templates)}
    assert lab.run("-l", lab.targets(site.url), "-id", "b", environment=surroundings).found == ["b"]


def test_an_id_does_not_add_to_the_paths_but_filters_them(lab: Laboratory, site: Site) -> None:
    lab.template("b")
    surroundings = {"NUCLEI_TEMPLATES_DIR": str(lab.templates)}
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-id", "b", environment=surroundings)
    assert done.code == 1


def test_validation_names_what_is_wrong(lab: Laboratory) -> None:
    broken = lab.file("templates/broken.yaml", "id: broken\ninfo:\n  name: [open\n")
    nameless = lab.template("nameless", name=None)
    done = lab.run("-t", lab.template("a"), "-t", broken, "-t", nameless, "-validate")
    assert done.code == 1
    assert done.log[-1] == "[FTL] Could not validate templates: errors occurred during template validation"
    assert sum(line.startswith("[ERR] Error occurred loading template ") for line in done.log) == 2
    assert any(f"{broken}: yaml: line 2:" in line for line in done.log)
    assert any("no template name field provided" in line for line in done.log)


def test_validation_names_what_does_not_compile(lab: Laboratory) -> None:
    """As of 3.11; 3.10 passed it."""
    bad = lab.template("bad", http={"matchers": [{"type": "regex", "regex": ["(open"]}]})
    empty = lab.file("templates/empty.yaml", "id: empty\ninfo: {name: x, author: me, severity: info}\n")
    done = lab.run("-t", bad, "-t", empty, "-validate")
    assert done.code == 1
    for path in (bad, empty):
        assert any(line.startswith(f"[ERR] Error occurred parsing template {path}: ") for line in done.log)


def test_validation_wants_a_severity_though_a_scan_does_not(lab: Laboratory) -> None:
    done = lab.run("-t", lab.template("unrated", severity=None), "-validate")
    assert done.code == 1
    assert any("field 'severity' is missing" in line for line in done.log)


MATCHERS = {
    "word in the body": ({"type": "word", "words": ["Disallow"]}, True),
    "words, all": ({"type": "word", "words": ["Disallow", "absent"], "condition": "and"}, False),
    "words, any": ({"type": "word", "words": ["absent", "Disallow"]}, True),
    "word in another case": ({"type": "word", "words": ["disallow"]}, False),
    "word in any case": ({"type": "word", "words": ["disALLow"], "case-insensitive": True}, True),
    "word in a header": ({"type": "word", "part": "header", "words": ["Acorn/"]}, True),
    "word in one header": ({"type": "word", "part": "server", "words": ["Acorn/"]}, True),
    "word in an absent part": ({"type": "word", "part": "x_absent", "words": ["a"], "negative": True}, False),
    "word, negative": ({"type": "word", "words": ["absent"], "negative": True}, True),
    "regex": ({"type": "regex", "regex": ["(?m)^Disallow: /a.*n$"]}, True),
    "regex in everything": ({"type": "regex", "part": "all", "regex": ["Acorn/[0-9.]+"]}, True),
    "status": ({"type": "status", "status": [404, 200]}, True),
    "status, negative": ({"type": "status", "status": [200], "negative": True}, False),
    "size": ({"type": "size", "size": [50]}, True),
}


@pytest.mark.parametrize("case", MATCHERS)
def test_matchers(lab: Laboratory, site: Site, case: str) -> None:
    matcher, matches = MATCHERS[case]
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a", http={"matchers": [matcher]}))
    assert done.found == (["a"] if matches else [])


def test_matchers_are_joined_by_or_unless_told_otherwise(lab: Laboratory, site: Site) -> None:
    both = [{"type": "status", "status": [200]}, {"type": "word", "words": ["absent"]}]
    either = lab.template("either", http={"matchers": both})
    all_of = lab.template("all", http={"matchers": both, "matchers-condition": "and"})
    assert lab.run("-l", lab.targets(site.url), "-t", either, "-t", all_of).found == ["either"]


def test_a_named_matcher_is_a_finding_of_its_own(lab: Laboratory, site: Site) -> None:
    matchers = [{"type": "status", "status": [200], "name": name} for name in ("one", "two")]
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a", http={"matchers": matchers}))
    assert sorted(event["matcher-name"] for event in done.events) == ["one", "two"]


def test_extractors(lab: Laboratory, site: Site) -> None:
    named = lab.template(
        "named", http={"extractors": [{"type": "regex", "name": "path", "group": 1, "regex": ["Disallow: (.+)"]}]}
    )
    server = lab.template("server", http={"extractors": [{"type": "kval", "kval": ["server"]}]})
    done = lab.run("-l", lab.targets(site.url), "-t", named, "-t", server)
    by_id = {event["template-id"]: event for event in done.events}
    assert sorted(by_id["named"]["extracted-results"]) == ["/admin", "/backup/"]
    assert by_id["named"]["extractor-name"] == "path"
    assert by_id["server"]["extracted-results"] == ["Acorn/1.4.2"]
    assert "extractor-name" not in by_id["server"]


def test_requests_carry_what_the_template_and_the_command_line_say(lab: Laboratory, site: Site) -> None:
    template = lab.template(
        "a", http={"headers": {"X-From": "template"}, "method": "POST", "body": "x=1&host={{Hostname}}"}
    )
    more = lab.file("headers.txt", "X-One: 1\nX-Two: a:b\n")
    full = tuple(flag for flag in QUIET if flag != "-or")
    done = lab.run("-l", lab.targets(site.url), "-t", template, "-H", more, "-H", "X-Three: 3", base=full)
    (event,) = done.events
    request = event["request"]
    assert request.startswith("POST /robots.txt HTTP/1.1\r\n")
    for header in ("X-From: template", "X-One: 1", "X-Two: a:b", "X-Three: 3"):
        assert f"\r\n{header}\r\n" in request
    # 3.11 leaves the body out of the request that it records.


def test_a_variable_that_nobody_knows_sends_nothing_and_says_nothing(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a", "/{{unknown}}"), "-stats", "-sj", "-si", 60)
    assert (done.code, done.stdout, done.statistics[-1]["requests"]) == (0, "", "1")
    assert site.requests() == {}
