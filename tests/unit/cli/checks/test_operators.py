"""What `scanplan doctor` finds of operators: which one works on the user's namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from scanplan.cli.checks.check import Check, Verdict
from scanplan.cli.checks.operators import Operators, working
from tests.unit.cli.checks.site import Site

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster


def check(*operators: dict[str, str], **site: Any) -> Check:
    cluster = cast("Cluster", Site(list(operators), **site))
    return working(cluster, Operators.of(cluster))


def named(*namespaces: str) -> dict[str, str]:
    return {"SCANPLAN_NAMESPACES": ",".join(namespaces)}


def selected(selector: str) -> dict[str, str]:
    return {"SCANPLAN_NAMESPACE_SELECTOR": selector}


@pytest.mark.parametrize(
    "operators",
    [
        [{}],
        [named("red")],
        [named("blue"), named("green", "red")],
        [selected("team=blue"), selected("team=red")],
        [named("blue"), selected("team=red")],
    ],
)
def test_the_one_that_works_here_is_found(operators: list[dict[str, str]]) -> None:
    found = check(*operators, found_by=("team=red",))
    assert (found.verdict, found.seen) == (Verdict.WELL, f"system/operator-{len(operators) - 1}, operator:1")


@pytest.mark.parametrize(
    ("operators", "told", "remedy"),
    [
        ([named("blue", "green")], "watches blue, green, not red", "add it to SCANPLAN_NAMESPACES"),
        ([selected("team=blue")], "watches namespaces with team=blue, not red", "label the namespace"),
    ],
)
def test_without_one_the_remedy_is_told(operators: list[dict[str, str]], told: str, remedy: str) -> None:
    found = check(*operators)
    assert found.verdict is Verdict.FAILED
    assert told in found.seen
    assert remedy in found.advice


def test_two_of_them_are_one_too_many() -> None:
    found = check({}, selected("team=red"), named("blue"), found_by=("team=red",))
    assert found.verdict is Verdict.WARNING
    assert found.seen == "2 work on red: system/operator-0 and others"


def test_labels_that_the_user_may_not_read_are_no_failure() -> None:
    assert check(selected("team=blue"), readable=False).verdict is Verdict.WELL
