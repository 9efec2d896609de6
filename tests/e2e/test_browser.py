"""A browser in a real scan pod: without a privilege, on a read-only root, and without a sandbox of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import images
from tests.cluster import Cluster
from tests.e2e.stage import Stage, templates

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not os.environ.get("NUCLEI_BIN"), reason="the stand-in starts no browser"),
]

TEMPLATE = """id: browser
info: {name: x, author: t, severity: info}
headless:
  - steps: [{action: navigate, args: {url: '{{BaseURL}}/.git/config'}}, {action: waitload}]
    matchers: [{type: word, part: resp, words: [repositoryformatversion]}]
"""


def test_a_browser_runs_in_a_restricted_pod(stage: Stage, running: Cluster, tmp_path: Path) -> None:
    """Lost otherwise: templates that need one. The namespace enforces the restricted Pod Security Standard."""
    archive = images.build(["scanner-headless"])["scanner-headless"]
    running.load_image(archive.path)
    (tmp_path / "browser.yaml").write_text(TEMPLATE)
    stage.kubectl("create", "configmap", "browser", f"--from-file={tmp_path / 'browser.yaml'}")
    source = [{"configMap": {"name": "browser"}}]
    scanner = {"headless": True, "image": archive.reference, "requestTimeoutSeconds": 60}
    stage.apply(stage.plan("browser", templatesFrom=source, templates=["browser.yaml"], scanner=scanner))
    status = stage.ends("browser", "Completed")
    assert templates(stage.findings(status)) == ["browser"]
    (pod,) = stage.pods("browser")
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "2Gi"
