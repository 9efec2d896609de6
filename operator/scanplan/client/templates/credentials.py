"""Logins of registries, as ``docker login`` and ``buildah login`` keep them.

https://docs.docker.com/reference/cli/docker/login/#credential-stores · `man containers-auth.json`
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from scanplan.client.cluster.failure import Failure

_HELPER_SECONDS = 60.0
_TOKEN_USER = "<token>"  # noqa: S105 - what a helper says in place of a user's name


class Login(msgspec.Struct, frozen=True):
    """Who pushes."""

    user: str = ""
    password: str = ""
    identity_token: str = ""
    """Exchanged for an access token; in place of user and password."""

    def __repr__(self) -> str:
        return "Login(…)"

    @property
    def basic(self) -> str:
        """The header's value of RFC 7617."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


def found(host: str) -> Login | None:
    """The login of a registry in the first file that has one; None: nobody has logged in.

    Raises:
        Failure: a file can't be read, or the helper that it names fails.
    """
    for file in _files():
        try:
            content: Any = json.loads(file.read_text())
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            raise Failure(f"{file} can't be read: it is no JSON", code=os.EX_CONFIG) from None
        if isinstance(content, dict) and (login := _of(content, host)):
            return login
    return None


def _files() -> Iterator[Path]:
    """Of podman and buildah, then of Docker."""
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    yield Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def _of(content: dict[str, Any], host: str) -> Login | None:
    helpers = content.get("credHelpers")
    helper = (helpers.get(host) if isinstance(helpers, dict) else None) or content.get("credsStore")
    if helper and (login := _asked(str(helper), host)):
        return login
    logins = content.get("auths")
    known = logins.items() if isinstance(logins, dict) else ()
    entry = next((each for name, each in known if _host(str(name)) == host), None)
    if not isinstance(entry, dict):
        return None
    try:
        user, _, password = base64.b64decode(entry.get("auth") or "").decode().partition(":")
    except ValueError:
        user, password = "", ""
    login = Login(
        user=str(entry.get("username") or user),
        password=str(entry.get("password") or password),
        identity_token=str(entry.get("identitytoken") or ""),
    )
    return login if login.password or login.identity_token else None


def _host(name: str) -> str:
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _asked(helper: str, host: str) -> Login | None:
    """What a credential helper knows; its answer and its errors may be secrets, and are never shown."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=host.encode(), capture_output=True, check=False, timeout=_HELPER_SECONDS
        )
        if done.returncode:
            return None  # it knows none
        answer = json.loads(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        raise Failure(f"{program} does not tell the login of {host}", code=os.EX_CONFIG) from None
    return Login(identity_token=secret) if user == _TOKEN_USER else Login(user=user, password=secret)
