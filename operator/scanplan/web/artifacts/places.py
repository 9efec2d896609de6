"""Where published files can be read: on the volume that is mounted here, or as copies from another claim."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from aiohttp import web

from scanplan.client.models import ScanResult
from scanplan.web.api.access import Caller
from scanplan.web.api.blocking import Calls
from scanplan.web.artifacts.remote import Copies
from scanplan.web.artifacts.turns import TooMany, Turns


class Places:
    """Finds the folder of a result's files; for one event loop."""

    def __init__(self, root: Path, namespace: str, calls: Calls, copies: Copies | None) -> None:
        """What there is to read from.

        Args:
            root: the data directory.
            namespace: whose volume it is.
            copies: of what is elsewhere; None where nothing else may be read.
        """
        self._root = root
        self._namespace = namespace
        self._calls = calls
        self._copies = copies
        self.turns = Turns()
        """Of all that takes long and that users have to share."""

    async def of(self, caller: Caller, namespace: str, result: ScanResult, names: list[str]) -> tuple[Path, str]:
        """The folder that a published path begins at, and the path of the task's folder below it.

        Raises:
            web.HTTPException: the files are elsewhere, or the caller has others copied already.
            ClientError: they can't be copied.
        """
        root, folder = self._root, result.artifact_path or ""
        own = namespace == self._namespace  # the same path, on another namespace's volume, is somebody else's
        if self._copies is None:
            if not own:
                raise elsewhere(f"the volume of namespace {namespace!r} is not mounted here")
            return root, folder
        if own and await self._calls.run(lambda: all((root / folder / name).exists() for name in names)):
            return root, folder
        try:
            copying = partial(self._copies.folder, namespace, result, names)
            return await self.turns.run(namespace, caller.name, copying), "."
        except TooMany:
            raise web.HTTPTooManyRequests(text="other artifacts are being fetched for you: wait for them") from None

    def close(self) -> None:
        """End what goes on, and remove all copies."""
        self.turns.close()
        if self._copies:
            self._copies.close()


def elsewhere(text: str) -> web.HTTPNotFound:
    """The answer about files that can't be read from here."""
    return web.HTTPNotFound(text=text, reason="Artifacts are elsewhere")
