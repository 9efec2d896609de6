"""Read what plans name: ConfigMaps and Secrets afresh each time, claims from a short-lived cache.

A claim's access modes never change, and every plan of a namespace names the same one; so one read in minutes serves them all.
"""

from __future__ import annotations

import base64
import time
from typing import Any

from kubernetes.aio.client import ApiException

from scanplan.core.planning.inputs import Input, Inputs, Kind, Reference
from scanplan.kube.api import Api, message_of
from scanplan.kube.resources import InvalidName, WrongObject

CLAIM_SECONDS = 300.0
"""How long a claim that was found is not looked up again; one that was not is looked up each time."""


class InputReader:
    """Reads inputs of plans."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._claims: dict[tuple[str, str], tuple[float, Input]] = {}

    async def read(self, namespace: str, references: tuple[Reference, ...]) -> Inputs:
        """All of them; those that are missing or may not be read say so in their `problem`."""
        return {reference: await self._read(namespace, reference) for reference in references}

    async def _read(self, namespace: str, reference: Reference) -> Input:
        cached = self._claims.get((namespace, reference.name)) if reference.kind is Kind.CLAIM else None
        if cached and time.monotonic() - cached[0] < CLAIM_SECONDS:
            return cached[1]
        try:
            found = _input(reference.kind, await self._api.get_input(namespace, reference))
        except ApiException as error:
            if error.status == 404:
                return Input(problem=f"there is none in namespace {namespace}")
            if error.status == 403:
                return Input(problem=f"the operator may not read it: {message_of(error)}")
            raise
        except (InvalidName, WrongObject) as error:
            return Input(problem=str(error))
        if reference.kind is Kind.CLAIM:
            self._claims[namespace, reference.name] = (time.monotonic(), found)
        return found


def _input(kind: Kind, body: dict[str, Any]) -> Input:
    files = {name: text.encode() for name, text in (body.get("data") or {}).items() if kind is Kind.CONFIG_MAP}
    encoded = body.get("data") if kind is Kind.SECRET else body.get("binaryData")
    files.update({name: base64.b64decode(text) for name, text in (encoded or {}).items()})
    return Input(
        files=files,
        labels=body["metadata"].get("labels") or {},
        access_modes=tuple(body.get("spec", {}).get("accessModes", ())),
    )
