"""Which of several operators works on the user's namespace, as `scanplan doctor` finds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import pytest

from scanplan.cli.commands import doctor
from scanplan.cli.output.checks import Check, Verdict
from scanplan.cli.output.failure import Forbidden
from scanplan.kube.resources import NAMESPACES, Resource

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster


class Site:
    """A cluster with some operators, and a namespace that some selectors find."""

    namespace = "red"

    def __init__(self, operators: list[dict[str, str]], found_by: tuple[str, ...] = (), readable: bool = True) -> None:
        self._deployments = [_deployment(f"operator-{number}", each) for number, each in enumerate(operators)]
        self._found_by = found_by
        self._readable = readable

    def path(self, resource: Resource, *, namespace: str | None) -> str:
        return resource.path(namespace)

    def each(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        if path != NAMESPACES.path(None):
            yield from self._deployments
            return
        if not self._readable:
            raise Forbidden("you may not list namespaces")
        assert query["fieldSelector"] == "metadata.name=red"
        if query["labelSelector"] in self._found_by:
            yield {"metadata": {"name": "red"}}


def _deployment(name: str, variables: dict[str, str]) -> dict[str, Any]:
    env = [{"name": key, "value": value} for key, value in {"SCANPLAN_SCANNER_IMAGE": "scanner:1", **variables}.items()]
    return {
        "metadata": {"namespace": "system", "name": name},
        "spec": {"template": {"spec": {"containers": [{"image": "operator:1", "env": env}]}}},
        "status": {"readyReplicas": 1},
    }


def check(*operators: dict[str, str], **site: Any) -> Check:
    return doctor._operator(cast("Cluster", Site(list(operators), **site)), {})


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
