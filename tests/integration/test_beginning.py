"""Without its definition the operator waits, and says for what; whenever the definition comes, it is at work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import LocalCluster
from tests.integration.apiserver import PLANS, ApiServer
from tests.integration.conftest import ROOT, control_plane, identity_of, make_namespace
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import scanplan
from tests.kubectl import Kubectl, eventually

NAMESPACE = "early"


@pytest.fixture
def bare() -> Iterator[LocalCluster]:
    """A control plane without our definition."""
    with control_plane("beginning") as made:
        yield made


def test_the_definition_may_come_after_the_operator_and_go_and_come_again(bare: LocalCluster, tmp_path: Path) -> None:
    api, kubectl = ApiServer(bare), Kubectl(bare.kubeconfig)
    make_namespace(api, NAMESPACE)
    operator = OperatorProcess(identity_of(bare, kubectl, tmp_path), [NAMESPACE], tmp_path / "operator.log").start()
    complaint = "there are no scanplans: is the CRD installed?"

    def comes_and_goes(plan: str) -> None:
        kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        kubectl.wait_until_served("scanplans.scanplan.dev")
        api.create(PLANS.format(NAMESPACE), scanplan(plan, runId=plan))
        eventually(lambda: len(kubectl.in_namespace(NAMESPACE).get("jobs")["items"]) == 1)
        before = operator.text().count(complaint)
        kubectl("delete", "crd/scanplans.scanplan.dev", "--timeout=60s")
        kubectl.in_namespace(NAMESPACE)("delete", "jobs", "--all", "--timeout=60s")
        eventually(lambda: operator.text().count(complaint) > before)

    try:
        eventually(lambda: complaint in operator.text())
        comes_and_goes("first")
        comes_and_goes("second")
        assert operator.alive
    finally:
        operator.kill()
