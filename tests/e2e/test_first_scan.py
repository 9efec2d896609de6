"""From `kubectl apply` to findings on the claim: what a user does first, and what the product is trusted for."""

from __future__ import annotations

import json

import pytest

from tests import deploy
from tests.e2e.stage import EXPOSED, EXPOSURES, PATIENCE, Stage, condition, templates

pytestmark = pytest.mark.e2e


def test_a_plan_leads_to_findings_on_the_claim_that_are_what_the_status_says(stage: Stage) -> None:
    stage.apply(stage.plan("first", templates=["http/"]))
    stage.kubectl("wait", "--for=condition=Succeeded", "scanplan/first", f"--timeout={PATIENCE:.0f}s")
    status = stage.ends("first", "Completed")
    findings = stage.findings(status)
    assert status["findings"]["total"] == 14
    assert status["findings"]["critical"] == 3
    assert {finding["info"]["severity"] for finding in findings} >= {"critical", "high", "medium", "low", "info"}
    assert all(finding["host"] == f"app.{stage.namespace}" for finding in findings)
    assert status["artifacts"]["complete"]
    assert status["progress"] == "1/1"
    assert status["attempts"] == 1
    assert condition(status, "Succeeded")["status"] == "True"
    assert condition(status, "FindingsPresent")["status"] == "True"
    assert set(templates(findings)) > EXPOSED


def test_the_report_beside_the_findings_is_whole_and_listed(stage: Stage) -> None:
    stage.apply(stage.plan("reported"))
    status = stage.ends("reported", "Completed")
    assert "report.html" in [file["name"] for file in status["artifacts"]["files"]]
    page = stage.read(f"{status['artifacts']['path']}/report.html").decode()
    assert page.endswith("</html>\n")
    for finding in stage.findings(status):
        assert finding["template-id"] in page


def test_the_record_beside_the_findings_says_what_was_scanned_and_with_what(stage: Stage) -> None:
    stage.apply(stage.plan("record", projectId="acme", severityLevels=["medium"]))
    status = stage.ends("record", "Completed")
    metadata = stage.metadata(status)
    assert metadata["projectId"] == "acme"
    assert metadata["runId"] == "record"
    assert metadata["key"] == status["taskKey"]
    assert metadata["templates"] == [EXPOSURES]
    assert metadata["severityLevels"] == ["medium"]
    assert metadata["complete"]
    assert metadata["endpoints"] == metadata["endpointsScanned"] == 1
    assert metadata["scanner"]["nucleiVersion"]
    assert metadata["scanner"]["templatesDigest"] == status["scanner"]["templatesDigest"]
    assert templates(stage.findings(status)) == ["git-config"]


def test_programs_of_the_first_version_find_the_artifacts_at_the_path_they_know(stage: Stage) -> None:
    stage.apply(stage.plan("known-path", runId="nightly-2026-11-23"))
    status = stage.ends("known-path", "Completed")
    known = "ui_projects/nightly-2026-11-23"
    published = stage.read(f"{status['artifacts']['path']}/nuclei_output.ndjson")
    assert stage.read(f"{known}/artifacts/nuclei_output.ndjson") == published != b""
    record = json.loads(stage.read(f"{known}/run.json"))
    assert record["runId"] == "nightly-2026-11-23"


def test_every_example_is_taken_by_a_real_api_server(stage: Stage) -> None:
    examples = sorted((deploy.ROOT / "examples").glob("*.yaml"))
    assert examples
    for example in examples:
        stage.kubectl("apply", "--dry-run=server", "-f", str(example))
