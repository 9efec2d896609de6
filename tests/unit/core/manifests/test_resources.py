"""Defaults for scan pods' resources: no scan may take a whole node, and no plan's own figures may make an invalid pod."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.api import environment
from scanplan.api.v1alpha1.plan.pod_template import Resources
from scanplan.core.manifests import document, pod, resources
from scanplan.core.planning import quantities
from tests.unit.core.objects import POLICY, plan, task

REQUESTS, LIMITS = {"cpu": "100m", "memory": "256Mi"}, {"memory": "1Gi"}
AMOUNTS = st.dictionaries(
    st.sampled_from(["cpu", "memory", "ephemeral-storage"]), st.sampled_from(["1", "100m", "64Mi", "2Gi", "3G"])
)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, {"requests": REQUESTS, "limits": LIMITS}),
        (
            {"limits": {"memory": "128Mi"}},
            {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}},
        ),
        (
            {"limits": {"cpu": "50m"}},
            {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {**LIMITS, "cpu": "50m"}},
        ),
        ({"limits": {"memory": "4Gi"}}, {"requests": REQUESTS, "limits": {"memory": "4Gi"}}),
        ({"requests": {"memory": "2Gi"}}, {"requests": {**REQUESTS, "memory": "2Gi"}, "limits": {"memory": "2Gi"}}),
        ({"limits": {"example.com/gpu": 1}}, {"requests": REQUESTS, "limits": {**LIMITS, "example.com/gpu": 1}}),
        ({"limits": {"memory": "lots"}}, {"requests": REQUESTS, "limits": {"memory": "lots"}}),
        (
            {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}},
            {"requests": {**REQUESTS, "memory": "2Gi"}, "limits": {"memory": "1Gi"}},
        ),
    ],
)
def test_what_a_plan_says_wins_and_pods_stay_valid(own: dict[str, Any], expected: dict[str, Any]) -> None:
    """A plan that contradicts itself is left as it is: the API server says so in its own words."""
    assert resources.of_container(Resources.model_validate(own), REQUESTS, LIMITS) == expected


ODD = st.dictionaries(
    st.sampled_from(["cpu", "memory", "example.com/gpu", "odd"]),
    st.sampled_from(["1", "100m", "2Gi", "much", "-1", "nan", "inf", "1_0", 7, ""]),
)


@given(requests=ODD, limits=ODD, defaults=AMOUNTS)
def test_what_is_usable_of_a_plan_makes_a_valid_pod(
    requests: dict[str, str | int], limits: dict[str, str | int], defaults: dict[str, str]
) -> None:
    """Lost otherwise: what was found, by an edit of the plan that Kubernetes refuses in its collector."""
    own = resources.usable(Resources(requests=requests, limits=limits))
    made = resources.of_container(own, defaults, {})
    amounts = {
        kind: {name: quantities.quantity(str(value)) for name, value in found.items()} for kind, found in made.items()
    }
    most = amounts.get("limits", {})
    assert all(amount <= most.get(name, amount) for name, amount in amounts.get("requests", {}).items())
    assert all(amount >= 0 for found in amounts.values() for amount in found.values())
    assert not {"odd", "example.com/gpu"} & {name for found in made.values() for name in found}


@given(requests=AMOUNTS, limits=AMOUNTS, own=st.sampled_from(["requests", "limits"]), amounts=AMOUNTS)
def test_no_default_makes_an_invalid_pod(
    requests: dict[str, str], limits: dict[str, str], own: str, amounts: dict[str, str]
) -> None:
    made = resources.of_container(Resources.model_validate({own: amounts}), requests, limits)
    for name, amount in amounts.items():
        assert made[own][name] == amount
    for name in amounts.keys() & made.get("requests", {}).keys() & made.get("limits", {}).keys():
        wanted, most = made["requests"][name], made["limits"][name]
        assert quantities.quantity(str(wanted)) <= quantities.quantity(str(most))


@pytest.mark.parametrize("limit", ["1Gi", ""])
def test_a_pods_tmp_is_bounded_and_its_runner_knows(limit: str) -> None:
    policy = replace(POLICY, tmp_size_limit=limit)
    of = plan()
    made = task(of, policy)
    spec = pod.build(made, of.spec.pod_template, policy, document.pack(made, made.job_name))["spec"]
    (volume,) = [each for each in spec["volumes"] if each["name"] == "scratch"]
    variables = {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}
    assert volume["emptyDir"] == ({"sizeLimit": limit} if limit else {})
    assert variables.get(environment.TMP_SIZE_LIMIT) == (limit or None)
