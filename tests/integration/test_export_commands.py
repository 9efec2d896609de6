"""`scanplan export …` as people type it, against a real API server with an operator at work and a real receiver."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.fixtures.operators import StartOperator
from tests.fixtures.receivers import Answer, http_receiver
from tests.integration.command import scanplan
from tests.integration.exporter import ExportNode
from tests.integration.scene import Scene
from tests.integration.test_exports import LOCAL, export_jobs, exported, job_name, to_http

pytestmark = pytest.mark.integration


def test_what_has_failed_is_shown_and_exported_again(
    alone: Scene, start_operator: StartOperator, tmp_path: Path
) -> None:
    """Lost otherwise: the way from a failed export to one that is done."""
    start_operator(**LOCAL)
    node = ExportNode(alone.api, alone.kubelet, alone.namespace, tmp_path / "node")
    assert "there is no ScanPlan 'plan'" in scanplan(alone, "export", "retry", "plan", code=66)
    with http_receiver() as receiver:
        receiver.always = Answer(403)
        alone.apply()
        assert "plan has no exports" in scanplan(alone, "export", "list", "plan")
        assert "plan has no exports" in scanplan(alone, "export", "retry", "plan", code=66)
        alone.edit(exports=[to_http(receiver)])
        assert "it is due when the scan has ended" in scanplan(alone, "export", "list", "plan")
        alone.complete(files=node.files)
        first = job_name(alone)
        node.run(alone.kubelet.pending(first)[0])
        exported(alone, "False")
        assert "Failed ReceiverRefused" in " ".join(scanplan(alone, "export", "list", "plan").split())
        assert "scanplan export retry plan" in scanplan(alone, "explain", "plan")
        receiver.always = Answer(200)

        def run() -> None:
            alone.eventually(lambda: len(export_jobs(alone)) == 2)
            (second,) = (job["metadata"]["name"] for job in export_jobs(alone) if job["metadata"]["name"] != first)
            node.run(alone.kubelet.pending(second)[0])

        pods = threading.Thread(target=run)
        pods.start()
        assert "the result is exported" in scanplan(alone, "export", "retry", "plan", "--wait", "80")
        pods.join()
        alone.kubectl("wait", "scanplan/plan", "--for=condition=Exported", "--timeout=120s")
        (listed,) = json.loads(scanplan(alone, "export", "list", "plan", "--output", "json"))["items"]
        assert (listed["name"], listed["state"]) == ("hook", "Exported")
