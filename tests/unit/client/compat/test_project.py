"""A project's own files: its finding store under many writers, its endpoint queue, and what Nuclei's events become."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scanplan.api.documents.words import Severity
from scanplan.api.errors import InvalidEndpoint
from scanplan.client import (
    InvalidPayload,
    append_findings,
    build_endpoints_from_queue,
    queue_endpoints,
    stored_findings,
)
from scanplan.client import findings as store
from scanplan.client.compat import nuclei_integration
from tests.client.laboratory import at_once

pytestmark = pytest.mark.usefixtures("data")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory that the settings name."""
    monkeypatch.setenv("SCANPLAN_DATA_DIRECTORY", str(tmp_path))
    return tmp_path


def event(template: str, **more: object) -> dict[str, object]:
    return {"template-id": template, "matched-at": "http://a.example/x", "type": "http", **more}


def test_many_writers_lose_nothing_and_double_nothing() -> None:
    batches = [[event(f"t{number}") for number in range(start, start + 50)] for start in range(0, 200, 10)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        added = list(pool.map(lambda batch: append_findings("acme", nuclei_integration.iterate(batch), "r"), batches))
    assert sum(added) == len(list(stored_findings("acme"))) == 240


def test_a_reader_that_takes_its_time_holds_up_nobody() -> None:
    """Lost otherwise: the scans of the project, which fail after half a minute."""
    append_findings("acme", nuclei_integration.iterate([event(f"t{number:04}") for number in range(1_500)]))
    reader = stored_findings("acme")
    first = next(reader)
    append_findings("acme", nuclei_integration.iterate([event("another")]))
    rest = list(reader)
    seen = [each.finding.fingerprint for each in (first, *rest)]
    assert seen == sorted(set(seen))
    assert len(seen) in {1_500, 1_501}


def test_projects_do_not_meet() -> None:
    append_findings("acme", nuclei_integration.iterate([event("t")]))
    assert list(stored_findings("other")) == []
    for name in ("../acme", "a/b", "", "."):
        with pytest.raises(InvalidPayload):
            append_findings(name, [])


def test_an_internal_finding_says_what_programs_need() -> None:
    line = json.dumps(
        event(
            "CVE-2026-1",
            host="a.example",
            port="443",
            **{"matcher-name": "version", "extracted-results": ["1.2"], "timestamp": "2026-11-24T00:00:00Z"},
            info={
                "name": "Old server",
                "severity": "critical",
                "tags": ["cve", "http"],
                "reference": "https://x.example",
                "classification": {"cve-id": ["cve-2026-1"], "cwe-id": None, "cvss-score": 9.8},
            },
        )
    ).encode()
    finding = nuclei_integration.parse(line)
    assert finding
    assert (finding.version, finding.severity, finding.name) == (1, Severity.CRITICAL, "Old server")
    assert (finding.host, finding.port, finding.matched_at) == ("a.example", "443", "http://a.example/x")
    assert (finding.cve_ids, finding.cwe_ids, finding.cvss_score) == (("cve-2026-1",), (), 9.8)
    assert (finding.tags, finding.references, finding.extracted_results) == (
        ("cve", "http"),
        ("https://x.example",),
        ("1.2",),
    )
    again = nuclei_integration.parse(line.replace(b"00:00:00Z", b"11:11:11Z"))
    assert again
    assert again.fingerprint == finding.fingerprint


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"null", b"{}", b'{"template-id": 5}', b"\xff\xfe", b'{"template-id": "x"', b'"text"'],
)
def test_what_is_no_finding_is_passed_over(line: bytes) -> None:
    assert nuclei_integration.to_internal_findings([line, event("t")])[0].template_id == "t"


@pytest.mark.parametrize(
    "odd", [{"info": None}, {"info": []}, {"info": {"severity": "GRAVE", "tags": 5, "classification": 1}}]
)
def test_odd_events_are_findings_of_unknown_severity(odd: dict[str, object]) -> None:
    (finding,) = nuclei_integration.to_internal_findings([event("t", **odd)])
    assert finding.severity is Severity.UNKNOWN


def test_an_endpoint_queue_is_a_list_that_people_edit(data: Path) -> None:
    path = store.project_folder(data, "acme") / "endpoints.txt"
    path.parent.mkdir(parents=True)
    path.write_text("# ours\n\n  https://B.example:443/  \nhttps://a.example")
    assert queue_endpoints("acme", ["https://b.example", "https://c.example/"]) == 1
    assert build_endpoints_from_queue("acme") == ["https://a.example", "https://b.example", "https://c.example"]
    assert path.read_text().startswith("# ours\n")
    with pytest.raises(InvalidEndpoint):
        queue_endpoints("acme", ["https://d.example", "10.0.0.0/8"])
    assert "d.example" not in path.read_text()


def test_writers_of_an_endpoint_queue_take_turns() -> None:
    numbers = iter(range(20))
    at_once(20, lambda: queue_endpoints("acme", [f"https://h{next(numbers)}.example"]))
    assert len(build_endpoints_from_queue("acme")) == 20
