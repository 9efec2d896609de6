"""Without its definition the operator waits, and says for what; whenever the definition comes, it is at work.

Where the definition goes, kopf and the process end; the kubelet starts it again, as this test does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import LocalCluster
from tests.deploy import ROOT
from tests.fixtures.control_plane import control_plane, identity_of, make_namespace
from tests.integration.apiserver import PLANS, ApiServer
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
    complaint = "there are no ScanPlans: is the CRD installed?"

    def waits_again(before: int) -> bool:
        if not operator.alive:
            assert operator.returncode == os.EX_TEMPFAIL, operator.text()[-3000:]
            operator.start()
        return operator.text().count(complaint) > before

    def comes_and_goes(plan: str) -> None:
        kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        kubectl.wait_until_served("scanplans.scanplan.dev")
        api.create(PLANS.format(NAMESPACE), scanplan(plan, runId=plan))
        eventually(lambda: len(kubectl.in_namespace(NAMESPACE).get("jobs")["items"]) == 1)
        before = operator.text().count(complaint)
        kubectl("delete", "crd/scanplans.scanplan.dev", "--timeout=120s")
        kubectl.in_namespace(NAMESPACE)("delete", "jobs", "--all", "--timeout=120s")
        eventually(lambda: waits_again(before))

    try:
        eventually(lambda: complaint in operator.text())
        comes_and_goes("first")
        comes_and_goes("second")
        assert operator.alive
    finally:
        operator.kill()
