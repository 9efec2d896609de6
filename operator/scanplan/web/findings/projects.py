"""Reads the projects of the findings view: which results a project has, and an index of their histories."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from io import BufferedReader
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

from aiohttp import web

from scanplan.api import layout
from scanplan.client.errors import ClientError, InvalidPayload, QueueUnavailable
from scanplan.findings import combined, history
from scanplan.findings.exceptions import Suppressor
from scanplan.findings.history import Entry
from scanplan.web.api.access import Caller
from scanplan.web.api.blocking import Calls
from scanplan.web.artifacts.files import open_below
from scanplan.web.artifacts.places import Places
from scanplan.web.artifacts.remote import TooLarge
from scanplan.web.artifacts.turns import TooMany, Turns
from scanplan.web.findings import published
from scanplan.web.findings.index import Index
from scanplan.web.findings.indexes import Indexes, Key
from scanplan.web.findings.published import Published
from scanplan.web.ui.feeds import Feeds

QUERY_THREADS = 4
"""Threads that look into indexes; one user has at most two of them, a namespace what is left."""
REMEMBERED_SECONDS = 60.0
_MOST_REMEMBERED = 1_000
T = TypeVar("T")


class Source(NamedTuple):
    """A run whose history belongs to a project."""

    result: Published
    problem: str = ""
    """Why its history can't be read; empty where it was."""


class Project(NamedTuple):
    """What is known of a project's findings."""

    findings: Index
    read: Sequence[Published]
    """The results whose histories are in the index; a row's run is a place in here."""
    sources: Sequence[Source]
    left_out: int
    """Runs that are too many."""


class Problems:
    """Remembers for a while which histories can't be read, so that not every request tries again."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[float, str]] = OrderedDict()

    def of(self, result: Published) -> str:
        """Why its history can't be read; empty where nothing is known against it."""
        if result.problem:
            return result.problem
        if result.history is None:
            return (
                "its artifacts are in another cluster" if not result.result.artifacts else "its result has no history"
            )
        until, problem = self._known.get((result.namespace, result.history.sha256), (0.0, ""))
        return problem if until > time.monotonic() else ""

    def put(self, result: Published, problem: str) -> None:
        """Remember it."""
        if result.history:
            self._known[result.namespace, result.history.sha256] = (time.monotonic() + REMEMBERED_SECONDS, problem)
            while len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)


class Projects:
    """Safe for one event loop."""

    def __init__(
        self, calls: Calls, places: Places, feeds: Feeds | None, suppressed: Callable[[str], Suppressor]
    ) -> None:
        """What they are read from.

        Args:
            feeds: None where the queue has no plans.
            suppressed: says which findings of a namespace fall under an exception now; blocking.
        """
        self._calls = calls
        self._places = places
        self._feeds = feeds
        self._suppressed = suppressed
        self._indexes = Indexes()
        self._problems = Problems()
        self._turns = Turns(QUERY_THREADS)

    def close(self) -> None:
        """End what goes on."""
        self._turns.close()

    async def results(self, scope: str) -> Collection[Published]:
        """The results in a namespace, or in all.

        Raises:
            web.HTTPException: there are none here, or they can't be listed now.
        """
        if self._feeds is None:
            raise web.HTTPNotFound(text="only the kubernetes queue has plans, and so projects")
        try:
            return await self._feeds.results(scope)
        except QueueUnavailable as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from None

    async def of(self, caller: Caller, namespace: str, name: str) -> Project:
        """A project, once everything of it is read.

        Raises:
            web.HTTPException: there is none, or nothing of it can be read.
            ClientError: the findings are too many, or damaged.
        """
        runs, left_out = published.chosen(await self.results(namespace), name)
        if not runs:
            raise web.HTTPNotFound(text=f"namespace {namespace!r} has no results of a project {name!r}")
        sources: Sequence[Source] = [Source(run, self._problems.of(run)) for run in runs]
        index = self._indexes.get(_key(namespace, name, sources))
        if index is None:
            index, sources = await self._built(caller, namespace, name, sources)
        suppressed = await self._calls.run(self._suppressed, namespace)
        await self.turn(caller, namespace, partial(index.suppress, suppressed.mark, suppressed.of_entry))
        return Project(index, _readable(sources), sources, left_out)

    async def _built(
        self, caller: Caller, namespace: str, name: str, sources: Sequence[Source]
    ) -> tuple[Index, Sequence[Source]]:
        """An index of what can be read."""
        told: list[Source] = []
        with contextlib.ExitStack() as opened:
            files: list[BufferedReader] = []
            for source in sources:
                problem = source.problem
                if not problem:
                    try:
                        file = opened.enter_context(await self.opened(caller, source.result, layout.HISTORY))
                        await self._calls.run(_check, file, source.result)
                        files.append(file)
                    except web.HTTPTooManyRequests:
                        raise
                    except (web.HTTPException, ClientError) as error:
                        problem = words_of(error)
                        self._problems.put(source.result, problem)
                told.append(source._replace(problem=problem))
            key = _key(namespace, name, told)
            if not key.digests:
                raise web.HTTPNotFound(text=told[0].problem, reason="No history can be read")
            try:
                index = await self._places.turns.run(
                    namespace, caller.name, lambda: self._indexes.built(key, lambda: _entries(files))
                )
            except TooMany:
                raise web.HTTPTooManyRequests(text="other findings are being read for you: wait for them") from None
            except TooLarge as error:
                raise TooLarge(f"{error}: `scanplan findings {_readable(told)[0].run}` lists them") from None
        return index, told

    async def opened(self, caller: Caller, result: Published, name: str) -> BufferedReader:
        """A published file.

        Raises:
            web.HTTPException, ClientError: it can't be read.
        """
        try:
            root, folder = await self._places.of(caller, result.namespace, result.result, [name])
            descriptor = await self._calls.run(open_below, root, PurePosixPath(folder) / name)
        except FileNotFoundError:
            raise web.HTTPNotFound(text=f"{name} of {result.plan} was published, and is not on the volume") from None
        return os.fdopen(descriptor, "rb")

    async def turn(self, caller: Caller, namespace: str, call: Callable[[], T]) -> T:
        """The answer of a blocking call that takes the processor for long, once it is the caller's turn.

        Raises:
            web.HTTPTooManyRequests: too much waits already.
        """
        try:
            return await self._turns.run(namespace, caller.name, call)
        except TooMany:
            raise web.HTTPTooManyRequests(text="other findings are being read for you: wait for them") from None


def _check(file: BufferedReader, result: Published) -> None:
    """Raise InvalidPayload where a history is not the one that was published."""
    if result.history is None or hashlib.file_digest(file, "sha256").hexdigest() != result.history.sha256:
        raise InvalidPayload(f"{layout.HISTORY} of {result.plan} is not what was published")
    file.seek(0)


def _entries(files: Sequence[BufferedReader]) -> Iterable[tuple[Entry, int]]:
    """The findings of these histories."""
    return combined.combined(history.entries(history.bounded(file)) for file in files)


def _readable(sources: Iterable[Source]) -> list[Published]:
    return [source.result for source in sources if not source.problem]


def _key(namespace: str, name: str, sources: Iterable[Source]) -> Key:
    return Key(namespace, name, tuple(each.history.sha256 for each in _readable(sources) if each.history))


def words_of(error: web.HTTPException | ClientError) -> str:
    """What an error says."""
    return (error.text or "") if isinstance(error, web.HTTPException) else str(error)
