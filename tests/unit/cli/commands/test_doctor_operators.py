"""What `scanplan doctor` finds of operators: which one works on the user's namespace, and which definitions it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import pytest

from scanplan.api import labels
from scanplan.api.schema.crd import DEFINITIONS, custom_resource_definition
from scanplan.cli.commands import doctor
from scanplan.cli.output.checks import Check, Verdict
from scanplan.cli.output.failure import Forbidden
from scanplan.kube import resources
from scanplan.kube.resources import NAMESPACES, Resource

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster


class Site:
    """A cluster with some operators, and a namespace that some selectors find."""

    namespace = "red"

    def __init__(
        self,
        operators: list[dict[str, str]],
        found_by: tuple[str, ...] = (),
        readable: bool = True,
        kinds: tuple[str, ...] = tuple(DEFINITIONS),
    ) -> None:
        self._deployments = [_deployment(f"operator-{number}", each) for number, each in enumerate(operators)]
        self._found_by = found_by
        self._readable = readable
        self._kinds = kinds

    def path(self, resource: Resource, name: str | None = None, *, namespace: str | None) -> str:
        return resource.path(namespace, name)

    def find(self, path: str) -> dict[str, Any] | None:
        if path == resources.group(labels.API_VERSION):
            return {"resources": [{"name": kind} for kind in self._kinds]}
        if not self._readable:
            raise Forbidden("you may not read definitions")
        plural = path.rpartition("/")[2].removesuffix(f".{labels.GROUP}")
        if plural not in self._kinds:
            return None
        definition = custom_resource_definition(DEFINITIONS[plural])
        return {**definition, "status": {"conditions": [{"type": "Established", "status": "True"}]}}

    def each(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        if path != NAMESPACES.path(None):
            yield from self._deployments
            return
        if not self._readable:
            raise Forbidden("you may not list namespaces")
        assert query["fieldSelector"] == "metadata.name=red"
        if query["labelSelector"] in self._found_by:
            yield {"metadata": {"name": "red"}}


def _deployment(name: str, variables: dict[str, str]) -> dict[str, Any]:
    env = [{"name": key, "value": value} for key, value in {"SCANPLAN_SCANNER_IMAGE": "scanner:1", **variables}.items()]
    return {
        "metadata": {"namespace": "system", "name": name},
        "spec": {"template": {"spec": {"containers": [{"image": "operator:1", "env": env}]}}},
        "status": {"readyReplicas": 1},
    }


def check(*operators: dict[str, str], **site: Any) -> Check:
    return doctor._operator(cast("Cluster", Site(list(operators), **site)), {})


def named(*namespaces: str) -> dict[str, str]:
    return {"SCANPLAN_NAMESPACES": ",".join(namespaces)}


def selected(selector: str) -> dict[str, str]:
    return {"SCANPLAN_NAMESPACE_SELECTOR": selector}


@pytest.mark.parametrize(
    "operators",
    [
        [{}],
        [named("red")],
        [named("blue"), named("green", "red")],
        [selected("team=blue"), selected("team=red")],
        [named("blue"), selected("team=red")],
    ],
)
def test_the_one_that_works_here_is_found(operators: list[dict[str, str]]) -> None:
    found = check(*operators, found_by=("team=red",))
    assert (found.verdict, found.seen) == (Verdict.WELL, f"system/operator-{len(operators) - 1}, operator:1")


@pytest.mark.parametrize(
    ("operators", "told", "remedy"),
    [
        ([named("blue", "green")], "watches blue, green, not red", "add it to SCANPLAN_NAMESPACES"),
        ([selected("team=blue")], "watches namespaces with team=blue, not red", "label the namespace"),
    ],
)
def test_without_one_the_remedy_is_told(operators: list[dict[str, str]], told: str, remedy: str) -> None:
    found = check(*operators)
    assert found.verdict is Verdict.FAILED
    assert told in found.seen
    assert remedy in found.advice


def test_two_of_them_are_one_too_many() -> None:
    found = check({}, selected("team=red"), named("blue"), found_by=("team=red",))
    assert found.verdict is Verdict.WARNING
    assert found.seen == "2 work on red: system/operator-0 and others"


def test_labels_that_the_user_may_not_read_are_no_failure() -> None:
    assert check(selected("team=blue"), readable=False).verdict is Verdict.WELL


NEITHER = {"SCANPLAN_SCHEDULES": "false", "SCANPLAN_NOTIFIERS": "false"}


def definitions(kinds: tuple[str, ...], environment: dict[str, str], readable: bool = True) -> dict[str, Verdict]:
    """The verdict about each definition that is looked at, by the kind."""
    site = cast("Cluster", Site([], kinds=kinds, readable=readable))
    return {check.seen.partition(".")[0]: check.verdict for check in doctor._definitions(site, environment)}


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


@pytest.mark.parametrize(
    "node",
    [{}, {"status": None}, {"status": {"images": None}}, {"status": {"images": [{"names": None}, {"names": ["a"]}]}}],
)
def test_an_image_without_names_hides_no_other(node: dict[str, Any]) -> None:
    """Lost otherwise: all further checks, by an image that was built again under the same tag."""
    assert doctor._images(node) == ({"a"} if "'a'" in str(node) else set())


def test_every_kind_has_its_definition_looked_at() -> None:
    assert list(doctor.SWITCHES) == list(DEFINITIONS)
