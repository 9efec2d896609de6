"""Sessions of browsers: a cookie names a token in this process's memory, until the token expires.

A session gives no right of its own. Its token is reviewed again with later requests, as a bearer token is.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections import Counter
from typing import NamedTuple

COOKIE = "scanplan-session"
MAX_SECONDS = 8 * 3600.0
MAX_SESSIONS = 1_024
MAX_PER_USER = 16


class _Session(NamedTuple):
    until: float
    token: str
    user: str


class Sessions:
    """Tokens by session. A user's oldest session makes room for a new one of the same user, never one of somebody else."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        """Oldest first."""

    def open(self, token: str, user: str) -> tuple[str, int]:
        """A new session of a token that was found to be the user's: its name, and for how many seconds it lasts."""
        self._drop_ended()
        held = Counter(session.user for session in self._sessions.values())
        if held[user] >= MAX_PER_USER:
            self._drop_oldest(user)
        elif len(self._sessions) >= MAX_SESSIONS:
            self._drop_oldest(max(held, key=lambda each: held[each]))
        seconds = min(MAX_SECONDS, _left(token))
        name = secrets.token_urlsafe(32)
        self._sessions[name] = _Session(time.monotonic() + seconds, token, user)
        return name, int(seconds)

    def token(self, name: str) -> str:
        """The session's token; empty where there is no such session (any more)."""
        session = self._sessions.get(name)
        return session.token if session and session.until > time.monotonic() else ""

    def end(self, name: str) -> None:
        """Forget a session."""
        self._sessions.pop(name, None)

    def _drop_ended(self) -> None:
        now = time.monotonic()
        for name in [name for name, session in self._sessions.items() if session.until <= now]:
            del self._sessions[name]

    def _drop_oldest(self, user: str) -> None:
        del self._sessions[next(name for name, session in self._sessions.items() if session.user == user)]


def _left(token: str) -> float:
    """Seconds until the token says that it ends; a token of another kind than JWT doesn't say."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return max(0.0, float(claims["exp"]) - time.time())
    except (IndexError, KeyError, TypeError, ValueError):
        return MAX_SECONDS
