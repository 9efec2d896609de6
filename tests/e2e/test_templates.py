"""Templates from elsewhere than the scanner image."""

from __future__ import annotations

import pytest

from tests.e2e.stage import EXPOSED, Stage, templates

pytestmark = pytest.mark.e2e


def test_templates_come_from_an_oci_image_that_is_mounted(stage: Stage) -> None:
    """Lost otherwise: template sets that are versioned, signed and pinned like any other image. The scanner image serves as one."""
    source = {"image": {"reference": stage.images.scanner, "pullPolicy": "Never"}}
    stage.apply(stage.plan("from-image", templatesFrom=[source], templates=["opt/nuclei-templates/http/exposures/"]))
    status = stage.ends("from-image", "Completed")
    assert set(templates(stage.findings(status))) == EXPOSED
