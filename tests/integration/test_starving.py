"""A tenant who makes large, many or endless things: the operator stays small, asks little, and serves everybody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from scanplan.core.planning.sources import PLAN_BYTES
from tests.bench.stage import peak_mib, resident_mib
from tests.deploy import ROOT
from tests.fixtures.control_plane import make_namespace
from tests.fixtures.operators import StartOperator
from tests.integration import hostile
from tests.integration.apiserver import PLANS, ApiServer, Refused
from tests.integration.scene import Scene, condition, scanplan

pytestmark = pytest.mark.integration

ATTACK = {"long": 20, "nested": 6, "missing": 8, "huge": 4, "wide": 4, "tiny": 50, "jobs": 10, "pods": 10}
GROWTH_MIB = 130.0
"""What the operator may take beyond an idle one, however much there is: idle it takes 80 of the chart's 256 MiB."""


@pytest.fixture
def attacked(api: ApiServer, namespace: str) -> str:
    """A namespace beside the test's own, full of what a hostile tenant makes."""
    made = f"{namespace[:50]}-hostile"
    make_namespace(api, made)
    hostile.attack(api, made, **ATTACK)
    return made


def test_a_hostile_tenant_takes_the_operator_from_nobody(
    alone: Scene, attacked: str, start_operator: StartOperator
) -> None:
    """Lost otherwise: everybody's scans. The operator was killed for memory at each start."""
    idle = start_operator()
    idle.wait_until_watching()
    base = resident_mib(idle.pid)
    idle.kill()
    operator = start_operator(SCANPLAN_NAMESPACES=f"{alone.namespace},{attacked}")
    alone.apply()
    alone.complete()
    theirs = Scene(alone.api, alone.kubectl, attacked, alone._audit_log)
    for kind, phase, reason in (
        ("long", "Suspended", "Suspended"),
        ("nested", "Suspended", "Suspended"),
        ("wide", "Suspended", "Suspended"),
        ("missing", "Failed", "InputUnavailable"),
        ("huge", "Failed", "InputsTooLarge"),
    ):
        for number in range(ATTACK[kind]):
            theirs.phase(phase, f"{kind}-{number}", reason)
    assert operator.alive
    assert peak_mib(operator.pid) - base < GROWTH_MIB
    message = condition(theirs.plan("huge-0")["status"], "Stalled")["message"]
    assert f"more than {PLAN_BYTES >> 20} MiB together" in message


def test_a_missing_input_is_looked_for_again_and_written_once(scene: Scene) -> None:
    """Lost otherwise: a status write at each try, or a plan that never starts."""
    scene.api.create(
        hostile.CONFIG_MAPS.format(scene.namespace), {"metadata": {"name": "there"}, "data": {"list": "a"}}
    )
    scene.api.create(f"{PLANS.format(scene.namespace)}", hostile.plan_of("plan", "there", "missing"))
    scene.phase("Failed", reason="InputUnavailable")
    scene.eventually(lambda: len([each for each in scene.requests() if each.name == "missing"]) > 1)
    assert scene.writes().count("patch scanplans/status") == 1
    scene.api.create(
        hostile.CONFIG_MAPS.format(scene.namespace), {"metadata": {"name": "missing"}, "data": {"list": "b.example"}}
    )
    scene.edit(priority=9)  # an edit looks at once
    scene.complete()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (PLANS, lambda number: scanplan(f"plan-{number}", suspend=True)),
        (hostile.CONFIG_MAPS, lambda number: {"metadata": {"name": f"list-{number}"}}),
    ],
    ids=["scanplans", "configmaps"],
)
def test_the_example_quota_holds(alone: Scene, kind: str, body: object) -> None:
    """Lost otherwise: the bound that is left to the cluster's owner, on how many plans there are."""
    assert callable(body)
    quota = yaml.safe_load((ROOT / "examples/quota.yaml").read_text())
    few = dict.fromkeys(quota["spec"]["hard"], "2")
    path = f"/api/v1/namespaces/{alone.namespace}/resourcequotas"
    alone.api.create(path, {**quota, "spec": {"hard": few}})
    alone.eventually(lambda: (alone.api.get(f"{path}/scanplan") or {}).get("status", {}).get("used"))
    made = iter(range(10))
    with pytest.raises(Refused, match="exceeded quota") as refusal:
        fill(lambda: alone.api.create(kind.format(alone.namespace), body(next(made))))
    assert refusal.value.status == 403


def fill(make: Callable[[], object]) -> None:
    """Make objects until that is refused."""
    for _ in range(10):
        make()
