"""Inputs are read as far as it takes: a plan that can't run costs a few requests, and no memory."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from kubernetes.aio.client import ApiException

from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.controller.reads.inputs import MAX_CLAIMS, InputReader
from scanplan.core.planning import inputs as sources
from scanplan.core.planning.inputs import PLAN_BYTES, Kind, Reference
from tests.unit.core import model

CLAIM = Reference(Kind.CLAIM, "claim")
MIB = 1 << 20


def config_map(name: str) -> Reference:
    return Reference(Kind.CONFIG_MAP, name)


class Objects(model.ModelApi):
    """Objects by name, and which of them were asked for, and how."""

    def __init__(self, objects: dict[str, dict[str, Any]]) -> None:
        super().__init__(model.Cluster())
        self.objects = objects
        self.asked: list[tuple[str, bool]] = []

    async def get_input(self, namespace: str, reference: Reference, content: bool) -> bytes:
        assert namespace == model.NAMESPACE
        self.asked.append((reference.name, content))
        if reference.kind is Kind.CLAIM:
            return json.dumps({"metadata": {}, "spec": {"accessModes": ["ReadWriteOnce"]}}).encode()
        if reference.name not in self.objects:
            raise ApiException(status=404, reason="NotFound")
        found = {"metadata": {}, **self.objects[reference.name]}
        return json.dumps(found if content else {"metadata": found["metadata"]}).encode()


async def read(api: Objects, *references: Reference) -> sources.Inputs:
    return await InputReader(api).read(model.NAMESPACE, references)


async def test_one_list_and_its_claim_take_one_request_each() -> None:
    api = Objects({"list": {"data": {"hosts": "a.example"}, "binaryData": {"raw": base64.b64encode(b"b").decode()}}})
    found = await read(api, CLAIM, config_map("list"))
    assert found[config_map("list")].files == {"hosts": b"a.example", "raw": b"b"}
    assert found[CLAIM].access_modes == ("ReadWriteOnce",)
    assert api.asked == [("claim", True), ("list", True)]


async def test_nothing_is_read_where_something_is_missing() -> None:
    """Lost otherwise: fifteen MiB, again and again, to plans that name fifteen large ConfigMaps and a missing one."""
    large = [config_map(f"large-{number}") for number in range(15)]
    api = Objects({each.name: {"data": {"x": "x" * MIB}} for each in large})
    found = await read(api, *large, config_map("missing"))
    assert not [name for name, content in api.asked if content]
    with pytest.raises(InvalidPlan, match="ConfigMap 'missing' can't be used: there is none") as error:
        sources.check(found)
    assert error.value.reason is Reason.INPUT_UNAVAILABLE


@pytest.mark.parametrize("labels", [{}, {"scanplan.dev/use": "other"}])
async def test_the_content_of_a_secret_that_is_not_for_plans_is_never_read(labels: dict[str, str]) -> None:
    api = Objects({"hidden": {"metadata": {"labels": labels}, "data": {"x": "eA=="}}})
    found = await read(api, Reference(Kind.SECRET, "hidden", "endpoints"))
    assert api.asked == [("hidden", False)]
    with pytest.raises(InvalidPlan, match="label it"):
        sources.check(found)


@pytest.mark.parametrize(
    "data",
    [
        {"x": "x" * MIB},
        {"x": "\x01" * MIB},
        {"x": "é" * (MIB // 2)},
        {f"{number}": "" for number in range(100_000)},
    ],
    ids=["text", "escaped", "two bytes", "many keys"],
)
async def test_reading_ends_where_it_is_too_much(data: dict[str, str]) -> None:
    large = [config_map(f"large-{number}") for number in range(24)]
    api = Objects({each.name: {"data": data} for each in large})
    found = await read(api, *large)
    assert sum(content for _, content in api.asked) <= PLAN_BYTES // MIB + 1
    assert sum(len(content) for each in found.values() for content in each.files.values()) <= PLAN_BYTES + MIB
    with pytest.raises(InvalidPlan, match="more than 8 MiB together") as error:
        sources.check(found)
    assert error.value.reason is Reason.INPUTS_TOO_LARGE


async def test_what_fits_is_read_whole() -> None:
    large = [config_map(f"large-{number}") for number in range(7)]
    api = Objects({each.name: {"data": {"x": "x" * MIB}} for each in large})
    found = await read(api, *large)
    sources.check(found)
    assert sum(len(each.files["x"]) for each in found.values()) == 7 * MIB


async def test_claims_of_thousands_of_namespaces_are_not_kept_for_ever() -> None:
    reader = InputReader(Objects({}))
    for number in range(MAX_CLAIMS + 10):
        await reader.read(model.NAMESPACE, [Reference(Kind.CLAIM, f"claim-{number}")])
    assert len(reader._claims) == MAX_CLAIMS
