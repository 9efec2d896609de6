"""One request to the API server: sent, checked, and its answer read with a bound, whole or line by line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

from kubernetes.aio.client import ApiClient, ApiException
from kubernetes.aio.client.rest import RESTResponse

from scanplan.kube.failures import ResponseTooLarge
from scanplan.kube.objects import Object
from scanplan.kube.paging import RESPONSE_BYTES, Query

PatchType = Literal["merge", "strategic-merge"]
REQUEST_SECONDS = 15.0
"""Time limit of one request. A server that hangs is an error, and the request is tried again."""
MESSAGE_BYTES = 1 << 20
"""Bytes that are read of an answer that refuses a request."""
JSON = "application/json"


async def send(
    client: ApiClient,
    method: str,
    path: str,
    body: Object | None = None,
    query: Query = (),
    patch_type: PatchType | None = None,
    seconds: float = REQUEST_SECONDS,
    accept: str = JSON,
) -> RESTResponse:
    """The answer to a request, refused or not, whose content has not been read yet.

    Args:
        seconds: limit of request and content together.
    """
    headers = {"Accept": accept}
    if body is not None:
        headers["Content-Type"] = f"application/{patch_type}-patch+json" if patch_type else "application/json"
    method, url, headers, _, _ = await client.param_serialize(
        method, path, query_params=list(query), header_params=headers, auth_settings=["BearerToken"]
    )
    return await client.call_api(method, url, headers, body, _request_timeout=seconds)


async def check(response: RESTResponse) -> None:
    """Raise ApiException where a request was refused."""
    if not 200 <= response.status < 300:
        content = await read(response, MESSAGE_BYTES)
        raise ApiException.from_response(http_resp=response, body=content.decode(errors="replace"), data=None)


def drop(response: RESTResponse) -> None:
    """Abort the connection of an answer that is not read to its end.

    A normal close would wait for the server's TLS shutdown, and the server is still sending.
    """
    if (connection := response.response.connection) and connection.transport:
        connection.transport.abort()
    response.response.close()


async def read(response: RESTResponse, most: int) -> bytes:
    """Read the content. Raises ResponseTooLarge where it has more than `most` bytes."""
    content = bytearray()
    async for chunk in response.response.content.iter_any():
        content += chunk
        if len(content) > most:
            drop(response)
            raise ResponseTooLarge(f"an answer has more than {most:,} bytes")
    response.response.release()
    return bytes(content)


async def lines(response: RESTResponse) -> AsyncIterator[bytes]:
    """Yield whole lines. The package's own reader refuses lines of more than 128 KiB, and a plan may have 1.5 MB."""
    parts: list[bytes] = []
    length = 0
    async for chunk in response.response.content.iter_any():
        head, *more = chunk.split(b"\n")
        parts.append(head)
        length += len(head)
        if length > RESPONSE_BYTES:
            raise ResponseTooLarge(f"a line has more than {RESPONSE_BYTES:,} bytes")
        for part in more:
            yield b"".join(parts)
            parts, length = [part], len(part)
