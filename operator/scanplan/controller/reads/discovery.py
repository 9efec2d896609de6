"""Read the objects that a plan selects, and keep no more of them than the endpoints that they name."""

from __future__ import annotations

import asyncio

from kubernetes.aio.client import ApiException

from scanplan.core.discovery import gateways
from scanplan.core.discovery.gateways import Gateway, Places
from scanplan.core.discovery.reading import Found, Skipped, read
from scanplan.core.discovery.selection import Selection
from scanplan.core.planning.sources import PLAN_BYTES, Input
from scanplan.kube.api import Api
from scanplan.kube.failures import message_of
from scanplan.kube.resources import InvalidName, WrongObject

KEPT = 10
"""Of what is left out, with the cause; the others are counted."""
ENDPOINT_BYTES = 256
"""What an endpoint takes besides its text."""
LEFT_OUT_BYTES = 64
"""What counts for something that is left out: it takes time, though no memory."""
TURN = 1_000
"""Endpoints after which others have a turn: one object may name as many as fit."""


class Discovery:
    """Reads selections."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def read(self, selection: Selection) -> Input:
        """What the selected objects name; `problem` says why they can't be read. Of what is too much only the size is known."""
        found: list[Found] = []
        left_out: list[Skipped] = []
        count = size = 0
        known: dict[Gateway, Places | None] = {}
        try:
            async for item in self._api.each_discovered(selection):
                size += await self._learn(gateways.gateways(selection.kind, item), known, PLAN_BYTES - size)
                for each in read(selection, item, known):
                    if isinstance(each, Found):
                        found.append(each)
                        size += len(each.endpoint) + ENDPOINT_BYTES
                    else:
                        count += 1
                        size += LEFT_OUT_BYTES
                        left_out += [each] if len(left_out) < KEPT else []
                    if size > PLAN_BYTES:
                        return Input(size=size)
                    if (len(found) + count) % TURN == 0:
                        await asyncio.sleep(0)
                await asyncio.sleep(0)
        except ApiException as error:
            if error.status not in {403, 404}:
                raise
            return Input(problem=_problem(selection, error))
        return Input(found=tuple(found), left_out=tuple(left_out), left_out_count=count, size=size)

    async def _learn(self, named: tuple[Gateway, ...], known: dict[Gateway, Places | None], most: int) -> int:
        """Read the gateways that are not known yet; None stands for one that can't be read.

        Args:
            named: the gateways that an object names.
            known: is added to.
            most: bytes for what is kept of them; reading ends where it is more.

        Returns:
            How many bytes are kept of these.
        """
        size = 0
        for gateway in named:
            if gateway in known or len(known) >= gateways.MOST_GATEWAYS or size > most:
                continue
            known[gateway] = places = await self._gateway(gateway, most - size)
            size += places.size if places else 0
        return size

    async def _gateway(self, gateway: Gateway, most: int) -> Places | None:
        try:
            return gateways.places_of(await self._api.get_gateway(gateway), most)
        except ApiException as error:
            if error.status not in {403, 404}:
                raise
        except (InvalidName, WrongObject):
            pass
        return None


def _problem(selection: Selection, error: ApiException) -> str:
    if error.status == 404:
        return "this cluster doesn't have this kind of object"
    return (
        f"the operator may not list them: {message_of(error)}. The operator's owner allows it with the chart's value "
        f"discovery.{selection.kind.source}"
    )
