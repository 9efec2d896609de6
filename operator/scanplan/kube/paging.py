"""Lists objects page by page, and bounds both the objects and the bytes of a page.

One ScanPlan may have 1.5 MiB (etcd's limit), so a page of a hundred could exceed the operator's memory. A page that is too large is
dropped and requested again with fewer objects. A list from the API server's cache has no pages: if it is too large, a consistent
list is requested, which has some. Objects are decoded one at a time.

https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from scanplan.api import wire
from scanplan.kube.failures import ResponseTooLarge
from scanplan.kube.objects import Object, decode

Query = Sequence[tuple[str, str]]
Fetch = Callable[[Query, int], Awaitable[bytes]]
"""The body of the answer to a LIST, of at most so many bytes. Raises ResponseTooLarge."""

PAGE_BYTES = 2 << 20
"""Limit of a page of several objects. A larger page is dropped, and requested again. Two are in memory at most."""
RESPONSE_BYTES = 16 << 20
"""Limit of any answer. An object has at most 1.5 MiB in etcd. Escaped as JSON it may have six times as much."""
FIRST_LIMIT = 50
MOST = 250
"""Most objects in a page. The caller takes in a page without a pause; 250 plans take about 50 ms."""
_SHRINK = 4


class _Metadata(msgspec.Struct, rename={"version": "resourceVersion", "token": "continue"}):
    version: str = ""
    token: str = ""


class _Page(msgspec.Struct):
    metadata: _Metadata
    items: list[msgspec.Raw] | None = None


_DECODER = wire.decoder(_Page)


class Listing:
    """One list of all objects."""

    def __init__(self, fetch: Fetch, query: Query = ()) -> None:
        """`query` has selectors and other options, but never `limit` or `continue`."""
        self._fetch = fetch
        self._query = list(query)
        self.version = ""
        """Resource version at which a watch can start; empty until the list is complete."""
        self.largest = 0
        """Size in bytes of the largest object so far."""

    async def objects(self) -> AsyncIterator[Object]:
        """All objects, in the server's order. While those of a page are taken in, the server prepares the next page.

        Raises:
            What `fetch` raises; ResponseTooLarge where one object alone is too large.
        """
        async with aclosing(self._pages()) as pages:
            coming = _next(pages)
            try:
                while (page := await coming) is not None:
                    coming = _next(pages)
                    # Let the next request go out: the caller does not yield while it takes objects in.
                    await asyncio.sleep(0)
                    for raw in page.items or ():
                        self.largest = max(self.largest, len(memoryview(raw)))
                        yield decode(raw)
                    version = page.metadata.version
                self.version = version
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _pages(self) -> AsyncGenerator[_Page]:
        token, limit, options = "", FIRST_LIMIT, self._query
        while True:
            query = [*options, ("limit", str(limit)), *([("continue", token)] if token else [])]
            try:
                content = await self._fetch(query, PAGE_BYTES if limit > 1 else RESPONSE_BYTES)
            except ResponseTooLarge:
                if limit == 1:
                    raise
                # With resourceVersion "0" a list comes from the cache, in one page. Without it, it is consistent, and has pages.
                consistent = [pair for pair in options if pair[0] != "resourceVersion"]
                if len(consistent) == len(options):
                    limit = max(1, limit // _SHRINK)
                options = consistent
                continue
            page, size = _DECODER.decode(content), len(content)
            token = page.metadata.token
            yield page
            if not token:
                return
            del content, page  # keep at most two pages in memory
            options = [pair for pair in options if pair[0] != "resourceVersion"]  # the token has a version of its own
            if size <= PAGE_BYTES // 2:
                limit = min(MOST, 2 * limit)


def _next(pages: AsyncGenerator[_Page]) -> asyncio.Task[_Page | None]:
    """Fetches the next page; the result is None after the last."""

    async def page() -> _Page | None:
        return await anext(pages, None)

    return asyncio.create_task(page())
