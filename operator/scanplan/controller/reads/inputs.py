"""Read what plans name: ConfigMaps and Secrets afresh each time, claims from a short-lived cache.

Whatever can be known without content is asked first, by metadata alone: a plan that names fifteen ConfigMaps and a missing one
reads none of them. Reading ends where a plan's content is more than it may be.

A claim's access modes never change, and every plan of a namespace names the same one; so one read in minutes serves them all.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence

import msgspec
from kubernetes.aio.client import ApiException

from scanplan.api import wire
from scanplan.controller.reads.discovery import Discovery
from scanplan.core.discovery.selection import Selection
from scanplan.core.planning.sources import PLAN_BYTES, Input, Inputs, Kind, Reference, problem_of
from scanplan.kube.api import Api
from scanplan.kube.failures import message_of
from scanplan.kube.resources import InvalidName, WrongObject

CLAIM_SECONDS = 300.0
"""How long a claim that was found is not looked up again; one that was not is looked up each time."""
MAX_CLAIMS = 1_000
"""Claims in the cache; the oldest goes first."""
OBJECT_BYTES = 1 << 20
"""Content of one ConfigMap or Secret: Kubernetes allows no more."""
FILE_BYTES = 256
"""What a file takes besides its name and content: a hundred thousand empty ones fit into one ConfigMap."""


class _Metadata(msgspec.Struct):
    labels: dict[str, str] | None = None


class _ClaimSpec(msgspec.Struct, rename="camel", frozen=True):
    access_modes: tuple[str, ...] = ()


class _Object(msgspec.Struct, rename="camel"):
    """An input as the API returns it: what nobody asks for is never decoded, texts one by one."""

    metadata: _Metadata
    data: dict[str, msgspec.Raw] | None = None
    binary_data: dict[str, msgspec.Raw] | None = None
    spec: _ClaimSpec = _ClaimSpec()


class InputReader:
    """Reads inputs of plans."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._discovery = Discovery(api)
        self._claims: dict[tuple[str, str], tuple[float, Input]] = {}

    @staticmethod
    def most(references: Sequence[Reference | Selection]) -> int:
        """Bytes that reading these may take."""
        contents = [each for each in references if each.kind is not Kind.CLAIM]
        return min(len(contents) * OBJECT_BYTES, PLAN_BYTES + OBJECT_BYTES)

    async def read(self, namespace: str, references: Sequence[Reference | Selection]) -> Inputs:
        """All of them; or, where something is missing, may not be read or is too much, as far as it takes to see that."""
        found: dict[Reference | Selection, Input] = {}
        contents = [each for each in references if each.kind is not Kind.CLAIM]
        for reference in references:
            if isinstance(reference, Selection):
                continue
            if reference.kind is Kind.CLAIM:
                found[reference] = await self._claim(namespace, reference)
            elif reference.kind is Kind.SECRET or len(contents) > 1:
                found[reference] = await self._input(namespace, reference, content=False)
        size = 0
        for reference in contents:
            if any(problem_of(each, known) for each, known in found.items()) or size > PLAN_BYTES:
                break
            if isinstance(reference, Selection):
                found[reference] = await self._discovery.read(reference)
            else:
                found[reference] = await self._input(namespace, reference, content=True)
            size += found[reference].size
        return {reference: found[reference] for reference in references if reference in found}

    async def _claim(self, namespace: str, reference: Reference) -> Input:
        read_at, claim = self._claims.get((namespace, reference.name), (0.0, None))
        if claim and time.monotonic() - read_at < CLAIM_SECONDS:
            return claim
        found = await self._input(namespace, reference, content=True)
        self._claims.pop((namespace, reference.name), None)
        if not found.problem:
            self._claims[namespace, reference.name] = (time.monotonic(), found)
            if len(self._claims) > MAX_CLAIMS:
                del self._claims[next(iter(self._claims))]
        return found

    async def _input(self, namespace: str, reference: Reference, content: bool) -> Input:
        try:
            body = await self._api.get_input(namespace, reference, content)
        except ApiException as error:
            if error.status == 404:
                return Input(problem=f"there is none in namespace {namespace}")
            if error.status == 403:
                return Input(problem=f"the operator may not read it: {message_of(error)}")
            raise
        except (InvalidName, WrongObject) as error:
            return Input(problem=str(error))
        return _decode(reference.kind, body)


def _decode(kind: Kind, body: bytes) -> Input:
    found = wire.decode(body, _Object)
    texts = found.data if kind is Kind.CONFIG_MAP else None
    encoded = found.data if kind is Kind.SECRET else found.binary_data
    files = {name: wire.decode(text, str).encode() for name, text in (texts or {}).items()}
    files |= {name: base64.b64decode(wire.decode(text, str)) for name, text in (encoded or {}).items()}
    size = sum(len(name) + len(content) + FILE_BYTES for name, content in files.items())
    return Input(
        files=files if size <= PLAN_BYTES else {},
        labels=found.metadata.labels or {},
        access_modes=found.spec.access_modes,
        size=size,
    )
