"""The owner's values for all plans. Lost otherwise: each plan repeats them, or one of them undoes what all must have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args, get_origin

import pytest
from pydantic import ValidationError

from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.model import Model
from scanplan.api.v1alpha1.scan_defaults import DEFAULTABLE, ScanDefaults, spelled
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.client.cluster import reader
from scanplan.core.manifests import jobs
from scanplan.core.planning import scan_defaults
from scanplan.core.planning.task import Plan, Resolution, resolve
from tests.unit.core.objects import INPUTS, NOW, POLICY, plan, task

SPOT = {"key": "spot", "operator": "Exists", "effect": "NoSchedule"}
POD = {
    "nodeSelector": {"pool": "scans"},
    "tolerations": [SPOT],
    "imagePullSecrets": [{"name": "mirror"}],
    "labels": {"sidecar.istio.io/inject": "false"},
    "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
    "runtimeClassName": "gvisor",
    "dnsConfig": {"nameservers": ["192.0.2.53"], "options": [{"name": "ndots", "value": "1"}]},
    "resources": {"requests": {"cpu": "200m"}, "limits": {"memory": "2Gi"}},
}


def defaults(**fields: Any) -> ScanDefaults:
    return ScanDefaults.model_validate(fields)


def effective(of: Plan, **fields: Any) -> ScanPlanSpec:
    return of.with_defaults(defaults(**fields)).spec


ROWS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("a default fills what a plan leaves out", {"scanner": {"rateLimit": 50}}, {}, {"scanner": {"rateLimit": 50}}),
    (
        "a plan's own value wins",
        {"scanner": {"rateLimit": 50, "bulkSize": 5}},
        {"scanner": {"rateLimit": 70}},
        {"scanner": {"rateLimit": 70, "bulkSize": 5}},
    ),
    (
        "the schema's default counts as none, since the API server writes it",
        {"scanner": {"rateLimit": 50}},
        {"scanner": {"rateLimit": 150}},
        {"scanner": {"rateLimit": 50}},
    ),
    ("a list is replaced", {"severityLevels": ["high"]}, {"severityLevels": ["low"]}, {"severityLevels": ["low"]}),
    ("an absent list is filled", {"severityLevels": ["high"]}, {"severityLevels": []}, {"severityLevels": ["high"]}),
    (
        "a map is laid over key by key",
        {"podTemplate": {"nodeSelector": {"pool": "scans", "zone": "a"}}},
        {"podTemplate": {"nodeSelector": {"zone": "b"}}},
        {"podTemplate": {"nodeSelector": {"pool": "scans", "zone": "b"}}},
    ),
    ("times", {"timeoutSeconds": 60, "deadlineSeconds": 600}, {}, {"timeoutSeconds": 60, "deadlineSeconds": 600}),
    (
        "sources of templates",
        {"templatesFrom": [{"image": {"reference": "templates:1"}}]},
        {},
        {"templatesFrom": [{"image": {"reference": "templates:1"}}]},
    ),
    ("nothing", {}, {"scanner": {"rateLimit": 70}}, {"scanner": {"rateLimit": 70}}),
    ("a proxy", {"scanner": {"proxy": "http://proxy:3128"}}, {}, {"scanner": {"proxy": "http://proxy:3128"}}),
]


@pytest.mark.parametrize(("what", "owners", "own", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_a_plans_own_value_wins(
    what: str, owners: dict[str, Any], own: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert effective(plan(**own), **owners) == plan(**expected).spec, what


def test_defaults_reach_every_pod() -> None:
    policy = replace(POLICY, scan_defaults=defaults(podTemplate=POD))
    of = plan(podTemplate={"nodeSelector": {"zone": "b"}}).with_defaults(policy.scan_defaults)
    for build in (jobs.build, jobs.build_collector):
        template = build(task(of, policy), of, policy)["spec"]["template"]
        spec = template["spec"]
        assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "scans", "zone": "b"}
        assert (spec["tolerations"], spec["imagePullSecrets"]) == ([SPOT], [{"name": "mirror"}])
        assert (spec["runtimeClassName"], spec["dnsConfig"]) == ("gvisor", POD["dnsConfig"])
        assert template["metadata"]["labels"].items() >= POD["labels"].items()  # type: ignore[attr-defined]
        assert template["metadata"]["annotations"].items() >= POD["annotations"].items()  # type: ignore[attr-defined]
    body = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"podTemplate": {"nodeSelector": {"zone": "b"}}},
    }
    made = reader.manifest(body, "c", "i", None, defaults=defaults(podTemplate=POD).pod_template)
    for field in ("nodeSelector", "tolerations", "imagePullSecrets", "runtimeClassName", "dnsConfig"):
        assert made["spec"][field] == spec[field]
    assert made["metadata"]["labels"].items() >= POD["labels"].items()  # type: ignore[attr-defined]
    assert made["metadata"]["annotations"].items() >= POD["annotations"].items()  # type: ignore[attr-defined]


def test_the_owners_own_values_need_no_allow_list() -> None:
    of = plan(podTemplate={"labels": {"team": "red"}}).with_defaults(defaults(podTemplate=POD))
    with pytest.raises(InvalidPlan, match="label 'team' is not on the operator's allow-list"):
        task(of)
    assert task(plan().with_defaults(defaults(podTemplate=POD, scanner={"proxy": "http://proxy:3128"})))


LOCKED: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("scanner.rateLimit", {"scanner": {"rateLimit": 50}}, {"scanner": {"rateLimit": 9}}, False),
    ("scanner.rateLimit", {"scanner": {"rateLimit": 50}}, {"scanner": {"rateLimit": 50}}, True),
    ("scanner.rateLimit", {"scanner": {"rateLimit": 50}}, {"scanner": {"rateLimit": 150, "bulkSize": 3}}, True),
    ("scanner", {"scanner": {"rateLimit": 50}}, {"scanner": {"bulkSize": 3}}, False),
    ("podTemplate.nodeSelector", {"podTemplate": POD}, {"podTemplate": {"nodeSelector": {"pool": "scans"}}}, True),
    ("podTemplate.nodeSelector", {"podTemplate": POD}, {"podTemplate": {"nodeSelector": {"pool": "mine"}}}, False),
    ("podTemplate.nodeSelector", {"podTemplate": POD}, {"podTemplate": {"nodeSelector": {"zone": "b"}}}, False),
    ("podTemplate", {"podTemplate": POD}, {"podTemplate": {"imagePullSecrets": [{"name": "mine"}]}}, False),
    ("podTemplate.resources", {}, {"podTemplate": {"resources": {"limits": {"memory": "9Gi"}}}}, False),
    ("scanner.proxy", {}, {"scanner": {"proxy": "http://proxy:3128"}}, False),
    ("scanner.proxy", {}, {}, True),
    ("templatesFrom", {}, {"templatesFrom": [{"image": {"reference": "mine:1"}}]}, False),
]


@pytest.mark.parametrize(("path", "owners", "own", "allowed"), LOCKED)
def test_what_is_locked_no_plan_sets(path: str, owners: dict[str, Any], own: dict[str, Any], allowed: bool) -> None:
    """The message names the field: the plan's author can't see the operator's settings."""
    refused = list(scan_defaults.refusals(plan(**own).spec, defaults(**owners, locked=[path])))
    assert (not refused) is allowed, refused
    if refused:
        policy = replace(
            POLICY, scan_defaults=defaults(**owners, locked=[path]), allowed_proxies=("*",), allowed_images=("*",)
        )
        with pytest.raises(InvalidPlan, match=f"{path}.* is locked by the operator's owner") as told:
            task(plan(**own).with_defaults(policy.scan_defaults), policy)
        assert told.value.reason is Reason.INVALID_SPEC


def test_where_signatures_are_locked_no_source_is_excepted() -> None:
    """Else whoever may write a plan runs what nobody has signed, by one word more."""
    own = plan(templatesFrom=[{"configMap": {"name": "own"}, "allowUnsigned": True}]).spec
    signed = {"scanner": {"verifySignatures": True}}
    (refused,) = scan_defaults.refusals(own, defaults(**signed, locked=["scanner.verifySignatures"]))
    assert "templatesFrom.allowUnsigned" in refused
    assert not list(scan_defaults.refusals(own, defaults(**signed)))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"scaner": {}}, "no field scaner"),
        ({"scanner": {"rateLimt": 5}}, "no field scanner.rateLimt, did you mean rateLimit?"),
        ({"podTemplate": {"tolerations": [{"efect": "NoSchedule"}]}}, "no field podTemplate.tolerations.efect"),
        ({"podTemplate": {"dnsConfig": {"nameserver": []}}}, "no field podTemplate.dnsConfig.nameserver"),
        ({"podTemplate": {"hostNetwork": True}}, "no field podTemplate.hostNetwork"),
        ({"scanner": {"rateLimit": 0}}, "greater than or equal to 1"),
        ({"scanner": {"image": "x"}}, "scanner.image is no default"),
        ({"scanner": {"headersFrom": {"secretRef": {"name": "x"}}}}, "scanner.headersFrom is no default"),
        ({"scanner": {"variablesFrom": {"secretRef": {"name": "x"}}}}, "scanner.variablesFrom is no default"),
        (
            {"scanner": {"clientCertificateFrom": {"secretRef": {"name": "x"}}}},
            "scanner.clientCertificateFrom is no default",
        ),
        (
            {"scanner": {"requestsFrom": {"mode": "burp", "configMapKeyRef": {"name": "x", "key": "y"}}}},
            "scanner.requestsFrom is no default",
        ),
        ({"scanner": {"interactsh": {"server": "a.example"}}}, "scanner.interactsh is no default"),
        ({"scanner": {"credentialsFrom": {"secretRef": {"name": "x"}}}}, "scanner.credentialsFrom is no default"),
        ({"endpoints": ["a.example"]}, "endpoints is of one plan"),
        ({"templates": ["http/"]}, "templates is of one plan"),
        ({"suspend": True}, "suspend is of one plan"),
        ({"locked": ["scanner.rate"]}, "a plan has no field scanner.rate"),
        ({"locked": ["podTemplate.runtimeClassName"]}, "a plan has no field"),
        ({"podTemplate": {"nodeSelector": {"a b": "c"}}}, "podTemplate.nodeSelector"),
        ({"podTemplate": {"labels": {"team": "a b"}}}, "podTemplate.labels"),
        ({"podTemplate": {"labels": {"scanplan.dev/task": "x"}}}, "scanplan.dev/task is reserved"),
    ],
)
def test_a_bad_default_is_refused_with_its_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        ScanDefaults.model_validate(wrong)


def paths(model: type[Model], path: str = "", whole: str = "") -> Iterator[tuple[str, str]]:
    """All paths of fields, each with the list that it is in the items of; empty: it is in none."""
    for name, field in model.model_fields.items():
        where = f"{path}{spelled(model, name)}"
        yield where, whole
        is_list = get_origin(field.annotation) is list
        inner = get_args(field.annotation) if get_origin(field.annotation) else (field.annotation,)
        for each in inner:
            if isinstance(each, type) and issubclass(each, Model):
                yield from paths(each, f"{where}.", whole or (where if is_list else ""))


@pytest.mark.parametrize(("path", "whole"), list(paths(ScanPlanSpec)))
def test_each_path_that_may_be_locked_locks_something(path: str, whole: str) -> None:
    """Lost otherwise: what the owner has locked, by a path into a list, which is compared as a whole."""
    if not whole:
        assert defaults(locked=[path]).locked == [path]
        return
    with pytest.raises(ValidationError) as refused:
        defaults(locked=[path])
    assert f"{path} is in the items of a list, which is locked as a whole: write {whole} " in str(refused.value)


def test_each_field_of_a_plan_is_for_one_plan_or_for_all() -> None:
    """A new field that is in neither list could not be a default, and nobody would have decided so."""
    of_one_plan = {
        *("project_id", "run_id", "endpoints", "endpoints_from", "templates", "priority", "suspend", "cancel", "rerun"),
        *("queue_name", "queue_priority_class_name", "artifacts", "windows", "dns_config", "host_aliases"),
        *("exports", "retry_exports"),
    }
    assert ScanPlanSpec.model_fields.keys() == DEFAULTABLE | of_one_plan


def test_defaults_that_change_what_is_found_are_part_of_the_key_and_others_are_not() -> None:
    plain = task(plan())
    assert task(plan().with_defaults(defaults(severityLevels=["high"]))).key != plain.key
    assert task(plan().with_defaults(defaults(severityLevels=["high"]))).key == task(plan(severityLevels=["high"])).key
    assert task(plan().with_defaults(defaults(scanner={"rateLimit": 9}, podTemplate=POD))).key == plain.key


def test_an_edit_of_the_defaults_does_not_touch_what_has_started() -> None:
    """Else a change of one value would scan everything anew."""
    before = plan()
    after = before.with_defaults(defaults(severityLevels=["high"], scanner={"rateLimit": 9}))
    assert (after.input_digest, after.next_run_digest) == (before.input_digest, before.next_run_digest)


def test_a_job_that_would_scan_otherwise_under_its_key_is_not_made_again() -> None:
    earlier = Resolution(key=task(plan()).key, image="scanner:1", claim="scanplan-artifacts")
    of = plan().with_defaults(defaults(severityLevels=["high"]))
    assert resolve(of, POLICY, NOW, INPUTS, earlier).key != earlier.key
    harmless = plan().with_defaults(defaults(scanner={"rateLimit": 9}))
    assert resolve(harmless, POLICY, NOW, INPUTS, earlier).key == earlier.key
