"""Decides who may read, by Kubernetes' own reviews: a TokenReview for our audience, then a SubjectAccessReview.

States need the right `get scanplans`. Artifacts may hold secrets in raw responses, so they need `get scanplans/artifacts`, a
subresource that no aggregated role has. Decisions are cached for ten seconds, so a withdrawn right ends within that time.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from aiohttp import web

from scanplan.api import labels
from scanplan.api.names import is_object_name
from scanplan.client.cluster.kubernetes_api import KubernetesApi
from scanplan.client.errors import UnknownTask
from scanplan.kube.objects import Object
from scanplan.kube.resources import ACCESS_REVIEWS, TOKEN_REVIEWS
from scanplan.web.api.blocking import Calls
from scanplan.web.api.sessions import COOKIE, Sessions
from scanplan.web.api.throttle import Throttle

KEEP_SECONDS = 10.0
MAX_KEPT = 4_096
MAX_TOKEN_CHARACTERS = 16_384

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request reads: states or artifacts, of one plan or of a namespace.

    Decisions are kept by it. So what a caller may make up in it is bounded.

    Raises:
        UnknownTask: no ScanPlan can have this name.
    """

    namespace: str
    """The namespace; empty means all namespaces, which needs the right to all."""
    name: str = ""
    """The name of the ScanPlan; empty means all of the namespace."""
    artifacts: bool = False

    def __post_init__(self) -> None:
        if self.name and not is_object_name(self.name):
            raise UnknownTask(self.name)

    @property
    def verb(self) -> str:
        """Artifacts can only be got; where no plan is named, of all plans of the namespace."""
        return "get" if self.name or self.artifacts else "list"


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller: a Kubernetes user, and the digest of its token."""

    token_digest: str = ""
    user: Mapping[str, Any] = field(default_factory=dict, compare=False)
    address: str = ""
    """The address of the request, for callers without a user name."""

    @property
    def name(self) -> str:
        """The user name or, without authentication, the address."""
        return str(self.user.get("username", "")) or self.address


class Access(ABC):
    """Decides who may read. Both calls raise QueueUnavailable where Kubernetes does not answer; then nobody may read."""

    is_open = False
    """Whether everybody may read, without a token."""

    @abstractmethod
    async def identify(self, request: web.Request) -> Caller:
        """Who asks.

        Raises:
            web.HTTPUnauthorized: there is no token, or it is not valid for our audience.
        """

    @abstractmethod
    async def admit(self, token: str, address: str) -> Caller:
        """Whose token it is that comes from this address. Raises as `identify`."""

    @abstractmethod
    async def check(self, caller: Caller, wanted: Wanted) -> None:
        """Return where the caller may read it.

        Raises:
            web.HTTPForbidden: it may not.
        """


class Everybody(Access):
    """Lets everybody read who reaches the port. Use it only where nobody else reaches it."""

    is_open = True

    async def identify(self, request: web.Request) -> Caller:
        return Caller(address=request.remote or "")

    async def admit(self, token: str, address: str) -> Caller:  # noqa: ARG002 - it asks for none
        return Caller(address=address)

    async def check(self, caller: Caller, wanted: Wanted) -> None:  # noqa: ARG002
        return


async def visible(access: Access, caller: Caller, names: Collection[str]) -> frozenset[str]:
    """Those of these namespaces whose plans the caller may list; raises QueueUnavailable as `Access` does."""

    async def may(namespace: str) -> bool:
        try:
            await access.check(caller, Wanted(namespace))
        except web.HTTPForbidden:
            return False
        return True

    if await may(""):
        return frozenset(names)
    return frozenset(itertools.compress(names, await asyncio.gather(*map(may, names))))


class KubernetesAccess(Access):
    """Asks Kubernetes. Its service account needs `create` on tokenreviews and subjectaccessreviews (system:auth-delegator)."""

    def __init__(self, api: KubernetesApi, audience: str, calls: Calls, sessions: Sessions, throttle: Throttle) -> None:
        self._api = api
        self._throttle = throttle
        self._sessions = sessions
        self._audience = audience
        self._calls = calls
        self._users: _Kept[str, Object | None] = _Kept()
        self._rights: _Kept[tuple[str, Wanted], bool] = _Kept()

    async def identify(self, request: web.Request) -> Caller:
        if "Authorization" in request.headers:
            scheme, _, token = request.headers["Authorization"].partition(" ")
            token = token.strip() if scheme.lower() == "bearer" else ""
        else:
            token = self._sessions.token(request.cookies.get(COOKIE, ""))
        return await self.admit(token, request.remote or "")

    async def admit(self, token: str, address: str) -> Caller:
        if not token or len(token) > MAX_TOKEN_CHARACTERS:
            raise _unauthorized(f"a bearer token for audience {self._audience!r} is needed")
        # Here only the token's digest outlives the request; the token itself does only in its owner's session.
        mark = hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
        known, user = self._users.get(mark)
        if not known:
            async with self._throttle.turn(address):
                user = await self._calls.run(self._review, token)
            self._users.put(mark, user)
        if user is None:
            self._throttle.failed(address)
            raise _unauthorized(f"the token is not good for audience {self._audience!r}")
        return Caller(mark, user)

    async def check(self, caller: Caller, wanted: Wanted) -> None:
        known, allowed = self._rights.get((caller.token_digest, wanted))
        if not known:
            allowed = await self._calls.run(self._may, caller.user, wanted)
            self._rights.put((caller.token_digest, wanted), allowed)
        if not allowed:
            what = f"{labels.PLURAL}/artifacts" if wanted.artifacts else labels.PLURAL
            who = caller.user.get("username")
            where = f"in namespace {wanted.namespace!r}" if wanted.namespace else "in all namespaces"
            raise web.HTTPForbidden(text=f"{who!r} may not {wanted.verb} {what}.{labels.GROUP} {where}")

    def _review(self, token: str) -> Object | None:
        """The token's user; None where it is not good for our audience."""
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        status: Object = self._api.review(TOKEN_REVIEWS, review).get("status", {})
        # An API server without audiences answers without ours. Then the token was not made for us.
        if not status.get("authenticated") or self._audience not in status.get("audiences", ()):
            return None
        user: Object = status["user"]
        return user

    def _may(self, user: Mapping[str, Any], wanted: Wanted) -> bool:
        attributes = {
            "namespace": wanted.namespace,
            "verb": wanted.verb,
            "group": labels.GROUP,
            "resource": labels.PLURAL,
            "name": wanted.name,
            "subresource": "artifacts" if wanted.artifacts else "",
        }
        review: Object = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user.get("username", ""),
                "groups": user.get("groups", []),
                "uid": user.get("uid", ""),
                "extra": user.get("extra", {}),
                "resourceAttributes": {name: value for name, value in attributes.items() if value},
            },
        }
        status = self._api.review(ACCESS_REVIEWS, review).get("status", {})
        return bool(status.get("allowed")) and not status.get("denied", False)


class _Kept(Generic[Key, Value]):
    """A cache with a time limit. Where it is full, the oldest entries are dropped."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def get(self, key: Key) -> tuple[Literal[True], Value] | tuple[Literal[False], None]:
        kept = self._answers.get(key)
        if kept is None or kept[0] < time.monotonic():
            return False, None
        return True, kept[1]

    def put(self, key: Key, value: Value) -> None:
        self._answers.pop(key, None)
        self._answers[key] = (time.monotonic() + KEEP_SECONDS, value)
        while len(self._answers) > MAX_KEPT:
            self._answers.popitem(last=False)


def _unauthorized(why: str) -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(text=why, headers={"WWW-Authenticate": "Bearer"})
