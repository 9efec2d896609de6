"""The shards that a merge is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from scanplan.api.documents.records import ShardRecord
from scanplan.api.documents.words import EndpointsFileReport, Outcome
from scanplan.runner.artifacts.divided import Shard


class Part(msgspec.Struct, frozen=True):
    """One shard, with its published attempts."""

    shard: Shard
    attempts: Sequence[ShardRecord]
    file: EndpointsFileReport | None
    """What it has counted in the file of endpoints; None: there is no file."""

    @property
    def folder(self) -> Path:
        """The shard's folder on the claim."""
        return self.shard.folder

    @property
    def size(self) -> int:
        """How many endpoints it has; of a file 0 where no attempt came so far."""
        return self.file.endpoints if self.file else len(self.shard.endpoints or ())

    @property
    def complete(self) -> bool:
        """Whether its last attempt has scanned all of it."""
        return bool(self.attempts) and self.attempts[-1].outcome is Outcome.COMPLETE

    @property
    def outcome(self) -> Outcome:
        """How it came out, over all attempts."""
        if self.complete:
            return Outcome.COMPLETE
        partial = any(attempt.outcome is Outcome.PARTIAL for attempt in self.attempts)
        return Outcome.PARTIAL if partial else Outcome.FAILED
