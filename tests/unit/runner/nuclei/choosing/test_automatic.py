"""What an automatic scan is given, and what it can cost."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from scanplan.api.errors import NucleiBinaryError
from scanplan.runner.artifacts.merging import scan_metadata
from scanplan.runner.nuclei.choosing import automatic
from scanplan.runner.nuclei.choosing.templates import Template


def template(folder: Path, name: str, tags: str, requests: int = 1) -> Template:
    path = folder / f"{name}.yaml"
    folder.mkdir(exist_ok=True)
    path.write_text(f"id: {name}\ninfo:\n  name: x\n  tags: {tags}\nhttp:\n  - path: [a]\n")
    return Template(path, folder, name, named=False, requests=requests)


def test_those_that_look_for_technologies_go_with_each_source(tmp_path: Path) -> None:
    looks, icon = template(tmp_path / "a", "looks", "Tech,x"), template(tmp_path / "a", "icon", "favicon")
    hole, own = template(tmp_path / "a", "hole", "technology,cve"), template(tmp_path / "own", "own", "cve")
    detecting = automatic.detecting([looks, icon, hole, own])
    assert detecting == (looks, icon)
    assert automatic.run_of([own], detecting) == (own, looks, icon)
    assert automatic.run_of([looks, hole], detecting) == (looks, hole, icon)
    with pytest.raises(NucleiBinaryError, match="tech, detect or favicon"):
        automatic.detecting([hole, own])


@pytest.mark.parametrize("former_ids", [["before"], {"before": 1}, "before"])
def test_a_template_may_have_former_ids_of_any_form(tmp_path: Path, former_ids: object) -> None:
    """Lost otherwise: every scan of a plan with such a template."""
    looks = msgspec.structs.replace(template(tmp_path / "a", "looks", "tech"), former_ids=former_ids)
    assert automatic.run_of([looks], ()) == automatic.run_of([looks], [looks]) == (looks,)
    assert [each.path for each in automatic.at_most([looks])] == [looks.path]


def test_the_most_that_it_sends(tmp_path: Path) -> None:
    """Lost otherwise: a forecast that a scan exceeds."""
    looks, hole = template(tmp_path / "a", "looks", "tech", 3), template(tmp_path / "a", "hole", "cve", 5)
    assert sum(each.requests for each in automatic.at_most([looks, hole])) == 1 + 3 + (3 + 5)
    own = template(tmp_path / "own", "own", "cve", 7)
    assert sum(each.requests for each in automatic.at_most([looks, hole, own])) == 2 * (1 + 3 + 3) + 5 + 7


def test_what_was_sent_and_not_given_is_seen(tmp_path: Path) -> None:
    given, login = template(tmp_path / "a", "given", "tech"), tmp_path / "logins/login.yaml"
    other = str(tmp_path / "a/other.yaml")
    assert automatic.strangers([str(given.path), str(login), other], [given], [tmp_path / "a"]) == [other]


def test_what_any_shard_has_chosen_is_not_left_out() -> None:
    chosen = {"an excluded tag": 2, automatic.NOT_CHOSEN: 5}
    assert scan_metadata.left_out([{}, chosen, chosen | {automatic.NOT_CHOSEN: 3}]) == {
        "an excluded tag": 2,
        automatic.NOT_CHOSEN: 3,
    }
    assert scan_metadata.left_out([chosen, {"an excluded tag": 2}]) == {"an excluded tag": 2}
    assert scan_metadata.left_out([{}, {}]) == {}
