"""`scanplan retest`: what it scans, and when it may say fixed."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api import labels
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.cli.commands import retest
from scanplan.cli.commands.retest import Verdict
from scanplan.cli.output.failure import Failure
from tests.unit.report import events

GIT = events.event(
    **{"template-path": "/opt/nuclei-templates/http/exposures/git-config.yaml", "url": "https://app.example.com/start"}
)
OTHER = events.event(**{"template-id": "other"})
SPEC: dict[str, Any] = {
    "projectId": "acme",
    "runId": "nightly",
    "rerun": "7",
    "endpoints": ["https://a.example", "https://app.example.com/start", "ssh.example:22"],
    "templates": ["http/"],
    "severityLevels": ["critical"],
    "scanner": {"image": "scanner:1", "concurrency": 5},
    "sharding": {"parallelism": 9},
    "suspend": True,
}


TROUBLED = {"endpoint": "https://app.example.com", "trouble": "failing", "count": 40, "total": 50, "remark": "failed"}
FAILING = events.shard(endpointsTroubled=[TROUBLED])
OWN = {"runId", "rerun", "endpoints", "templates"}
"""Fields that a retest sets itself."""
LEFT_OUT = {
    "endpointsFrom": "it scans the endpoint of the finding",
    "selection": "it runs the template of the finding, whatever else the plan chooses",
    "severityLevels": "the template of the finding has one of them, or had when it was found",
    "sharding": "it has one endpoint",
    "deadlineSeconds": "it is that of a scan of many endpoints",
    "priority": "it counts among waiting plans alone",
    "suspend": "somebody waits for the answer",
    "cancel": "somebody waits for the answer",
    "windows": "somebody waits for the answer",
    "exports": "a receiver would take the result of one template for that of the run",
    "retryExports": "it exports nothing",
}
"""Fields that don't change what a request of the finding's template asks, and whom. Each with the reason."""


def line(event: dict[str, Any]) -> bytes:
    return events.lines([event])[0]


def manifest(event: dict[str, Any], **spec: Any) -> dict[str, Any]:
    plan = {"metadata": {"name": "nightly"}, "spec": {**SPEC, **spec}}
    return retest.manifest(plan, line(event), "retest-1")


def test_a_retest_is_a_plan_of_its_own_that_scans_as_the_plan_did() -> None:
    """Lost otherwise: the result of the plan, which a retest under its name would replace."""
    made = manifest(GIT)
    ScanPlanSpec.model_validate(made["spec"])
    assert made["metadata"]["labels"] == {labels.RETEST: "true"}, "it counts in no project"
    assert made["spec"] == {
        "projectId": "acme",
        "scanner": {"image": "scanner:1", "concurrency": 5},
        "runId": "retest-1",
        "rerun": "retest-1",
        "endpoints": ["https://app.example.com/start"],
        "templates": ["http/exposures/git-config.yaml"],
    }


def test_each_field_of_a_plan_is_kept_or_does_not_matter_for_one_finding() -> None:
    """Lost otherwise: fixed, said of another machine, which another resolver or another proxy has led to."""
    fields = [field.alias for field in ScanPlanSpec.model_fields.values()]
    assert sorted([*retest.KEPT, *OWN, *LEFT_OUT]) == sorted(map(str, fields))


def test_a_retest_reaches_the_machine_that_the_plan_reached() -> None:
    """Lost otherwise: with split DNS the public host is asked, which answers without the weakness."""
    names: dict[str, Any] = {
        "dnsConfig": {"nameservers": ["192.0.2.53"]},
        "hostAliases": [{"ip": "192.0.2.7", "hostnames": ["app.example.com"]}],
    }
    made = manifest(GIT, **names)["spec"]
    ScanPlanSpec.model_validate(made)
    assert {field: made.get(field) for field in names} == names


@pytest.mark.parametrize(
    ("members", "endpoint", "template"),
    [
        ({"url": "https://app.example.com"}, "https://app.example.com", "http/exposures/git-config.yaml"),
        ({"url": "https://new.example:8443"}, "https://new.example:8443", "http/exposures/git-config.yaml"),
        ({"host": "ssh.example", "port": "22", "url": None}, "ssh.example:22", "http/exposures/git-config.yaml"),
        ({"template-path": "/etc/scanplan/templates/3/own.yaml"}, "https://app.example.com/start", "own.yaml"),
    ],
    ids=str,
)
def test_what_is_scanned_again(members: dict[str, Any], endpoint: str, template: str) -> None:
    spec = manifest({**GIT, **members})["spec"]
    assert (spec["endpoints"], spec["templates"]) == ([endpoint], [template])


@pytest.mark.parametrize(
    ("url", "endpoints", "chosen"),
    [
        ("https://a.example/two", ["https://a.example/one", "https://a.example/two"], "https://a.example/two"),
        ("https://a.example", ["https://a.example/one", "https://a.example"], "https://a.example"),
        ("https://a.example/two", ["a.example", "https://a.example:443/two/"], "https://a.example:443/two/"),
        ("https://a.example/x?n=2", ["https://a.example/x?n=1", "https://A.example/x?n=2"], "https://A.example/x?n=2"),
        ("https://a.example/x?n=3", ["https://a.example/x?n=1"], "https://a.example/x?n=3"),
        ("https://a.example/v1/x?ids=1,2", ["https://a.example", "https://a.example/v1"], "https://a.example/v1"),
        ("https://a.example/v1", ["https://a.example", "https://a.example/v"], "https://a.example"),
        ("https://a.example:8443", ["https://a.example", "a.example:8443"], "a.example:8443"),
        ("https://a.example", ["http://a.example", "a.example:443"], "a.example:443"),
        ("https://a.example:8443", ["a.example", "a.example:8443"], "a.example:8443"),
        ("https://a.example:8443", ["a.example:8443", "a.example"], "a.example:8443"),
        ("https://a.example:8443/x", ["a.example/x", "a.example:8443"], "a.example:8443"),
        ("https://a.example/v1", ["a.example/v1", "https://a.example"], "a.example/v1"),
        ("https://a.example/v1", ["a.example:443", "a.example/v1"], "a.example/v1"),
        ("http://a.example", ["a.example:443", "a.example"], "a.example"),
        ("http://10.1.0.0", ["10.1.0.0/24"], "http://10.1.0.0"),
        ("http://[2001:db8::1]:80/x", ["http://[2001:DB8:0::1]"], "http://[2001:DB8:0::1]"),
    ],
    ids=str,
)
def test_a_retest_scans_the_endpoint_of_the_finding(url: str, endpoints: list[str], chosen: str) -> None:
    """Lost otherwise: a weakness of one path that is called fixed, since another path of its host was scanned."""
    assert manifest({**GIT, "url": url}, endpoints=endpoints)["spec"]["endpoints"] == [chosen]


def test_without_a_url_the_place_of_the_finding_counts() -> None:
    """Lost otherwise: the root of a host is scanned where the finding is below a path."""
    members = {"url": None, "matched-at": "https://a.example/two/.git/config", "host": "a.example", "port": "443"}
    chosen = ["https://a.example/one", "https://a.example/two"]
    assert manifest({**GIT, **members}, endpoints=chosen)["spec"]["endpoints"] == ["https://a.example/two"]
    assert manifest({**GIT, **members}, endpoints=chosen[:1])["spec"]["endpoints"] == ["a.example:443"]


@pytest.mark.parametrize(
    ("members", "spec"),
    [
        ({"template-path": "/etc/passwd"}, {}),
        ({"template-path": "/opt/nuclei-templates/../../etc/passwd"}, {}),
        ({"template-path": None}, {}),
        ({"host": None, "url": None, "matched-at": None}, {}),
        ({"host": "a b", "url": "x y", "port": ""}, {}),
        ({}, {"endpointsFrom": [{"secretKeyRef": {"name": "targets", "key": "list"}}]}),
    ],
    ids=str,
)
def test_what_a_plan_must_not_or_cannot_name_is_refused(members: dict[str, Any], spec: dict[str, Any]) -> None:
    """Lost otherwise: a target from a Secret in a spec that everybody reads."""
    with pytest.raises(Failure):
        manifest({**GIT, **members}, **spec)


@pytest.mark.parametrize("raw", [b"[]", b"7", b"{", b'{"url": "\\ud800"}'])
def test_a_line_that_is_no_finding_is_refused(raw: bytes) -> None:
    plan = {"metadata": {"name": "nightly"}, "spec": SPEC}
    with pytest.raises(Failure, match="does not say which template and target"):
        retest.manifest(plan, raw, "retest-1")


@pytest.mark.parametrize(
    ("left", "record", "verdict"),
    [
        ([GIT], {}, Verdict.OPEN),
        ([OTHER, GIT], {"complete": False}, Verdict.OPEN),
        ([], {}, Verdict.FIXED),
        ([OTHER], {}, Verdict.FIXED),
        ([], {"complete": False}, Verdict.UNKNOWN),
        ([], {"endpointsUnreachable": 1}, Verdict.UNKNOWN),
        ([], {"endpointsScanned": 0}, Verdict.UNKNOWN),
        ([], {"endpointsSkipped": 1}, Verdict.UNKNOWN),
        ([], {"endpointsThrottled": 1}, Verdict.UNKNOWN),
        ([], {"endpointsBlocked": 1}, Verdict.UNKNOWN),
        ([], {"shards": [FAILING]}, Verdict.UNKNOWN),
        ([], {"templatesNotRun": [{"template": "x", "reason": "y"}]}, Verdict.UNKNOWN),
    ],
    ids=str,
)
def test_fixed_is_said_only_where_a_scan_has_looked(
    left: list[dict[str, Any]], record: dict[str, Any], verdict: Verdict
) -> None:
    """Lost otherwise: a weakness that is closed because its host was down."""
    scan = events.record(events.read(left), **record)
    assert retest.verdict_of(line(GIT), events.lines(left), scan) is verdict


def test_a_finding_with_another_answer_is_the_same_finding() -> None:
    """Lost otherwise: fixed, said of a server whose version has changed."""
    newer = {**GIT, "extracted-results": ["2.0"], "timestamp": "2026-12-01T00:00:00Z"}
    assert retest.verdict_of(line(GIT), events.lines([newer]), events.record()) is Verdict.OPEN
