"""The page for people: static files under a strict policy, a login that a browser can do, and the stream that keeps it live.

A login needs a token, as programs do. Requests that change something (login, logout) must come from the page itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import re
from urllib.parse import parse_qs

from aiohttp import web

from scanplan.api import names
from scanplan.web.api.access import MAX_TOKEN_CHARACTERS, Access, Wanted, visible
from scanplan.web.api.sessions import COOKIE, Sessions
from scanplan.web.api.throttle import Throttle
from scanplan.web.ui.events import Namespaces
from scanplan.web.ui.feeds import ALL, Feed, Feeds
from scanplan.web.ui.streams import stream

BODY_SECONDS = 10.0
"""Seconds within which a whole form must arrive."""
_MAX_FIELDS = 8
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/running.js": ("running.js", "text/javascript"),
    "/elements.js": ("elements.js", "text/javascript"),
    "/findings": ("findings.html", "text/html"),
    "/findings.js": ("findings.js", "text/javascript"),
    "/finding.js": ("finding.js", "text/javascript"),
    "/trend.js": ("trend.js", "text/javascript"),
}
_NAMESPACE = re.compile(names.NAMESPACE)


class Browser:
    """The handlers of the page."""

    def __init__(
        self,
        access: Access,
        sessions: Sessions,
        throttle: Throttle,
        audience: str,
        namespace: str,
        feeds: Feeds | None,
    ) -> None:
        """`namespace`: the one that is shown first; `feeds`: None where the queue has no plans."""
        self._access = access
        self._sessions = sessions
        self._throttle = throttle
        self._audience = audience
        self._namespace = namespace
        self._feeds = feeds
        folder = importlib.resources.files("scanplan.web").joinpath("page")
        self._contents = {path: folder.joinpath(name).read_text("utf-8") for path, (name, _) in _FILES.items()}

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [
            *(web.get(path, self.file) for path in _FILES),
            web.get("/session", self.session),
            web.post("/login", self.login),
            web.post("/logout", self.logout),
            web.get("/api/v1/events", self.events, allow_head=False),
        ]

    async def file(self, request: web.Request) -> web.Response:
        """A static file."""
        return web.Response(
            text=self._contents[request.path], content_type=_FILES[request.path][1], charset="utf-8", headers=HEADERS
        )

    async def session(self, request: web.Request) -> web.Response:
        """What the page reads first: whether a user is logged in."""
        try:
            caller = await self._access.identify(request)
            known, user = True, str(caller.user.get("username", ""))
        except web.HTTPUnauthorized:
            known, user = False, ""
        body = {
            "known": known,
            "user": user,
            "open": self._access.is_open,
            "audience": self._audience,
            "namespace": self._namespace,
        }
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    async def login(self, request: web.Request) -> web.Response:
        """Open a session for a token: the form's field `token`."""
        _from_the_page(request)
        address = request.remote or ""
        token = await _token_in(request)
        guesses = self._throttle.guesses(address)
        try:
            caller = await self._access.admit(token, address)
        except web.HTTPUnauthorized:
            if guesses:
                raise web.HTTPTooManyRequests(
                    text="many logins from your address have failed, and this one too"
                ) from None
            raise
        name, seconds = self._sessions.open(token, caller.name)
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        secure = request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
        response.set_cookie(COOKIE, name, max_age=seconds, path="/", httponly=True, samesite="Strict", secure=secure)
        return response

    async def logout(self, request: web.Request) -> web.Response:
        """End the session."""
        _from_the_page(request)
        self._sessions.end(request.cookies.get(COOKIE, ""))
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
        return response

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Plans of a namespace, or of all, as server-sent events: `snapshot`, then `change`, until a right ends."""
        scope = request.query.get("namespace", self._namespace)
        if scope != ALL and not _NAMESPACE.fullmatch(scope):
            raise web.HTTPBadRequest(text=f"namespace {scope!r} is not the name of a namespace, nor {ALL} for all")
        caller = await self._access.identify(request)
        if scope != ALL:
            await self._access.check(caller, Wanted(scope))
        if self._feeds is None:
            raise web.HTTPNotFound(text="only the kubernetes queue has plans to watch")
        with self._feeds.watched(scope, caller.name) as watched:
            if watched is None:
                raise web.HTTPServiceUnavailable(text="you, or all together, watch too much already: try again later")
            feed, viewer = watched

            async def check() -> None:
                feed.show(viewer, await self._visible(request, scope, feed))

            return await stream(request, viewer.events, check)

    async def _visible(self, request: web.Request, scope: str, feed: Feed) -> Namespaces:
        """The namespaces whose plans may be seen now."""
        caller = await self._access.identify(request)
        if scope != ALL:
            await self._access.check(caller, Wanted(scope))
            return None
        with contextlib.suppress(web.HTTPForbidden):
            await self._access.check(caller, Wanted(""))
            return None
        return await visible(self._access, caller, await feed.namespaces())


async def _token_in(request: web.Request) -> str:
    """The field `token` of the form in a request's body.

    Raises:
        web.HTTPException: it is no form, too large, too slow, or has no token in it.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(text="a form is needed: application/x-www-form-urlencoded")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            form = parse_qs((await request.read()).decode("ascii"), max_num_fields=_MAX_FIELDS)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the form did not come in time") from None
    except ValueError:
        raise web.HTTPBadRequest(text="the form can't be read") from None
    token = form.get("token", [""])[0].strip()
    if not token or len(token) > MAX_TOKEN_CHARACTERS:
        raise web.HTTPBadRequest(text="a token is needed")
    return token


def _from_the_page(request: web.Request) -> None:
    """Refuse what doesn't come from the page; a browser always says where a request that changes something comes from."""
    if "Origin" not in request.headers:  # one that is there is ours: `origin.Hosts`
        raise web.HTTPForbidden(text="only the page itself may ask for this")
