"""`scanplan doctor`: each check has one name, whatever comes of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from scanplan.cli.commands import doctor
from scanplan.cli.options import TextOrJson
from scanplan.cli.output.failure import Failure, Forbidden
from scanplan.client.cluster import cluster as clusters
from scanplan.kube.resources import DEPLOYMENTS, Resource
from tests.unit.cli.checks.site import deployment


class Site:
    """A cluster that tells its version, and answers all other questions in the same way."""

    namespace, address = "red", "https://cluster.example"

    def __init__(self, refusal: Failure | None) -> None:
        """`refusal` is raised by all questions but that for the version. None: they find an operator, and nothing else."""
        self._refusal = refusal

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/version"
        return {"major": "1", "minor": "35", "gitVersion": "v1.35.0"}

    def path(self, resource: Resource, name: str | None = None, *, namespace: str | None) -> str:
        return resource.path(namespace, name)

    def find(self, _: str) -> dict[str, Any] | None:
        self._refuse()
        return None

    def each(self, path: str, _: object = None) -> Iterator[dict[str, Any]]:
        self._refuse()
        yield from [deployment("operator", {})] if path == DEPLOYMENTS.path(None) else []

    def allowed(self, *_: str) -> bool:
        self._refuse()
        return True

    def _refuse(self) -> None:
        if self._refusal is not None:
            raise self._refusal


def verdicts(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The verdict of each check, by its name."""
    monkeypatch.setattr(clusters, "connect", lambda *_: site)
    with contextlib.suppress(typer.Exit):
        doctor.doctor(output=TextOrJson.JSON)
    return {each["what"]: each["verdict"] for each in json.loads(capsys.readouterr().out)["checks"]}


@pytest.mark.parametrize(
    ("refusal", "verdict"),
    [(Forbidden("you may not"), "unknown"), (Failure("the connection was lost", "try again", 69), "failed")],
)
def test_a_check_that_can_not_be_made_has_its_own_name_and_stops_no_other(
    refusal: Failure, verdict: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lost otherwise: a pipeline that looks for a check by its name, where the user may read less."""
    well = verdicts(Site(None), monkeypatch, capsys)
    assert [name for name in well if "_" in name] == []
    refused = verdicts(Site(refusal), monkeypatch, capsys)
    assert list(refused) == list(well)
    for name in ("operator", "claim", "quota", "network", "Kueue", "watch plans"):
        assert refused[name] == verdict
