"""Automatic scans: Nuclei chooses by what it finds, and never past the plan's selection."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest

from scanplan.api import layout
from scanplan.api.documents.records import ShardCoverage
from scanplan.api.documents.task import ScannerOptions, TemplateFilter
from scanplan.api.documents.words import ErrorClass, Outcome, Severity
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.choosing import automatic
from scanplan.runner.nuclei.launch import command
from tests.conformance.desk import Desk, Server, dead_urls

PLAIN = "http: [{method: GET, path: ['{{BaseURL}}/%s'], matchers: [{type: word, words: [%s]%s}]}]"


def put(desk: Desk, name: str, tags: str, *, word: str = "hello", matcher: str = "", root: int = 0) -> None:
    more = f", name: {matcher}" if matcher else ""
    info = f"{{name: {name}, author: t, severity: {'info' if 'tech' in tags else 'high'}, tags: '{tags}'}}"
    desk.put(f"{name}.yaml", f"id: {name}\ninfo: {info}\n{PLAIN % (name, word, more)}\n", root=root)


@pytest.fixture
def chosen(desk: Desk) -> Desk:
    """Templates that look for Acme and Other, of which a host is the first, and templates for both."""
    put(desk, "acme-detect", "tech,detect,acme")
    put(desk, "other-look", "tech,other", word="zzz")
    put(desk, "acme-hole", "cve,acme")
    put(desk, "acme-safe", "cve,acme", word="zzz")
    put(desk, "other-hole", "cve,other")
    desk.options["automatic"] = True
    return desk


def found(desk: Desk) -> list[str]:
    """The ids of the findings that the run publishes, each as often as it is there."""
    files = [file for file in (desk.folder / "run").rglob("*.ndjson") if "shards" in file.parts]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return sorted(name for line in lines if (name := json.loads(line).get("template-id")))


def coverage(desk: Desk) -> ShardCoverage:
    """Where the scan has looked: what resolves a finding."""
    (file,) = (desk.folder / "run").rglob(layout.COVERAGE)
    return msgspec.json.decode(file.read_bytes(), type=ShardCoverage)


def test_what_fits_to_the_host_is_run_and_the_rest_is_counted(chosen: Desk, live: Server) -> None:
    """Lost otherwise: a template that was not sent is taken for one that found nothing."""
    report, record = chosen.scan(live.url)
    assert (report.outcome, report.error) == (Outcome.COMPLETE, None), record
    assert found(chosen) == ["acme-detect", "acme-hole"]
    assert record.findings.total == 2
    assert (record.templates_run, record.templates_not_run) == (4, ())
    assert record.templates_left_out == {automatic.NOT_CHOSEN: 1}
    assert (record.pairs, record.scanner.templates_loaded) == (4, 5)
    assert set(coverage(chosen).templates) == {"acme-detect", "other-look", "acme-hole", "acme-safe"}


@pytest.mark.parametrize(
    "options",
    [
        {"exclude": TemplateFilter(ids=("acme-hole",))},
        {"exclude": TemplateFilter(paths=("acme-hole.yaml",))},
        {"severity_levels": (Severity.INFO,)},
        {"include": TemplateFilter(ids=("*-detect", "acme-safe"))},
    ],
)
def test_nothing_outside_of_the_selection_is_chosen(chosen: Desk, live: Server, options: dict[str, object]) -> None:
    """Lost otherwise: a template runs that the plan, or its owner, has left out."""
    chosen.options |= options
    report, _ = chosen.scan(live.url)
    assert report.outcome is Outcome.COMPLETE
    assert set(found(chosen)) == {"acme-detect"}


def test_a_nuclei_that_looks_past_the_selection_ends_the_scan(
    chosen: Desk, live: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: that a later Nuclei follows the link to the source, and chooses among all that is there."""
    of = command.environment
    monkeypatch.setattr(
        command, "environment", lambda inherited, workspace, folder: of(inherited, workspace, folder.resolve())
    )
    chosen.options["exclude"] = TemplateFilter(ids=("acme-hole",))
    report, _ = chosen.scan(live.url)
    assert report.error is not None
    assert (report.error.error_class, report.error.reason) == (ErrorClass.FATAL, Reason.NUCLEI_BINARY_ERROR)
    assert "acme-hole.yaml" in report.error.message


def test_helper_files_of_a_source_are_found(chosen: Desk, live: Server, only_real: Callable[[str], None]) -> None:
    only_real("has no payloads")
    chosen.put("helpers/words.txt", "one\ntwo\n")
    chosen.put(
        "words.yaml",
        "id: words\ninfo: {name: x, author: t, severity: high, tags: acme}\nhttp: [{method: GET, path: ['{{BaseURL}}/{{p}}'], "
        "payloads: {p: helpers/words.txt}, matchers: [{type: word, words: [hello]}]}]",
    )
    _, record = chosen.scan(live.url)
    assert "words" in found(chosen)
    assert record.templates_run == 5


def test_templates_with_the_same_request_are_told_apart(chosen: Desk, live: Server) -> None:
    """Lost otherwise: Nuclei's clusters, of which the trace log names one template."""
    for name, tags in (("same-look", "tech"), ("same-other", "other"), ("same-acme", "acme")):
        request = PLAIN % ("same", "zzz", "")
        chosen.put(
            f"{name}.yaml", f"id: {name}\ninfo: {{name: x, author: t, severity: info, tags: '{tags}'}}\n{request}\n"
        )
    _, record = chosen.scan(live.url)
    assert record.templates_left_out == {automatic.NOT_CHOSEN: 2}
    assert {"same-look", "same-acme"} <= set(coverage(chosen).templates)
    assert "same-other" not in coverage(chosen).templates


def test_own_templates_are_chosen_by_what_another_source_finds(chosen: Desk, live: Server) -> None:
    chosen.roots.append(chosen.folder / "own")
    put(chosen, "own-hole", "acme", root=1)
    put(chosen, "own-other", "other", root=1)
    report, record = chosen.scan(live.url)
    assert report.outcome is Outcome.COMPLETE, record
    assert found(chosen) == ["acme-detect", "acme-hole", "own-hole"]
    assert record.templates_left_out == {automatic.NOT_CHOSEN: 2}


def test_each_host_has_what_fits_to_it(chosen: Desk, live: Server) -> None:
    with Server() as silent:
        silent.forbidden = b"GET /acme-detect"
        report, record = chosen.scan(live.url, silent.url)
    assert report.outcome is Outcome.COMPLETE, record
    assert record.pairs == 4 + 2
    assert {name for name, mask in coverage(chosen).gaps.items() if int(mask, 16)} == {"acme-hole", "acme-safe"}
    assert record.endpoints_scanned == 2


def test_without_templates_that_look_for_technologies_it_fails(chosen: Desk, live: Server) -> None:
    chosen.options["include"] = TemplateFilter(tags=("cve",))
    report, _ = chosen.scan(live.url)
    assert report.error is not None
    assert (report.error.error_class, report.error.reason) == (ErrorClass.FATAL, Reason.NO_TEMPLATES_LOADED)
    assert "looks for technologies" in report.error.message


def test_a_dead_host_is_not_one_without_technologies(chosen: Desk) -> None:
    chosen.options["scanner"] = ScannerOptions(request_timeout_seconds=1, request_retries=0)
    report, _ = chosen.scan(*dead_urls(1))
    assert report.error is not None
    assert report.error.reason is Reason.ENDPOINTS_UNREACHABLE
