"""What the documents promise is there: a reader who follows a link or a claim finds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from scanplan.api.schema import reference
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.controller.settings import OperatorSettings

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SUITES = {"i": ROOT / "tests/integration", "e": ROOT / "tests/e2e"}
OF_TESTS = {"SCANPLAN_STEP_TEMPLATES", "SCANPLAN_STEP_ENDPOINTS"}
"""Variables that only tests read, by which docs/nuclei.md repeats a measurement."""
GUIDE = (ROOT / "docs/user-guide.md").read_text()


def test_every_line_of_the_user_guide_is_a_test() -> None:
    named = re.findall(r"`([ie])/(test_\w+)`", GUIDE)
    assert len(named) > 30
    written = {
        suite: "".join(path.read_text() for path in folder.glob("test_*.py")) for suite, folder in SUITES.items()
    }
    assert not [name for suite, name in named if f"def {name}(" not in written[suite]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)[^)]*\)", page.read_text())
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_the_reference_is_what_the_models_say() -> None:
    assert (ROOT / "docs/reference.md").read_text() == reference.markdown(), "run make crds"


def test_reasons_in_troubleshooting_exist() -> None:
    rows = re.findall(r"^\| ([A-Z][A-Za-z, ]+) \|", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)
    named = {reason.strip() for row in rows for reason in row.split(",")}
    assert named <= {reason.value for reason in Reason}


def test_every_setting_is_in_the_configuration_page() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    aliases = {field.alias for field in OperatorSettings.model_fields.values()} - {"KUBERNETES_SERVICE_HOST"}
    assert not [alias for alias in aliases if f"`{alias}`" not in page]


def test_every_setting_that_a_page_names_is_read_by_the_code() -> None:
    """Lost otherwise: a variable that somebody sets, and nothing comes of it."""
    pages = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"\bSCANPLAN_[A-Z_]+\b|(?<=^\| `)[A-Z][A-Z_]+(?=` \|)", pages, re.MULTILINE))
    assert {"SCANPLAN_CLAIM_NAME", "TASK_QUEUE_TYPE"} <= named
    code = "".join(path.read_text() for path in ROOT.glob("operator/**/*.py"))
    assert {name for name in named if f'"{name}"' not in code} == OF_TESTS


def test_the_readme_shows_the_example_as_it_is() -> None:
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    assert yaml.safe_load(block[1]) == yaml.safe_load((ROOT / "examples/scanplan.yaml").read_text())
