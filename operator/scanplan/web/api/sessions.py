"""Sessions of browsers: a cookie stands for a token that stays in this process's memory, for no longer than it is good.

A session is no right of its own: its token is reviewed again with the requests that carry the cookie, as a bearer token is.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections import OrderedDict

COOKIE = "scanplan-session"
MAX_SECONDS = 8 * 3600.0
MAX_SESSIONS = 1_024
FAILURES = 10
"""Logins of one address that may fail within `FAILURE_SECONDS`."""
FAILURE_SECONDS = 60.0
_MAX_ADDRESSES = 4_096


class Sessions:
    """Tokens by session; when there are too many sessions, the oldest go."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def open(self, token: str) -> tuple[str, int]:
        """A new session of a token that was found good: its name, and for how many seconds it lasts."""
        seconds = min(MAX_SECONDS, _left(token))
        name = secrets.token_urlsafe(32)
        self._tokens[name] = (time.monotonic() + seconds, token)
        while len(self._tokens) > MAX_SESSIONS:
            self._tokens.popitem(last=False)
        return name, int(seconds)

    def token(self, name: str) -> str:
        """The session's token; empty where there is no such session (any more)."""
        until, token = self._tokens.get(name, (0.0, ""))
        if until > time.monotonic():
            return token
        self._tokens.pop(name, None)
        return ""

    def end(self, name: str) -> None:
        """Forget a session."""
        self._tokens.pop(name, None)

    def may_try(self, address: str) -> bool:
        """Whether so few logins of the address have failed that it may try again."""
        since = time.monotonic() - FAILURE_SECONDS
        return sum(each > since for each in self._failures.get(address, ())) < FAILURES

    def failed(self, address: str) -> None:
        """A login of the address has failed."""
        self._failures[address] = [*self._failures.pop(address, ()), time.monotonic()][-FAILURES:]
        while len(self._failures) > _MAX_ADDRESSES:
            self._failures.popitem(last=False)


def _left(token: str) -> float:
    """Seconds until the token says that it ends; a token of another kind than JWT doesn't say."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return max(0.0, float(claims["exp"]) - time.time())
    except (IndexError, KeyError, TypeError, ValueError):
        return MAX_SECONDS
