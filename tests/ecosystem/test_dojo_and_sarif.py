"""Findings in the hands of others: DefectDojo's own parser on our artifact, sarif-tools on our SARIF.

DEFECTDOJO_SRC names a checkout of DefectDojo; only its Nuclei parser is taken from it, with stand-ins for the Django models that it
imports.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from scanplan.report import sarif
from tests.unit.report import events

pytestmark = pytest.mark.ecosystem

EVENTS = [
    events.event(),
    events.event(**{"matched-at": "https://app.example.com/old/.git/config"}),
    events.event(**{"template-id": "env-file", "extracted-results": ["KEY=…"], "info": {"severity": "critical"}}),
]


class Finding:
    """As much of DefectDojo's model as its parser needs: any member, and the severities."""

    SEVERITIES = ("Info", "Low", "Medium", "High", "Critical")

    def __init__(self, **members: Any) -> None:
        self.description = ""
        self.__dict__.update(members)


class Endpoint:
    """A place of a finding."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.host = uri.partition("://")[2].partition("/")[0]

    from_uri = classmethod(lambda cls, uri: cls(uri))


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> Any:
    source = os.environ.get("DEFECTDOJO_SRC")
    if not source:
        pytest.skip("DEFECTDOJO_SRC names no checkout of DefectDojo")
    pytest.importorskip("cvss")
    pytest.importorskip("dateutil")
    members: dict[str, dict[str, Any]] = {
        "django": {},
        "django.conf": {"settings": types.SimpleNamespace(V3_FEATURE_LOCATIONS=False)},
        "dojo": {},
        "dojo.models": {"Finding": Finding, "Endpoint": Endpoint},
        "dojo.tools": {},
        "dojo.tools.locations": {"LocationData": None},
    }
    for name, values in members.items():
        module = types.ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("dojo_nuclei", Path(source) / "dojo/tools/nuclei/parser.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded.NucleiParser()


def test_defectdojo_reads_the_artifact(parser: Any) -> None:
    artifact = "".join(json.dumps(event) + "\n" for event in EVENTS)
    findings = parser.get_findings(io.StringIO(artifact), None)
    told = {
        found.vuln_id_from_tool: (found.severity, found.nb_occurences, len(found.unsaved_endpoints))
        for found in findings
    }
    assert told == {"git-config": ("Medium", 2, 2), "env-file": ("Critical", 1, 1)}
    assert all(found.cwe == 527 for found in findings)


def test_sarif_tools_reads_our_sarif(tmp_path: Path) -> None:
    loader = pytest.importorskip("sarif.loader", reason="sarif-tools isn't installed")
    findings = events.read(EVENTS)
    path = tmp_path / "report.sarif"
    path.write_bytes(b"".join(sarif.render(events.record(findings), findings, "1.2.3")))
    file = loader.load_sarif_file(str(path))
    assert file.get_result_count() == 3
    records = file.get_records()
    assert {record["Severity"] for record in records} == {"error", "warning"}
    assert all(record["Location"] for record in records)
