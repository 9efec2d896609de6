"""What `scanplan doctor` says about the definitions of our kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from scanplan.api.schema.crd import DEFINITIONS
from scanplan.cli.checks import server
from scanplan.cli.checks.check import Verdict
from tests.unit.cli.checks.site import Site

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster

NEITHER = {"SCANPLAN_SCHEDULES": "false", "SCANPLAN_NOTIFIERS": "false"}


def definitions(kinds: tuple[str, ...], environment: dict[str, str], readable: bool = True) -> dict[str, Verdict]:
    """The verdict about each definition that is looked at, by the kind."""
    site = cast("Cluster", Site([], kinds=kinds, readable=readable))
    return {check.seen.partition(".")[0]: check.verdict for check in server.definitions(site, environment)}


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize(
    ("off", "kinds"),
    [
        ({}, {"scanplans", "scanschedules", "scanexceptions", "scannotifiers"}),
        ({"SCANPLAN_SCHEDULES": "false"}, {"scanplans", "scanexceptions", "scannotifiers"}),
        ({"SCANPLAN_NOTIFIERS": "false"}, {"scanplans", "scanschedules", "scanexceptions"}),
        (NEITHER, {"scanplans", "scanexceptions"}),
    ],
)
def test_the_definitions_that_the_operator_needs_are_asked_for(
    off: dict[str, str], kinds: set[str], readable: bool
) -> None:
    """Lost otherwise: a release without schedules that is never ready, or one whose notifiers send nothing."""
    environment = {"SCANPLAN_SCANNER_IMAGE": "scanner:1", **off}
    assert definitions(tuple(kinds), environment, readable) == dict.fromkeys(kinds, Verdict.WELL)
    for missing in kinds:
        found = definitions(tuple(kinds - {missing}), environment, readable)
        assert found == {**dict.fromkeys(kinds, Verdict.WELL), missing: Verdict.FAILED}


def test_a_missing_definition_is_unknown_where_nobody_can_tell_whether_it_is_needed() -> None:
    found = definitions(("scanplans",), {})
    unknown = dict.fromkeys(("scanschedules", "scannotifiers"), Verdict.UNKNOWN)
    assert found == {"scanplans": Verdict.WELL, "scanexceptions": Verdict.FAILED, **unknown}


def test_every_kind_has_its_definition_looked_at() -> None:
    assert list(server.SWITCHES) == list(DEFINITIONS)
