"""The few calls that starting a cluster makes to its API server, by the standard library alone."""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.errors import ClusterError, NotUpError, StartError

Object = dict[str, Any]


class Api:
    """The API server at https://ADDRESS:6443, as the administrator whose certificate is in a folder of identities."""

    def __init__(self, address: str, pki: Path) -> None:
        self._address = address
        self._tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def get(self, path: str) -> Object | None:
        """The object at a path, or None when there is none."""
        return self._call("GET", path, None, absent=http.client.NOT_FOUND)

    def create(self, path: str, body: Object) -> None:
        """Create an object, unless it exists."""
        self._call("POST", path, body, absent=http.client.CONFLICT)

    def wait(
        self, path: str, until: Callable[[Object], bool], what: str, check: Callable[[], None], timeout: float
    ) -> None:
        """Poll an object until a condition holds. `check` raises if waiting has become pointless."""
        deadline = time.monotonic() + timeout
        while not ((found := self._seen(path)) and until(found)):
            check()
            if time.monotonic() > deadline:
                raise StartError(f"{what} after {timeout:.0f} s; last seen:\n{json.dumps(found, indent=2)}")
            time.sleep(0.05)

    def _seen(self, path: str) -> Object | None:
        try:
            return self.get(path)
        except NotUpError:
            return None

    def _call(self, verb: str, path: str, body: Object | None, absent: int) -> Object | None:
        connection = http.client.HTTPSConnection(self._address, 6443, timeout=30, context=self._tls)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(verb, path, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer: Object = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise NotUpError(f"the API server at {self._address} does not answer: {error}") from None
        finally:
            connection.close()
        if response.status == absent:
            return None
        if response.status >= http.client.BAD_REQUEST:
            raise ClusterError(f"{verb} {path}: {answer.get('message', answer)}")
        return answer
