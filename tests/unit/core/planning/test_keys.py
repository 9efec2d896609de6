"""What makes two scans the same scan.

Too much in the key, and the same scan runs twice; too little, and a plan is given the findings of another one.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from scanplan.core.planning import keys, sources
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.task import claim_of
from tests.unit.core.objects import CLAIM, INPUTS, POLICY, plan, task

KEY = task().key

SAME = {
    "endpoints in another order": {"endpoints": ["https://b.example", "https://a.example"]},
    "an endpoint twice": {"endpoints": ["https://a.example", "https://b.example", "https://a.example"]},
    "another spelling of an endpoint": {"endpoints": ["HTTPS://A.example:443/", "https://b.example.#x"]},
    "a template twice": {"templates": ["http/cves/", "http/cves/"]},
    "priority": {"priority": 9},
    "sharding": {"sharding": {"maxEndpointsPerShard": 250, "parallelism": 1}},
    "timeoutSeconds": {"timeoutSeconds": 60},
    "deadlineSeconds": {"deadlineSeconds": 86_400},
    "retry": {"retry": {"temporary": 9}},
    "suspend": {"suspend": True},
    "cancel": {"cancel": True},
    "ttlSecondsAfterFinished": {"ttlSecondsAfterFinished": 600},
    "the installed image, by name": {"scanner": {"image": POLICY.scanner_image}},
    "the default claim, by name": {"artifacts": {"claimName": POLICY.claim_name}},
    "host errors": {"scanner": {"maxHostErrors": 5}},
    "rates": {"scanner": {"rateLimit": 10, "concurrency": 1, "bulkSize": 1}},
    "podTemplate": {"podTemplate": {"nodeSelector": {"disk": "ssd"}}},
}

OTHER = {
    "project": {"projectId": "umbrella"},
    "run": {"runId": "weekly"},
    "one endpoint more": {"endpoints": ["https://a.example", "https://b.example", "https://c.example"]},
    "another scheme": {"endpoints": ["http://a.example", "https://b.example"]},
    "another port": {"endpoints": ["https://a.example:8443", "https://b.example"]},
    "another path": {"endpoints": ["https://a.example/app", "https://b.example"]},
    "another template": {"templates": ["http/"]},
    "severities": {"severityLevels": ["critical"]},
    "included tags": {"selection": {"include": {"tags": ["cve"]}}},
    "a workflow": {"selection": {"workflows": ["workflows/a.yaml"]}},
    "fuzzing": {"scanner": {"dast": True}},
    "an automatic scan": {"selection": {"automatic": True}},
    "a template profile": {"selection": {"profile": "recommended"}},
    "excluded matchers": {"selection": {"exclude": {"matchers": ["a:b"]}}},
    "excluded paths": {"selection": {"exclude": {"paths": ["http/cves/"]}}},
    "redirects": {"scanner": {"followRedirects": True}},
    "redirects to the same host": {"scanner": {"followHostRedirects": True}},
    "the most redirects": {"scanner": {"maxRedirects": 3}},
    "the size of responses": {"scanner": {"maxResponseBytes": 4096}},
    "the name that TLS asks for": {"scanner": {"sni": "app.example"}},
    "only signed templates": {"scanner": {"verifySignatures": True}},
    "a variable": {"scanner": {"variables": [{"name": "user", "value": "guest"}]}},
    "another image": {"scanner": {"image": "other:1"}},
    "another claim": {"artifacts": {"claimName": "other"}},
    "a rerun": {"rerun": "2026-11-24"},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_does_not_change_what_is_found_is_the_same_scan(change: dict[str, Any]) -> None:
    assert task(plan(**change)).key == KEY


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_changes_what_is_found_is_another_scan(change: dict[str, Any]) -> None:
    permissive = Policy(scanner_image=POLICY.scanner_image, allowed_images=("*",))
    changed = plan(**change)
    inputs = dict.fromkeys(
        sources.needed(changed.spec, changed.namespace, claim_of(changed.spec, permissive), permissive), INPUTS[CLAIM]
    )
    assert task(changed, permissive, inputs).key != KEY


def test_the_order_of_severities_does_not_matter() -> None:
    both = [task(plan(severityLevels=levels)).key for levels in (["high", "critical"], ["critical", "high"])]
    assert both[0] == both[1]


def test_project_and_run_default_to_namespace_and_name() -> None:
    unnamed = plan(projectId=None, runId=None)
    assert task(unnamed).key.startswith("scan:team:alpha:")
    assert task(unnamed).key == task(plan(projectId="team", runId="alpha")).key


def test_the_order_of_template_sources_matters_for_the_first_with_a_template_wins() -> None:
    def key(*sources: str) -> str:
        return keys.task_key("acme", "nightly", ["a"], ["t"], sources, {})

    assert len({key(), key("aa"), key("bb"), key("aa", "bb"), key("bb", "aa")}) == 5


def test_the_form_of_a_key_and_of_the_names_made_of_it() -> None:
    """Others parse them: Redis keys, folders on the claim, dashboards."""
    assert re.fullmatch(r"scan:acme:nightly:[0-9a-f]{16}:[0-9a-f]{16}:[0-9a-f]{16}", KEY)
    assert re.fullmatch(r"scan-[0-9a-f]{20}", keys.job_name(KEY))
    assert keys.job_name(KEY) == f"scan-{keys.key_digest(KEY)}"
    assert keys.job_name("scan:acme:nightly:0:0:0") == "scan-01d3d1d5a02e20840bae"


class TestCompatKey:
    """The first version's key, for those who look results up by it."""

    def test_is_the_first_versions_digit_for_digit(self) -> None:
        endpoints = ["https://b.example", "https://a.example"]
        assert keys.compat_key("acme", "run1", endpoints, ["cves/", "misc/"]) == "scan:acme:run1:dd1022d2:ec493c65"

    def test_collides_where_severities_differ(self) -> None:
        """It never saw them: a scan for critical findings would have been given the result of one for all."""
        critical, everything = plan(severityLevels=["critical"]), plan()
        old = {
            keys.compat_key("acme", "r", each.spec.endpoints, each.spec.templates) for each in (critical, everything)
        }
        assert len(old) == 1
        assert task(critical).key != task(everything).key

    def test_collides_where_items_hold_its_separator(self) -> None:
        one, two = ["a.example/?q=1,z"], ["a.example/?q=1", "z"]
        assert keys.compat_key("p", "r", one, ["t"]) == keys.compat_key("p", "r", two, ["t"])
        assert keys.task_key("p", "r", one, ["t"], [], {}) != keys.task_key("p", "r", two, ["t"], [], {})

    def test_collides_after_32_bits(self) -> None:
        """Found by trying 22,000 hosts; a large installation meets one by accident."""
        first, second = ["https://h4220.example"], ["https://h21579.example"]
        assert keys.compat_key("p", "r", first, ["t"]) == keys.compat_key("p", "r", second, ["t"])
        assert keys.task_key("p", "r", first, ["t"], [], {}) != keys.task_key("p", "r", second, ["t"], [], {})
