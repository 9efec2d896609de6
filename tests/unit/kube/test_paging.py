"""A list in pages: all objects, once and in order, and never more bytes at a time than were meant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from scanplan.kube import paging
from scanplan.kube.failures import ResponseTooLarge
from scanplan.kube.objects import Object
from scanplan.kube.paging import Listing, Query

KILOBYTE = 1_000


class Shelf:
    """An API server with objects of these sizes in bytes, which counts what it has sent."""

    def __init__(self, sizes: list[int]) -> None:
        self.objects = [_object(number, size) for number, size in enumerate(sizes)]
        self.largest_answer = 0
        self.answers = 0

    async def fetch(self, query: Query, most: int) -> bytes:
        asked = dict(query)
        assert asked["labelSelector"] == "task"
        assert not ("continue" in asked and "resourceVersion" in asked), "the server refuses both together"
        begin, limit = int(asked.get("continue", 0)), int(asked["limit"])
        if asked.get("resourceVersion") == "0":
            limit = len(self.objects)  # its cache has no pages
        items = self.objects[begin : begin + limit]
        more = str(begin + limit) if begin + limit < len(self.objects) else ""
        metadata = {"resourceVersion": "77", "continue": more}
        answer = b'{"metadata":%s,"items":[%s]}' % (msgspec.json.encode(metadata), b",".join(items))
        self.answers += 1
        if len(answer) > most:
            raise ResponseTooLarge
        self.largest_answer = max(self.largest_answer, len(answer))
        return answer


def _object(number: int, size: int) -> bytes:
    return msgspec.json.encode({"metadata": {"name": str(number)}, "spec": {"x": "x" * size}})


async def listed(shelf: Shelf) -> tuple[list[int], Listing]:
    listing = Listing(shelf.fetch, [("labelSelector", "task"), ("resourceVersion", "0")])
    return [int(body["metadata"]["name"]) async for body in listing.objects()], listing


@hypothesis.given(st.lists(st.sampled_from([10, KILOBYTE, 400 * KILOBYTE, 1_500 * KILOBYTE]), max_size=40))
@hypothesis.settings(max_examples=60)
async def test_every_object_comes_once_whatever_their_sizes(sizes: list[int]) -> None:
    """Lost otherwise: a plan that nobody has seen is not scanned; a page that is too large ends the operator."""
    shelf = Shelf(sizes)
    numbers, listing = await listed(shelf)
    assert numbers == list(range(len(sizes)))
    assert listing.version == "77"
    assert listing.largest == max(map(len, shelf.objects), default=0)
    assert shelf.largest_answer <= max(paging.PAGE_BYTES, 1_600 * KILOBYTE)


@pytest.mark.parametrize(
    ("sizes", "answers"),
    [
        ([4 * KILOBYTE] * 10_000, 50),
        ([1_270 * KILOBYTE] * 80, 90),
        ([KILOBYTE] * 500 + [1_500 * KILOBYTE] * 20, 45),
        ([9_000 * KILOBYTE], 6),
    ],
    ids=["many small", "all large", "large after small", "larger than a page"],
)
async def test_few_requests_are_enough(sizes: list[int], answers: int) -> None:
    """Lost otherwise: an operator that starts where there are ten thousand plans serves nobody for a minute."""
    shelf = Shelf(sizes)
    numbers, _ = await listed(shelf)
    assert len(numbers) == len(sizes)
    assert shelf.answers <= answers


async def test_an_empty_list_may_have_no_items_at_all() -> None:
    async def fetch(_: Query, __: int) -> bytes:
        return b'{"kind":"JobList","metadata":{"resourceVersion":"5"},"items":null}'

    listing = Listing(fetch)
    found: list[Object] = [body async for body in listing.objects()]
    assert (found, listing.version) == ([], "5")


async def test_a_list_that_fails_has_no_version() -> None:
    """Lost otherwise: a watch that begins after half a list never tells of the other half."""

    async def fetch(query: Query, _: int) -> bytes:
        if "continue" in dict(query):
            raise ConnectionResetError
        return b'{"metadata":{"resourceVersion":"5","continue":"more"},"items":[{}]}'

    listing = Listing(fetch)
    with pytest.raises(ConnectionResetError):
        [body async for body in listing.objects()]
    assert not listing.version


async def test_the_next_page_is_asked_for_before_the_objects_of_this_one_are_taken_in() -> None:
    """Lost otherwise: at a start, server and operator wait for each other, page by page."""
    asked = []

    async def fetch(query: Query, _: int) -> bytes:
        asked.append(dict(query).get("continue", ""))
        more = "" if len(asked) == 3 else str(len(asked))
        metadata = {"resourceVersion": "5", "continue": more}
        return b'{"metadata":%s,"items":[{},{}]}' % msgspec.json.encode(metadata)

    seen = [len(asked) async for _ in Listing(fetch).objects()]
    assert seen == [2, 2, 3, 3, 3, 3]
    assert asked == ["", "1", "2"]


async def test_a_list_that_nobody_reads_on_leaves_no_request_behind() -> None:
    """Lost otherwise: a task that fails later, with a traceback in the log, for each list that was given up."""
    cancelled = asyncio.Event()

    async def fetch(query: Query, _: int) -> bytes:
        if "continue" in dict(query):
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
        return b'{"metadata":{"resourceVersion":"5","continue":"more"},"items":[{}]}'

    listing = Listing(fetch)
    objects = listing.objects()
    assert isinstance(objects, AsyncGenerator)
    await anext(objects)
    await objects.aclose()
    assert cancelled.is_set()
    assert not listing.version
