"""Templates from elsewhere than the scanner image."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanplan.client.templates import content, image
from tests.cluster import Cluster
from tests.e2e.stage import EXPOSED, Stage, templates
from tests.fixtures.node import OWN_TEMPLATES
from tests.images.recipes import ROOT

pytestmark = pytest.mark.e2e


def test_templates_come_from_an_oci_image_that_is_mounted(stage: Stage) -> None:
    """Lost otherwise: template sets that are versioned, signed and pinned like any other image. The scanner image serves as one."""
    source = {"image": {"reference": stage.images.scanner, "pullPolicy": "Never"}}
    stage.apply(stage.plan("from-image", templatesFrom=[source], templates=["opt/nuclei-templates/http/exposures/"]))
    status = stage.ends("from-image", "Completed")
    assert set(templates(stage.findings(status))) == EXPOSED


def test_templates_come_from_an_image_of_our_own_making(stage: Stage, running: Cluster, tmp_path: Path) -> None:
    """Lost otherwise: what `scanplan templates build` writes, where a container runtime reads it in another way than registries."""
    reference = f"{OWN_TEMPLATES}:v1"
    made = image.write(content.of(ROOT / "images/scanner/templates"), tmp_path / "layout", reference=reference)
    with (tmp_path / "templates.tar").open("wb") as file:
        image.archive(made, file)
    running.load_image(tmp_path / "templates.tar")
    source = {"image": {"reference": reference, "pullPolicy": "Never"}}
    selection = {"include": {"tags": ["exposure"]}}
    stage.apply(stage.plan("own-image", templatesFrom=[source], templates=["http/exposures/"], selection=selection))
    status = stage.ends("own-image", "Completed")
    assert set(templates(stage.findings(status))) == EXPOSED
