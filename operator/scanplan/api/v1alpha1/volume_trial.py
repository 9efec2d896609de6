"""What a trial of a volume saw: the words between the pod that tries it and `scanplan doctor --claim`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from scanplan.api.documents.words import Count, Document


class Attempted(Document, frozen=True, kw_only=True):
    """One thing that was tried, and the error where it failed."""

    what: Annotated[str, msgspec.Meta(max_length=100)]
    needed: bool = True
    """Without it no scan can keep its findings; else it is only slower or less convenient."""
    error: Annotated[str, msgspec.Meta(max_length=50)] = ""
    """The name of the error, such as EACCES; empty: it worked."""


class VolumeTrial(Document, frozen=True, kw_only=True):
    """Everything that was tried, in order; it ends where nothing more could be tried."""

    user: Count
    group: Count
    owner: Count
    """User of the volume's root."""
    owner_group: Count
    mode: Count
    """Permissions of the volume's root."""
    free_bytes: Count
    free_files: Count
    """0 where the file system doesn't count them."""
    attempts: tuple[Attempted, ...]

    @property
    def failed(self) -> tuple[Attempted, ...]:
        """What is needed and did not work."""
        return tuple(each for each in self.attempts if each.needed and each.error)
