"""People who read from the API on a cluster: service accounts of a test's namespace, with the rights that a test gives them."""

from __future__ import annotations

import aiohttp

from tests.client.cluster import ControlPlane

SCANPLANS = "scanplans.scanplan.dev"
FINDINGS = "nuclei_output.ndjson"


class Reader:
    """A service account of the test's namespace, with a Role for what it may get."""

    def __init__(self, plane: ControlPlane, namespace: str, name: str, *resources: str) -> None:
        self._kubectl = plane.kubectl.in_namespace(namespace)
        self.name = name
        self._kubectl.account(name)
        if resources:
            self._kubectl.allow(name, name, "get,list", *resources)

    def token(self, audience: str = "scanplan-api") -> str:
        return self._kubectl.token(self.name, audience)


async def code_of(api: aiohttp.ClientSession, path: str, token: str | None) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with api.get(path, headers=headers) as answer:
        return answer.status
