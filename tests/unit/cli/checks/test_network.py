"""What `scanplan doctor` says about NetworkPolicies: a wrong "ok" would leave scans unbounded and nobody looking."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.cli.checks import network
from scanplan.core.manifests import jobs
from tests.unit.core.objects import POLICY, plan, task

TO = {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}
ALL: dict[str, Any] = {}
SCANS = {"matchLabels": {"app.kubernetes.io/component": "scanner"}}


def policy(name: str, selector: dict[str, Any], egress: list[dict[str, Any]], *types: str) -> dict[str, Any]:
    spec = {"podSelector": selector, "egress": egress, "policyTypes": list(types or ("Egress",))}
    return {"metadata": {"name": name}, "spec": spec}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


@pytest.mark.parametrize(
    ("given", "bounding"),
    [
        ([], []),
        ([policy("a", {}, [TO])], ["a"]),
        ([policy("a", {}, [])], ["a"]),
        ([policy("a", SCANS, [TO]), policy("b", {}, [TO])], ["a", "b"]),
        ([policy("a", {}, [TO], "Ingress")], []),
        ([policy("a", {"matchLabels": {"app": "shop"}}, [TO])], []),
        ([policy("a", SCANS, [TO]), policy("open", {}, [ALL])], []),
        ([policy("a", SCANS, [TO]), policy("open", {"matchLabels": {"app": "shop"}}, [ALL])], ["a"]),
        ([policy("a", expression("scanplan.dev/task", "Exists"), [TO])], ["a"]),
        ([policy("a", expression("scanplan.dev/task", "DoesNotExist"), [TO])], []),
        ([policy("a", expression("app.kubernetes.io/component", "In", "scanner", "web"), [TO])], ["a"]),
        ([policy("a", expression("app.kubernetes.io/component", "In", "collector", "reader"), [])], []),
        ([policy("a", expression("app.kubernetes.io/component", "NotIn", "scanner"), [TO])], []),
        ([policy("a", expression("tier", "NotIn", "web"), [TO])], ["a"]),
    ],
)
def test_which_policies_bound_scan_pods(given: list[dict[str, Any]], bounding: list[str]) -> None:
    assert network.bounding(given) == bounding


def test_the_labels_that_are_looked_for_are_those_of_scan_pods() -> None:
    pod = jobs.build(task(), plan(), POLICY)["spec"]["template"]["metadata"]["labels"]
    fixed = {key: value for key, value in network.SCAN_POD.items() if not key.endswith("/task")}
    assert fixed.items() <= pod.items()
    assert network.SCAN_POD.keys() <= pod.keys()
