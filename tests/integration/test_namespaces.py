"""Operators that share a cluster by the labels of namespaces: each works on what its selector finds, and namespaces move."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from scanplan.api.documents.report import FindingCounts
from scanplan.api.exit_codes import ExitCode
from tests.cluster import LocalCluster
from tests.deploy import ROOT
from tests.fixtures.control_plane import make_namespace
from tests.fixtures.operators import StartOperator
from tests.integration import audit, reports, test_exceptions, test_schedules
from tests.integration.kubelet import index_of
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import Scene, shards
from tests.integration.test_rights import granted
from tests.integration.test_writes import A_LIFE
from tests.kubectl import Kubectl

pytestmark = pytest.mark.integration

RED, BLUE = "red", "blue"
NEVER = "0 2 1 1 *"
UNSEEN = {"observedGeneration": -1, "phase": "Pending"}
"""The status that the definition gives a plan."""
StartSide = Callable[[str], OperatorProcess]


@pytest.fixture(autouse=True)
def right(administrator: Kubectl) -> Iterator[None]:
    """To read namespaces; only for these tests, since no other operator may."""
    manifest = str(ROOT / "examples/install/namespace-selector.yaml")
    administrator("apply", "--server-side", "-f", manifest)
    yield
    administrator("delete", "-f", manifest)


@pytest.fixture
def side(alone: Scene, start_operator: StartOperator) -> StartSide:
    """Start the operator of one side, which works on the test's namespaces with the label of its colour."""

    def start(colour: str) -> OperatorProcess:
        selector = f"test={alone.namespace},operator in ({colour})"
        operator = start_operator(SCANPLAN_NAMESPACES="", SCANPLAN_NAMESPACE_SELECTOR=selector)
        alone.eventually(lambda: f"watching namespaces with {selector}" in operator.text())
        return operator

    return start


def paint(scene: Scene, colour: str | None) -> None:
    """Give the scene's namespace to one side; None: to nobody."""
    labels = {"test": scene.namespace, "operator": colour}
    scene.api.patch(f"/api/v1/namespaces/{scene.namespace}", {"metadata": {"labels": labels}})


def beside(alone: Scene, colour: str) -> Scene:
    """Another namespace of the test, which belongs to one side."""
    name = f"{alone.namespace[:57]}-{colour}"
    make_namespace(alone.api, name)
    labels = {"test": alone.namespace, "operator": colour}
    alone.api.patch(f"/api/v1/namespaces/{name}", {"metadata": {"labels": labels}})
    return Scene(alone.api, alone.kubectl.in_namespace(name), name, alone._audit_log)


def test_only_what_the_selector_finds_is_worked_on(alone: Scene, side: StartSide, cluster: LocalCluster) -> None:
    """Lost otherwise: the boundary between two operators, or the plans of a namespace that came later or came back."""
    seen = beside(alone, RED)
    operator = side(RED)
    alone.apply()
    alone.kubectl.apply(test_exceptions.manifest())
    alone.kubectl.apply(test_schedules.manifest(schedule=NEVER))
    seen.apply("first")
    seen.complete("first")
    assert alone.plan()["status"] == UNSEEN
    assert alone.writes() == []

    paint(alone, RED)
    alone.complete()
    test_exceptions.state(alone, "NoResultYet")
    test_schedules.observed(alone)
    test_schedules.edit(alone, trigger="now")
    alone.eventually(lambda: len(test_schedules.runs(alone)) == 1)

    paint(alone, None)
    alone.eventually(lambda: "has left" in operator.text())
    alone.edit(runId="again")
    test_schedules.edit(alone, trigger="once more")
    known = len(alone.writes())
    seen.apply("second")
    seen.complete("second")
    assert len(alone.writes()) == known
    assert len(test_schedules.runs(alone)) == 1

    paint(alone, RED)
    alone.complete()
    (run,) = test_schedules.runs(alone)
    alone.complete(run["metadata"]["name"])
    alone.eventually(lambda: len(test_schedules.runs(alone)) == 2)
    rights = {request.right for request in audit.requests(cluster.audit_log) if request.resource == "namespaces"}
    assert rights == granted("namespace-selector.yaml")


def test_a_namespace_moves_with_its_scan(alone: Scene, side: StartSide) -> None:
    """Lost otherwise: the running scan, or every target scanned once by each side."""
    paint(alone, RED)
    red, blue = side(RED), side(BLUE)
    alone.apply(**shards(3))
    first, *others = alone.run(pods=3)
    job = alone.job_of()["metadata"]["uid"]
    paint(alone, BLUE)
    alone.eventually(lambda: "has joined" in blue.text())
    paint(alone, RED)
    alone.eventually(lambda: "has joined" in red.text())
    paint(alone, BLUE)
    alone.eventually(lambda: red.text().count("has left") == 2)
    alone.kubelet.end(first, ExitCode.OK, reports.complete(0))
    for pod, last in zip(others, (None, reports.merged(alone.kubelet.document(others[-1]))), strict=True):
        alone.kubelet.end(pod, ExitCode.OK, reports.complete(index_of(pod), last))
    alone.phase("Completed")
    assert alone.job_of()["metadata"]["uid"] == job
    assert alone.writes().count("create jobs") == 1
    assert "delete jobs" not in alone.writes()
    alone.apply("later")
    alone.complete("later")
    red.kill()
    assert blue.stop() == 0


def test_what_is_known_of_a_namespace_moves_too(alone: Scene, side: StartSide) -> None:
    """Lost otherwise: the count of an exception's findings, set to none by an operator that has not read the plans yet."""
    paint(alone, RED)
    side(RED)
    alone.kubectl.apply(test_exceptions.manifest())
    test_exceptions.state(alone, "NoResultYet")
    test_exceptions.scan(alone, "first", {"known": 3}, FindingCounts(high=4))
    alone.eventually(lambda: test_exceptions.get(alone)["status"].get("findings") == 3)
    blue = side(BLUE)
    known = alone.writes()
    paint(alone, BLUE)
    alone.eventually(lambda: "has joined" in blue.text())
    alone.apply("second", runId="second")
    job = alone.started("second")
    assert test_exceptions.handed(alone, job)
    alone.complete("second")
    assert [each for each in alone.writes()[len(known) :] if "scanexceptions" in each] == []


def test_a_namespace_moves_while_an_operator_is_dead(alone: Scene, side: StartSide) -> None:
    """Lost otherwise: a plan without an owner, or with two."""
    paint(alone, RED)
    red = side(RED)
    alone.apply()
    (pod,) = alone.run()
    red.kill()
    paint(alone, BLUE)
    side(BLUE)
    red.start()
    alone.kubelet.end(pod, ExitCode.OK, reports.complete(0, reports.merged(alone.kubelet.document(pod))))
    alone.phase("Completed")
    alone.apply("later")
    alone.complete("later")
    assert alone.writes().count("create jobs") == 2
    assert len(alone.writes()) <= 2 * len(A_LIFE)
