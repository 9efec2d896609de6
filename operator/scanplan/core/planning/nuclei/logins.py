"""Credentials by host, from a Secret with Nuclei's secrets file (https://docs.projectdiscovery.io/opensource/nuclei/authenticated-scans).

The operator and the scan pod read it the same way, by a model that knows every field. Nuclei ignores what it does not know, and
a scan without its login looks like a scan that found nothing. No message quotes a value.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from scanplan.api import wire
from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.nuclei import plain_yaml

MAX_BYTES = 256 << 10
_MAX_DEPTH = 16
_TEMPLATE = re.compile(r"(?!/)(?!.*\.\.)[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*\.(yaml|yml|json)")
_DYNAMIC = "{{"


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A header, a query parameter, or a variable of a login template."""

    key: str
    value: str


class Cookie(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A cookie: key and value, or `raw` as in a Set-Cookie header."""

    key: str = ""
    value: str = ""
    raw: str = ""


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="kebab", kw_only=True):
    """What requests to some hosts carry."""

    type: str
    domains: tuple[str, ...] = ()
    domains_regex: tuple[str, ...] = ()
    headers: tuple[Pair, ...] = ()
    cookies: tuple[Cookie, ...] = ()
    params: tuple[Pair, ...] = ()
    username: str = ""
    password: str = ""
    token: str = ""

    @property
    def kind(self) -> str:
        return self.type.lower()

    def sent(self) -> Iterator[tuple[str, str]]:
        """What requests carry: name and value of each header or parameter."""
        match self.kind:
            case "basicauth":
                pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
                yield "Authorization", f"Basic {pair}"
            case "bearertoken":
                yield "Authorization", f"Bearer {self.token}"
            case "header":
                yield from ((each.key, each.value) for each in self.headers)
            case "cookie":
                raw = (each.raw.removeprefix("Set-Cookie: ").partition(";")[0] for each in self.cookies if each.raw)
                yield from (("Cookie", each) for each in raw)
                yield from (("Cookie", f"{each.key}={each.value}") for each in self.cookies if not each.raw)
            case _:
                yield from ((each.key, each.value) for each in self.params)


class DynamicLogin(Login, frozen=True, kw_only=True):
    """A login by a template: what it extracts is `{{name}}` in the values of its secrets."""

    type: str = ""
    """Empty: only `secrets`."""
    secrets: tuple[Login, ...] = ()
    template: str
    """Path below a template source."""
    variables: tuple[Pair, ...]
    input: str = ""
    """What the template is run on."""

    @property
    def all(self) -> tuple[Login, ...]:
        """The secrets that it makes; each with a type."""
        return (self, *self.secrets) if self.type else self.secrets


class Logins(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole file."""

    id: str = ""
    info: dict[str, Any] = {}
    static: tuple[Login, ...] = ()
    dynamic: tuple[DynamicLogin, ...] = ()

    def secrets(self) -> list[tuple[str, str]]:
        """All that is to be kept out of results: a name, and a value, which is empty where only a login brings it."""
        found = [pair for login in self.static for pair in (*login.sent(), ("Authorization", login.password))]
        for each in self.dynamic:
            found += [(variable.key, variable.value) for variable in each.variables]
            for login in each.all:
                pairs = (*login.sent(), ("Authorization", login.password))
                found += [(name, "" if _DYNAMIC in value else value) for name, value in pairs]
        return found

    def headers_for(self, endpoint: str) -> dict[str, str] | None:
        """What requests to an endpoint carry in their headers; None where a login brings some of it."""
        host = {_host(endpoint)}
        if any(_is_for(login, host) for each in self.dynamic for login in each.all):
            return None
        found: dict[str, str] = {}
        for login in self.static:
            if login.kind != "query" and _is_for(login, host):
                for name, value in login.sent():
                    cookies = name == "Cookie" and name in found
                    found[name] = f"{found[name]}; {value}" if cookies else value
        return found


def unused(logins: Logins, endpoints: Iterable[str]) -> list[str]:
    """Where in the file the entries are that are for none of some endpoints, as Nuclei compares them.

    What an endpoint redirects to may need such an entry, so it is no error.
    """
    hosts = {_host(endpoint) for endpoint in endpoints}
    named: list[tuple[str, tuple[Login, ...]]] = [
        (f"static[{number}]", (login,)) for number, login in enumerate(logins.static)
    ]
    named += [(f"dynamic[{number}]", each.all) for number, each in enumerate(logins.dynamic)]
    return [where for where, each in named if not any(_is_for(login, hosts) for login in each)]


def _is_for(login: Login, hosts: Iterable[str]) -> bool:
    domains = {_short(domain.strip().lower()) for domain in login.domains}
    try:
        patterns = [re.compile(pattern) for pattern in login.domains_regex]
    except re.error:  # Go's expressions are others
        return True
    return any(host in domains or any(pattern.search(host) for pattern in patterns) for host in hosts)


def _host(endpoint: str) -> str:
    """The host of an endpoint with its port, unless that is 80 or 443."""
    return _short(endpoint.partition("://")[2].partition("/")[0] or endpoint)


def _short(host: str) -> str:
    return host.removesuffix(":80").removesuffix(":443")


def parse(files: Mapping[str, bytes]) -> Logins:
    """The logins of a Secret, which has one key with the file.

    Raises:
        InvalidPlan: one that Nuclei would not use as it is written.
    """
    if len(files) != 1:
        raise _refused(f"has {len(files)} keys: one is wanted, with Nuclei's secrets file in YAML")
    (content,) = files.values()
    try:
        logins = wire.convert(plain_yaml.read(content, MAX_BYTES, _MAX_DEPTH), Logins)
    except msgspec.ValidationError as error:
        raise _refused(f"is no secrets file of Nuclei: {error}") from None
    except ValueError as error:
        raise _refused(str(error)) from None
    if not (logins.static or logins.dynamic):
        raise _refused("has neither static nor dynamic credentials")
    for number, login in enumerate(logins.static):
        _check(login, f"static[{number}]")
    for number, each in enumerate(logins.dynamic):
        where = f"dynamic[{number}]"
        if not _TEMPLATE.fullmatch(each.template):
            raise _refused(f"names no template at {where}.template: give the path of a file below a template source")
        if not each.variables:
            raise _refused(f"has no variables at {where}, and Nuclei wants some")
        if not each.all:
            raise _refused(f"has neither type nor secrets at {where}")
        if any(variable.value.startswith("$") for variable in each.variables):
            raise _refused(f"has a value at {where}.variables that begins with $, which Nuclei would replace")
        for login in each.all:
            _check(login, where)
            if login.kind == "query":
                raise _refused(f"puts a session into URLs at {where}, where results would show it: use a header")
    return logins


def _check(login: Login, where: str) -> None:
    """Refuse what lacks something of its type (pkg/authprovider/authx/file.go of Nuclei)."""
    wanted = {
        "basicauth": ("username and password", login.username and login.password),
        "bearertoken": ("a token", login.token),
        "header": ("headers, each with key and value", _whole(login.headers)),
        "cookie": (
            "cookies, each with key and value, or raw",
            login.cookies and all(each.raw or (each.key and each.value) for each in login.cookies),
        ),
        "query": ("params, each with key and value", _whole(login.params)),
    }
    if login.kind not in wanted:
        raise _refused(f"has another type at {where} than BasicAuth, BearerToken, Header, Cookie and Query")
    what, there = wanted[login.kind]
    if not there:
        raise _refused(f"lacks something at {where}: {what}")
    if not (login.domains or login.domains_regex):
        raise _refused(f"names no host at {where}: give domains or domains-regex")


def _whole(pairs: tuple[Pair, ...]) -> bool:
    return bool(pairs) and all(each.key and each.value for each in pairs)


def _refused(problem: str) -> InvalidPlan:
    return InvalidPlan(Reason.INVALID_SPEC, f"the Secret of credentialsFrom {problem}")
