"""The commands as people type them, as processes, against a real cluster with real scans."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import prefork
from tests.e2e.stage import EXPOSED, Stage
from tests.kubectl import Manifest

pytestmark = pytest.mark.e2e

MISCONFIGURATION = "http/misconfiguration/"
BIN = Path(sys.executable).parent
FLOOD = """
id: flood
info: {name: Flood, author: tests, severity: low, metadata: {x-double-fault: "flood:2500:6000"}}
http:
  - method: GET
    path: ["{{BaseURL}}/"]
    matchers: [{type: status, status: [200]}]
"""
"""Makes the scanner stand-in find 15 MB, more than the kubelet keeps of a container's log."""


class Terminal:
    """Types commands, as a user of the stage's namespace."""

    def __init__(self, stage: Stage, kubeconfig: Path | None = None) -> None:
        kubeconfig = kubeconfig or stage.kubectl.kubeconfig
        self._namespace = ("--namespace", stage.namespace)
        # Not by KUBECONFIG, which Kubernetes' client has read when it was imported.
        self._cluster = ("--kubeconfig", str(kubeconfig), *self._namespace)
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": f"{BIN}:{os.environ['PATH']}"}

    def __call__(self, *words: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command, which must end with `code`."""
        return ended(prefork.run(("scanplan", *words, *self._cluster), self._environment, given=stdin), code)

    def by(self, *program: str) -> subprocess.CompletedProcess[str]:
        """Run a command by a program that users have, in a new interpreter, with KUBECONFIG; it must succeed."""
        command = [*program, *self._namespace]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self._environment, timeout=300)
        return ended(done, os.EX_OK)


def ended(done: subprocess.CompletedProcess[str], code: int) -> subprocess.CompletedProcess[str]:
    """What has ended, with `code`."""
    assert done.returncode == code, f"{done.args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def scanplan(stage: Stage) -> Terminal:
    return Terminal(stage)


@pytest.fixture(scope="module")
def nightly(stage: Stage, scanplan: Terminal) -> Manifest:
    """A plan that was submitted, has completed, and was run again with another set of templates."""
    endpoint = stage.endpoint("app")
    said = scanplan("submit", "nightly", "-e", endpoint, "-t", "http/exposures/", "--follow")
    assert "nightly Completed 1/1" in said.stdout
    assert "scanplan.scanplan.dev/nightly created" in said.stderr
    assert "unchanged" in scanplan("submit", "nightly", "-e", endpoint, "-t", "http/exposures/").stderr
    changed = scanplan("submit", "nightly", "-e", endpoint, "-t", MISCONFIGURATION, "--follow")
    assert "nightly changed" in changed.stderr
    return stage.get("nightly")


def readers(stage: Stage) -> list[Manifest]:
    found: list[Manifest] = stage.kubectl.get("pods", "-l", "app.kubernetes.io/component=reader")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def test_plans_are_listed_with_what_they_have_found(scanplan: Terminal, nightly: Manifest) -> None:
    header, row = scanplan("get", "nightly").stdout.splitlines()
    assert header.split()[:4] == ["NAME", "PHASE", "REASON", "SHARDS"]
    assert row.split()[:6] == ["nightly", "Completed", "-", "1/1", "1", str(nightly["status"]["findings"]["total"])]
    assert json.loads(scanplan("get", "nightly", "-o", "json").stdout)["status"] == nightly["status"]
    assert "nightly" in scanplan("get").stdout
    assert "there is no ScanPlan 'absent'" in scanplan("get", "absent", code=66).stderr


def test_results_are_what_the_claim_holds_and_no_reader_stays_behind(
    stage: Stage, scanplan: Terminal, nightly: Manifest
) -> None:
    there = stage.read(f"{nightly['status']['artifacts']['path']}/nuclei_output.ndjson").decode()
    assert scanplan("results", "nightly", "-o", "ndjson").stdout == there != ""
    sarif = json.loads(scanplan("results", "nightly", "-o", "sarif").stdout)
    assert len(sarif["runs"][0]["results"]) == nightly["status"]["findings"]["total"]
    assert len(scanplan("results", "nightly").stdout.splitlines()) == 1 + nightly["status"]["findings"]["total"]
    scanplan("results", "nightly", "--fail-on", "medium", code=1)
    scanplan("results", "nightly", "--fail-on", "critical")
    assert readers(stage) == []


def test_a_run_is_compared_with_the_one_before(scanplan: Terminal, nightly: Manifest) -> None:
    told = json.loads(scanplan("diff", "nightly~1", "nightly", "-o", "json").stdout)
    assert {finding["template"] for finding in told["notSeen"]} == EXPOSED
    assert told["resolved"] == [], "their templates were not run"
    assert len(told["new"]) == nightly["status"]["findings"]["total"]
    assert "They ran different templates." in told["remarks"]
    earlier = scanplan("results", "nightly~1", "-o", "ndjson").stdout
    assert {json.loads(line)["template-id"] for line in earlier.splitlines()} == EXPOSED


def test_a_finding_is_accepted_and_tested_again(stage: Stage, scanplan: Terminal) -> None:
    """The whole way, with real pods: from a finding to an exception, to a scan that counts with it, to a retest."""
    scanplan("submit", "accepted", "-e", stage.endpoint("app"), "-t", MISCONFIGURATION, "--follow")
    finding = json.loads(scanplan("results", "accepted", "-o", "ndjson").stdout.splitlines()[0])
    rows = scanplan("results", "accepted").stdout.splitlines()
    mark = next(row.split()[-1] for row in rows if finding["template-id"] in row and finding["matched-at"] in row)
    written = scanplan("exception", "create", mark, "--run", "accepted", "--reason", "a test", "--expires", "9d").stdout
    gate = ("results", "accepted", "--fail-on", finding["info"]["severity"])
    scanplan(*gate, code=1)
    scanplan(*gate, "--new", code=1)
    stage.kubectl.apply(yaml.safe_load(written))
    total = stage.get("accepted")["status"]["findings"]["total"]
    alerts = json.loads(scanplan("results", "accepted", "-o", "sarif").stdout)["runs"][0]["results"]
    assert len(alerts) == total - 1
    scanplan("rerun", "accepted", "--follow")
    status = stage.get("accepted")["status"]
    assert (status["findings"]["total"], status["findings"]["suppressed"]) == (total, 1)
    scanplan("results", "accepted", "--fail-on", "info", "--new")
    (use,) = status["exceptions"]["used"]
    name = yaml.safe_load(written)["metadata"]["name"]
    assert use == {"name": name, "findings": 1}
    listed = json.loads(scanplan("exception", "list", "-o", "json").stdout)["items"]
    assert [each["metadata"]["name"] for each in listed] == [name]
    answer = scanplan("retest", mark, "--run", "accepted", "-o", "json", code=1)
    assert json.loads(answer.stdout)["verdict"] == "open"
    stage.kubectl("delete", "scanexception", name)


def test_artifacts_are_fetched_and_checked(stage: Stage, scanplan: Terminal, nightly: Manifest, tmp_path: Path) -> None:
    listed = scanplan("artifacts", "list", "nightly").stdout
    assert "nuclei_output.ndjson" in listed
    assert "report.html" in listed
    said = scanplan("artifacts", "get", "nightly", "--all", "--into", str(tmp_path)).stderr
    assert "checked" in said
    assert list(tmp_path.rglob("scanner.log"))
    assert (tmp_path / "report.html").read_bytes().startswith(b"<!doctype html>")
    folder = nightly["status"]["artifacts"]["path"]
    assert (tmp_path / "scan_metadata.json").read_bytes() == stage.read(f"{folder}/scan_metadata.json")
    assert (
        "is not on the claim"
        in scanplan("artifacts", "get", "nightly", "absent.txt", "--into", str(tmp_path), code=66).stderr
    )


def test_a_result_larger_than_any_log_is_read_whole(stage: Stage, scanplan: Terminal, tmp_path: Path) -> None:
    template = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flood"}, "data": {"flood.yaml": FLOOD}}
    stage.kubectl.apply(template)
    stage.apply(stage.plan("flood", templates=["flood.yaml"], templatesFrom=[{"configMap": {"name": "flood"}}]))
    status = stage.ends("flood", "Completed")
    file = tmp_path / "findings.ndjson"
    scanplan("results", "flood", "-o", "ndjson", "-f", str(file))
    assert file.stat().st_size == status["artifacts"]["files"][0]["bytes"] > 12_000_000
    report = tmp_path / "report.html"
    scanplan("results", "flood", "-o", "html", "-f", str(report))
    assert 1_000 < report.stat().st_size <= 10_000_000


def test_logs_say_how_it_went(scanplan: Terminal, nightly: Manifest) -> None:
    total = nightly["status"]["findings"]["total"]
    assert f"shard 0, attempt 1: complete, {total} findings" in scanplan("logs", "nightly").stdout
    events = [
        json.loads(line)["event"] for line in scanplan("logs", "nightly", "--raw", "--follow").stdout.splitlines()
    ]
    assert (events[0], events[-1]) == ("started", "finished")
    assert "there are no pods" in scanplan("logs", "nightly", "--shard", "7", code=66).stderr


def test_a_plan_that_failed_is_explained_with_what_to_do(scanplan: Terminal, stage: Stage) -> None:
    said = scanplan("submit", "broken", "-e", stage.endpoint("app"), "-t", "absent/", "--follow", code=1)
    assert "Templates not found: absent/" in said.stderr
    told = scanplan("explain", "broken").stdout
    assert told.startswith("broken: Failed (TemplatesNotFound)")
    assert "What to do\n  correct templates" in told
    assert "failed with exit code 65" in told
    refused = scanplan("results", "broken", code=66).stderr
    assert "broken has no result: it is Failed\n  try: scanplan explain broken" in refused


def test_a_plan_that_waits_is_explained_by_what_it_waits_for(scanplan: Terminal, stage: Stage) -> None:
    stage.apply(stage.plan("hopeful", artifacts={"claimName": "absent"}))
    stage.until(lambda: "absent" in json.dumps(stage.status("hopeful")))
    told = scanplan("explain", "hopeful").stdout
    assert "InputUnavailable" in told
    assert "create what is missing" in told
    assert "hopeful has no result: it is Failed" in scanplan("results", "hopeful", code=66).stderr


def test_a_scan_is_cancelled_keeps_what_it_has_found_and_runs_again(scanplan: Terminal, stage: Stage) -> None:
    stage.gate("gate")
    stage.apply(stage.gated("long"))
    stage.standing("long")
    running = scanplan("results", "long", code=75).stderr
    assert "long has no result yet: it is Running\n  try: scanplan watch long" in running
    scanplan("cancel", "long")
    said = scanplan("watch", "long", code=1)
    assert "long Cancelled" in said.stdout
    kept = scanplan("results", "long", "-o", "ndjson")
    assert {json.loads(line)["template-id"] for line in kept.stdout.splitlines()} == EXPOSED
    assert "The scan is not complete" in kept.stderr
    scanplan("results", "long", "--fail-on", "critical", "-o", "ndjson", "--severity", "info", code=1)
    stage.open("gate")
    scanplan("rerun", "long", "--token", "again", "--follow")
    assert "nothing to do" in scanplan("rerun", "long", "--token", "again").stderr
    assert scanplan("results", "long", "--fail-on", "unknown", code=1).stderr.count("not complete") == 0


def test_a_plan_comes_from_a_file_and_a_dry_run_writes_one(scanplan: Terminal, stage: Stage) -> None:
    written = scanplan(
        "submit", "paper", "-e", stage.endpoint("app"), "-t", "http/", "--severity", "high", "--dry-run"
    ).stdout
    manifest: dict[str, Any] = yaml.safe_load(written)
    assert manifest["spec"]["severityLevels"] == ["high"]
    assert stage.kubectl.find("scanplan", "paper") is None
    manifest["spec"]["suspend"] = True
    scanplan("submit", "-f", "-", stdin=yaml.safe_dump(manifest))
    assert stage.get("paper")["spec"]["suspend"]
    manifest["spec"]["endpoints"] = ["a b"]
    refused = scanplan("submit", "-f", "-", stdin=yaml.safe_dump(manifest), code=65).stderr
    assert "spec.endpoints[0]" in refused


def test_fields_that_somebody_else_keeps_are_not_taken_away(scanplan: Terminal, stage: Stage) -> None:
    plan = stage.plan("kept", suspend=True)
    stage.kubectl("apply", "--server-side", "--field-manager=gitops", "-f", "-", stdin=yaml.safe_dump(plan))
    refused = scanplan("submit", "kept", "-e", "http://other.example", "-t", "http/", code=69).stderr
    assert "gitops" in refused


def test_a_ready_cluster_is_found_ready_and_a_missing_claim_is_named(scanplan: Terminal, stage: Stage) -> None:
    well = scanplan("doctor").stdout
    assert "failed" not in well
    assert "ok       operator: scanplan-system/scanplan-operator" in well
    assert f"warning  network: no NetworkPolicy bounds what scan pods of namespace {stage.namespace} reach" in well
    command = [str(BIN / "scanplan"), "doctor", "--namespace", "default", "--kubeconfig", str(stage.kubectl.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 69
    assert "there is no PersistentVolumeClaim scanplan-artifacts in namespace default" in done.stdout


@pytest.mark.usefixtures("nightly")
def test_kubectl_runs_it_as_its_plugin(scanplan: Terminal) -> None:
    assert "nightly" in scanplan.by("scanplan", "get", "nightly").stdout
    assert "nightly" in scanplan.by("kubectl", "scanplan", "get", "nightly").stdout
    assert scanplan.by("kubectl", "scanplan", "get", "--help").stdout.startswith("Usage: kubectl scanplan get")


@pytest.mark.usefixtures("nightly")
def test_who_may_only_look_is_told_what_is_missing(stage: Stage, tmp_path: Path) -> None:
    looker = Terminal(stage, kubeconfig_of_a_looker(stage, tmp_path / "kubeconfig"))
    assert "Completed" in looker("get", "nightly").stdout
    refused = looker("results", "nightly", code=77).stderr
    assert 'cannot create resource "pods"' in refused
    assert "scanplan doctor" in refused
    told = looker("doctor").stdout
    assert "warning  read results and artifacts: you may not: create pods" in told
    assert "unknown  operator" in told
    explained = looker("explain", "nightly").stdout
    assert explained.startswith("nightly: Completed")
    assert "(not shown: Jobs: " in explained


def kubeconfig_of_a_looker(stage: Stage, file: Path) -> Path:
    """The kubeconfig of a ServiceAccount that may read plans and nothing else."""
    kubectl = stage.kubectl
    kubectl.account("looker")
    kubectl.allow("looker", "looker", "get,list,watch", "scanplans.scanplan.dev")
    configuration = yaml.safe_load(kubectl("config", "view", "--raw", "--flatten", "--minify"))
    (user,) = configuration["users"]
    user["user"] = {"token": kubectl.token("looker")}
    file.write_text(yaml.safe_dump(configuration))
    return file
