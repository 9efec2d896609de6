"""Pushes an image to a registry by the OCI distribution protocol, with the standard library.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md · tokens: https://distribution.github.io/distribution/spec/auth/

Credentials go to the registry and to the token service that it names, over TLS, and nowhere else. No redirect is followed. An
upload that another host takes gets no credentials.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import msgspec

import scanplan
from scanplan.client.cluster.failure import UNAVAILABLE, Failure
from scanplan.client.templates.credentials import Login, found
from scanplan.client.templates.image import INDEX, MANIFEST, Image

_REFERENCE = re.compile(
    r"(?P<host>\[[0-9a-fA-F:.]+\](?::\d+)?|[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?)"
    r"/(?P<name>[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r":(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})"
)
_CHALLENGE = re.compile(r'([a-z_]+)="([^"]*)"')
SECONDS = 300.0
"""Without any byte of an answer: some registries take the last byte of a layer and copy it before they answer."""
MAX_ANSWER = 1 << 20


class Reference(msgspec.Struct, frozen=True):
    """``HOST[:PORT]/NAME:TAG``."""

    host: str
    """With its port, if any."""
    name: str
    tag: str

    @classmethod
    def of(cls, text: str) -> Reference:
        """Read one.

        Raises:
            Failure: it is no reference with a registry and a tag.
        """
        match = _REFERENCE.fullmatch(text)
        if not match:
            raise Failure(
                f"{text!r} is no image of a registry", "REGISTRY/NAME:TAG, in lower case, without https://", os.EX_USAGE
            )
        return cls(**match.groupdict())

    def by_digest(self, digest: str) -> str:
        """The image that has this digest, whatever becomes of the tag."""
        return f"{self.host}/{self.name}@{digest}"

    @property
    def is_local(self) -> bool:
        """Whether the registry is on this machine."""
        host = urlsplit(f"//{self.host}").hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


class Registry:
    """A repository of a registry."""

    def __init__(self, reference: Reference, *, authority: Path | None = None, plain_http: bool = False) -> None:
        """Connects to nothing yet.

        Args:
            authority: a file of certificates that are trusted instead of the system's.
            plain_http: speak HTTP without TLS, to this machine only.

        Raises:
            Failure: plain HTTP to another machine, or certificates that can't be read.
        """
        if plain_http and not reference.is_local:
            raise Failure(f"plain HTTP to {reference.host}: only to a registry on this machine", code=os.EX_USAGE)
        try:
            context = ssl.create_default_context(cafile=str(authority) if authority else None)
        except (OSError, ssl.SSLError) as error:
            raise Failure(f"{authority} holds no certificates: {error}", code=os.EX_NOINPUT) from None
        self._reference = reference
        self._base = f"{'http' if plain_http else 'https'}://{reference.host}"
        self._repository = f"{self._base}/v2/{reference.name}"
        handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context), _NoRedirects()]
        if reference.is_local:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._authorization = ""
        self._login: Login | None = None

    def push(self, image: Image) -> str:
        """Upload what the registry does not have, and point the tag at it.

        Returns:
            The image by its digest.

        Raises:
            Failure: the registry can't be reached, or refuses.
        """
        for media_type, digest in image.blobs:
            path = image.blob(digest)
            if media_type in {INDEX, MANIFEST}:
                last = media_type == INDEX
                self._put_manifest(media_type, digest, path, self._reference.tag if last else digest)
            elif not self._has(digest):
                self._upload(digest, path)
        return self._reference.by_digest(image.digest)

    def _has(self, digest: str) -> bool:
        try:
            self._ask("HEAD", f"{self._repository}/blobs/{digest}")
        except _Refused as refused:
            if refused.status == 404:
                return False
            if not 300 <= refused.status < 400:  # a redirect leads to the storage that has it
                raise self._failure(refused) from None
        return True

    def _upload(self, digest: str, path: Path) -> None:
        try:
            begun = self._ask("POST", f"{self._repository}/blobs/uploads/", headers={"Content-Length": "0"})
            location = urlsplit(urljoin(f"{self._repository}/blobs/uploads/", begun.get("Location", "")))
            query = urlencode([*parse_qsl(location.query, keep_blank_values=True), ("digest", digest)])
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
            self._ask("PUT", urlunsplit(location._replace(query=query)), headers, path)
        except _Refused as refused:
            raise self._failure(refused) from None

    def _put_manifest(self, media_type: str, digest: str, path: Path, name: str) -> None:
        headers = {"Content-Type": media_type, "Content-Length": str(path.stat().st_size)}
        try:
            answer = self._ask("PUT", f"{self._repository}/manifests/{name}", headers, path)
        except _Refused as refused:
            raise self._failure(refused) from None
        stored = answer.get("Docker-Content-Digest", digest)
        if stored != digest:
            raise Failure(f"{self._reference.host} has stored {stored} instead of {digest}", code=os.EX_PROTOCOL)

    # requests

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: Path | None = None
    ) -> Message:
        """One request; once more with credentials where the registry asks for them."""
        try:
            return self._send(method, url, headers or {}, body)
        except _Refused as refused:
            if refused.status != 401 or not self._authenticate(refused.challenge):
                raise
        return self._send(method, url, headers or {}, body)

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Path | None) -> Message:
        sent = {"User-Agent": f"scanplan/{scanplan.__version__}", **headers}
        if self._authorization and url.startswith(f"{self._base}/"):
            sent["Authorization"] = self._authorization
        return self._open(method, url, sent, body)[0]

    def _open(
        self, method: str, url: str, headers: Mapping[str, str], body: Path | bytes | None
    ) -> tuple[Message, bytes]:
        if not url.startswith(("https://", f"{self._base}/")):
            raise Failure(f"{self._reference.host} leads to {urlsplit(url).netloc} without TLS", code=os.EX_PROTOCOL)
        data = body.open("rb") if isinstance(body, Path) else body
        request = urllib.request.Request(url, data=data, headers=dict(headers), method=method)  # noqa: S310 - http(s) only
        try:
            return self._answer(request)
        except (OSError, ValueError, http.client.HTTPException) as error:
            why = getattr(error, "reason", error)
            raise Failure(
                f"{self._reference.host} can't be reached: {why}", _HINTS.get(type(why), ""), UNAVAILABLE
            ) from None
        finally:
            if data is not None and not isinstance(data, bytes):
                data.close()

    def _answer(self, request: urllib.request.Request) -> tuple[Message, bytes]:
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                return answer.headers, answer.read(MAX_ANSWER)
        except urllib.error.HTTPError as error:
            with error:
                raise _Refused(error.code, error.headers.get("WWW-Authenticate", ""), error.read(MAX_ANSWER)) from None

    def _authenticate(self, challenge: str) -> bool:
        """Whether there is something new to try."""
        scheme, _, rest = challenge.partition(" ")
        login = self._login = self._login or found(self._reference.host)
        before = self._authorization
        if scheme.lower() == "bearer":
            self._authorization = f"Bearer {self._token(dict(_CHALLENGE.findall(rest)), login)}"
        elif scheme.lower() == "basic" and login and login.password:
            self._authorization = login.basic
        return self._authorization != before

    def _token(self, challenge: Mapping[str, str], login: Login | None) -> str:
        scope = f"repository:{self._reference.name}:pull,push"
        asked = {"service": challenge.get("service", ""), "scope": scope}
        realm = challenge.get("realm", "")
        try:
            if login and login.identity_token:
                form = {
                    "grant_type": "refresh_token",
                    "refresh_token": login.identity_token,
                    "client_id": "scanplan",
                    **asked,
                }
                kind = {"Content-Type": "application/x-www-form-urlencoded"}
                _, body = self._open("POST", realm, kind, urlencode(form).encode())
            else:
                headers = {"Authorization": login.basic} if login else {}
                mark = "&" if urlsplit(realm).query else "?"
                _, body = self._open("GET", f"{realm}{mark}{urlencode(asked)}", headers, None)
            answer = json.loads(body)
            return str(answer.get("token") or answer["access_token"])
        except _Refused as refused:
            raise self._failure(refused) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Failure(
                f"the token service of {self._reference.host} answers no token", code=os.EX_PROTOCOL
            ) from None

    def _failure(self, refused: _Refused) -> Failure:
        host, name = self._reference.host, self._reference.name
        if refused.status in {401, 403}:
            return Failure(
                f"{host} does not let you push to {name}: {refused.words}",
                f"docker login {host}, or buildah login {host}",
                os.EX_NOPERM,
            )
        return Failure(f"{host} refuses {name} ({refused.status}): {refused.words}")


class _Refused(Exception):
    """The registry answered with an error."""

    def __init__(self, status: int, challenge: str, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.challenge = challenge
        self._body = body

    @property
    def words(self) -> str:
        """What it says, as the specification has errors; else the beginning of its answer."""
        try:
            errors: list[dict[str, Any]] = json.loads(self._body)["errors"]
            return "; ".join(f"{each['code']}: {each.get('message', '')}" for each in errors)
        except (ValueError, KeyError, TypeError):
            return self._body[:200].decode(errors="replace").strip() or f"HTTP {self.status}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_HINTS: dict[type, str] = {
    ssl.SSLCertVerificationError: "--ca FILE with the certificate of the registry's authority",
    ssl.SSLError: "--plain-http for a registry of this machine that has no TLS",
}
