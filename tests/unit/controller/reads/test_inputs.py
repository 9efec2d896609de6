"""Inputs are read as far as it takes: a plan that can't run costs a few requests, and no memory."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kubernetes.aio.client import ApiException

from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.controller.reads import discovery
from scanplan.controller.reads.inputs import MAX_CLAIMS, InputReader
from scanplan.core.discovery import gateways
from scanplan.core.discovery.gateways import Gateway
from scanplan.core.discovery.selection import Kind as Discovered
from scanplan.core.discovery.selection import Selection
from scanplan.core.planning import sources
from scanplan.core.planning.sources import PLAN_BYTES, Kind, Reference
from tests.unit.core import model

CLAIM = Reference(Kind.CLAIM, "claim")
KIB = 1 << 10
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


class Exposed(Objects):
    """An object that a plan selects, and the gateway that it names."""

    def __init__(self, spec: dict[str, Any], gateway: dict[str, Any] | None = None, status: Any = None) -> None:
        super().__init__({})
        self._object = {"metadata": {"namespace": "shop", "name": "web"}, "spec": spec, "status": status or {}}
        self._gateway = {"metadata": {"namespace": "shop"}, "spec": gateway or {}}
        self.gateways = 0

    async def each_discovered(self, selection: Selection) -> AsyncIterator[dict[str, Any]]:
        assert selection.namespace == "shop"
        for _ in range(1_000):
            yield self._object

    async def get_gateway(self, gateway: Gateway) -> dict[str, Any]:
        assert gateway.namespace == "shop"
        self.gateways += 1
        return self._gateway


MANY = range(3_000)
HOSTS = [f"host{number}.example.com" for number in MANY]
OTHERS = [f"host{number}.example.org" for number in MANY]
SERVERS = [{"port": {"number": number + 1, "protocol": "HTTP"}, "hosts": ["*"]} for number in MANY]
ELSEWHERE = [{**server, "hosts": OTHERS} for server in SERVERS[:3]]
UNUSED = [{**server, "hosts": [f"other/{host}" for host in HOSTS]} for server in SERVERS]
PATHS = [{"match": [{"uri": {"exact": f"/path{number}"}}]} for number in MANY]
EXPRESSIONS = [{"match": [{"uri": {"regex": "/.*"}}]}]
RULES = [{"host": host, "http": {"paths": [{"path": "/a"}]}} for host in HOSTS]
LISTENERS = [{"name": f"l{number}", "port": number + 1, "protocol": "HTTP"} for number in range(64)]
PARENTS = [{"name": f"gateway{number}"} for number in range(32)]
ACCEPTED = [{"parentRef": each, "conditions": [{"type": "Accepted", "status": "True"}]} for each in PARENTS]
MATCHES = [{"path": {"type": "PathPrefix", "value": f"/{number}"}} for number in range(64)]


@pytest.mark.parametrize(
    ("kind", "api"),
    [
        pytest.param(
            Discovered.VIRTUAL_SERVICE,
            Exposed({"hosts": HOSTS, "gateways": ["a"], "http": PATHS}, {"servers": SERVERS}),
            id="hosts, servers and paths",
        ),
        pytest.param(
            Discovered.VIRTUAL_SERVICE,
            Exposed({"hosts": HOSTS, "gateways": ["a"], "http": EXPRESSIONS}, {"servers": SERVERS}),
            id="nothing but paths that are left out",
        ),
        pytest.param(
            Discovered.VIRTUAL_SERVICE,
            Exposed({"hosts": HOSTS, "gateways": ["a", "b", "c"]}, {"servers": ELSEWHERE}),
            id="nothing but hosts that are left out",
        ),
        pytest.param(
            Discovered.VIRTUAL_SERVICE,
            Exposed({"hosts": ["*"] * 100_000, "gateways": [f"gateway{number}" for number in MANY]}, {}),
            id="hosts that can be none",
        ),
        pytest.param(
            Discovered.VIRTUAL_SERVICE,
            Exposed({"hosts": HOSTS, "gateways": ["a"]}, {"servers": UNUSED}),
            id="a gateway of other namespaces",
        ),
        pytest.param(
            Discovered.INGRESS, Exposed({"rules": RULES * 10, "tls": [{"hosts": OTHERS}] * 10}), id="rules and TLS"
        ),
        pytest.param(
            Discovered.HTTP_ROUTE,
            Exposed(
                {"hostnames": HOSTS[:16], "parentRefs": PARENTS, "rules": [{"matches": MATCHES}] * 16},
                {"listeners": LISTENERS},
                {"parents": ACCEPTED},
            ),
            id="parents, listeners, hostnames and matches",
        ),
        pytest.param(Discovered.SERVICE, Exposed({"ports": [{"port": 1, "protocol": "UDP"}] * 100_000}), id="ports"),
    ],
)
async def test_one_object_that_names_too_much_ends_the_reading(kind: Discovered, api: Exposed) -> None:
    """Lost otherwise: the event loop, the lease and the memory of all teams, to five KiB of YAML of one of them."""
    selection = Selection(kind, "shop", "scanplan.dev/scan=true", True)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(others())
    found = await asyncio.wait_for(discovery.Discovery(api).read(selection), 300)
    beside.cancel()
    assert turns > 1, "nobody else had a turn"
    assert (found.found, found.left_out, found.problem) == ((), (), "")
    assert PLAN_BYTES < found.size < PLAN_BYTES + MIB
    with pytest.raises(
        InvalidPlan, match="more than 8 MiB together; make several plans of it, which select fewer"
    ) as error:
        sources.check({selection: found})
    assert error.value.reason is Reason.INPUTS_TOO_LARGE


async def test_of_gateways_only_the_places_are_kept() -> None:
    """Lost otherwise: the memory for 64 gateways, each of which may have a megabyte and a half."""
    noise = {"selector": {f"key{number}": "x" * 1_000 for number in range(1_000)}}
    names = [f"gateway{number}" for number in range(100)]
    api = Exposed({"hosts": HOSTS[:1], "gateways": names}, {**noise, "servers": SERVERS[:1]})
    named = [each async for each in api.each_discovered(Selection(Discovered.SERVICE, "shop", "", False))][:1]
    known = discovery.Discovery(api)
    reached: dict[Gateway, Any] = {}
    size = await known._learn(gateways.gateways(Discovered.VIRTUAL_SERVICE, named[0]), reached, PLAN_BYTES)
    assert api.gateways == len(reached) == gateways.MOST_GATEWAYS
    assert len(repr(reached)) < size < 64 * KIB
