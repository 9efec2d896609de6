"""The order in which waiting plans of a namespace get their slots: highest priority first, then age.

Kubernetes has no part for this short of Kueue. A Job that has failed, is suspended or is being deleted holds no slot.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Waiting(NamedTuple):
    """A plan that could start; the natural order of these tuples is the order of admission."""

    negative_priority: int
    created: datetime
    name: str
