"""Read the objects that a plan selects, and keep no more of them than the endpoints that they name."""

from __future__ import annotations

from kubernetes.aio.client import ApiException

from scanplan.api.v1alpha1.scanplan import MAX_ENDPOINTS
from scanplan.core.discovery import gateways
from scanplan.core.discovery.gateways import Gateway
from scanplan.core.discovery.reading import Found, Skipped, read
from scanplan.core.discovery.selection import Selection
from scanplan.core.planning.inputs import PLAN_BYTES, Input
from scanplan.kube.api import Api
from scanplan.kube.failures import message_of
from scanplan.kube.objects import Object
from scanplan.kube.resources import InvalidName, WrongObject

KEPT = 10
"""Of what is left out, with the cause; the others are counted."""
ENDPOINT_BYTES = 256
"""What an endpoint takes besides its text."""


class Discovery:
    """Reads selections."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def read(self, selection: Selection) -> Input:
        """What the selected objects name, as far as it is not too much; `problem` says why they can't be read."""
        found: list[Found] = []
        left_out: list[Skipped] = []
        count = size = 0
        known: dict[Gateway, Object | None] = {}
        try:
            async for item in self._api.each_discovered(selection):
                await self._learn(gateways.gateways(selection.kind, item), known)
                for each in read(selection, item, known):
                    if isinstance(each, Found):
                        found.append(each)
                        size += len(each.endpoint) + ENDPOINT_BYTES
                    else:
                        count += 1
                        left_out += [each] if len(left_out) < KEPT else []
                if len(found) > MAX_ENDPOINTS or size > PLAN_BYTES:
                    break
        except ApiException as error:
            if error.status not in {403, 404}:
                raise
            return Input(problem=_problem(selection, error))
        return Input(found=tuple(found), left_out=tuple(left_out), left_out_count=count, size=size)

    async def _learn(self, named: tuple[Gateway, ...], known: dict[Gateway, Object | None]) -> None:
        """Read the gateways that are not known yet; None stands for one that can't be read."""
        for gateway in named:
            if gateway in known or len(known) >= gateways.MOST_GATEWAYS:
                continue
            try:
                known[gateway] = await self._api.get_gateway(gateway)
            except ApiException as error:
                if error.status not in {403, 404}:
                    raise
                known[gateway] = None
            except (InvalidName, WrongObject):
                known[gateway] = None


def _problem(selection: Selection, error: ApiException) -> str:
    if error.status == 404:
        return "this cluster doesn't have this kind of object"
    return (
        f"the operator may not list them: {message_of(error)}. The operator's owner allows it with the chart's value "
        f"discovery.{selection.kind.source}"
    )
