"""Resolvers and host aliases of a plan.

Lost otherwise: names that only a company's own resolver knows; or the target guard, by a name that leads to a denied address.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scan_defaults import ScanDefaults
from scanplan.core.manifests import jobs
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard
from scanplan.core.planning.task import Task, resolve
from tests.unit.core.objects import INPUTS, NOW, POLICY, plan

OPEN = replace(POLICY, allowed_resolvers=("192.0.2.*", "2001:db8::53"), guard=Guard(DEFAULT_DENIED))
RESOLVER: dict[str, Any] = {"dnsConfig": {"nameservers": ["192.0.2.53"], "searches": ["corp.example"]}}
ALIAS: dict[str, Any] = {"hostAliases": [{"ip": "192.0.2.7", "hostnames": ["shop.example", "api.example"]}]}


def task(**spec: Any) -> Task:
    return resolve(plan(**spec), OPEN, NOW, INPUTS)


def pod(**spec: Any) -> dict[str, Any]:
    of = plan(**spec)
    found: dict[str, Any] = jobs.build(resolve(of, OPEN, NOW, INPUTS), of, OPEN)["spec"]["template"]["spec"]
    return found


def test_resolvers_take_the_place_of_the_clusters() -> None:
    """Nuclei gets those of its pod (tests/unit/runner/nuclei/launch/test_resolvers.py), and so does the guard's own look-up."""
    made = pod(**RESOLVER)
    assert made["dnsPolicy"] == "None"
    assert made["dnsConfig"] == {"nameservers": ["192.0.2.53"], "searches": ["corp.example"]}


OWNERS = {"nameservers": ["198.51.100.1"], "searches": ["owner.example"], "options": [{"name": "ndots", "value": "1"}]}
TOGETHER = [
    ({"nameservers": ["192.0.2.53"]}, {**OWNERS, "nameservers": ["192.0.2.53"]}),
    (RESOLVER["dnsConfig"], {**OWNERS, **RESOLVER["dnsConfig"]}),
    (None, OWNERS),
]


@pytest.mark.parametrize(("own", "expected"), TOGETHER)
def test_a_plans_resolvers_and_searches_win_over_the_owners_and_the_rest_stays(
    own: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    """Lost otherwise: the owner's `ndots`, or a plan that asks the resolvers of both."""
    spec: dict[str, Any] = {"dnsConfig": own} if own else {}
    of = plan(**spec)
    policy = replace(OPEN, scan_defaults=ScanDefaults.model_validate({"podTemplate": {"dnsConfig": OWNERS}}))
    of = of.with_defaults(policy.scan_defaults)
    made = jobs.build(resolve(of, policy, NOW, INPUTS), of, policy)["spec"]["template"]["spec"]
    assert made["dnsConfig"] == expected
    assert made.get("dnsPolicy") == ("None" if own else None)


def test_aliases_are_those_of_the_pod() -> None:
    assert pod(**ALIAS)["hostAliases"] == ALIAS["hostAliases"]


def test_a_plan_without_them_has_none_of_these_fields() -> None:
    assert not {"dnsPolicy", "dnsConfig", "hostAliases"} & pod().keys()


def test_they_are_part_of_the_key() -> None:
    """Lost otherwise: another scan's findings, of other hosts by the same names."""
    other = {"hostAliases": [{"ip": "192.0.2.8", "hostnames": ["shop.example", "api.example"]}]}
    assert len({task().key, task(**RESOLVER).key, task(**ALIAS).key, task(**other).key}) == 4
    reordered = {"hostAliases": [{"ip": "192.0.2.7", "hostnames": ["api.example", "shop.example"]}]}
    assert task(**reordered).key == task(**ALIAS).key


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"dnsConfig": {"nameservers": ["198.51.100.1"]}}, Reason.INVALID_SPEC, "SCANPLAN_ALLOWED_RESOLVERS"),
        ({"dnsConfig": {"nameservers": ["169.254.169.254"]}}, Reason.TARGET_DENIED, "169.254.0.0/16"),
        ({"dnsConfig": {"nameservers": ["192.0.2.999"]}}, Reason.INVALID_ENDPOINT, "not an address"),
        ({"hostAliases": [{"ip": "127.0.0.1", "hostnames": ["a.example"]}]}, Reason.TARGET_DENIED, "127.0.0.0/8"),
        ({"hostAliases": [{"ip": "::1", "hostnames": ["a.example"]}]}, Reason.TARGET_DENIED, "::1/128"),
        (
            {"hostAliases": [{"ip": "::ffff:169.254.169.254", "hostnames": ["a.example"]}]},
            Reason.TARGET_DENIED,
            "169.254",
        ),
        ({"hostAliases": [{"ip": "10.1", "hostnames": ["a.example"]}]}, Reason.INVALID_ENDPOINT, "not an address"),
    ],
)
def test_what_the_owner_denies_is_refused(spec: dict[str, Any], reason: Reason, words: str) -> None:
    with pytest.raises(InvalidPlan, match=words) as refused:
        task(**spec)
    assert refused.value.reason is reason


def test_no_resolver_is_allowed_by_default() -> None:
    with pytest.raises(InvalidPlan, match="SCANPLAN_ALLOWED_RESOLVERS"):
        resolve(plan(**RESOLVER), POLICY, NOW, INPUTS)
