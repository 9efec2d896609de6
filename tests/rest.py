"""What kubectl asks an API server for, asked by this process: a kubectl costs a twentieth of a second of processor time.

Only what goes well is done here. Whatever does not is `Unsaid`, and its caller leaves it to kubectl: errors are in the words that
users see.
"""

from __future__ import annotations

import base64
import functools
import json
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml

Object = dict[str, Any]

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SELECTORS = {"-l", "--selector"}
_EVERYWHERE = {"-A", "--all-namespaces"}


class Unsaid(Exception):
    """Nothing that this module does, or something that went wrong."""


class Missing(Unsaid):
    """The API server has no such object."""


@dataclass(frozen=True)
class Resource:
    """A resource of the API server in one of its versions."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    names: frozenset[str]
    """By which kubectl knows it."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None) -> str:
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        return (
            f"{root}/namespaces/{namespace}/{self.plural}" if self.namespaced and namespace else f"{root}/{self.plural}"
        )


class Rest:
    """The API server of a kubeconfig's current context."""

    def __init__(self, kubeconfig: Path) -> None:
        configuration = yaml.safe_load(kubeconfig.read_text())
        contexts, clusters, users = (
            {each["name"]: each[kind] for each in configuration[f"{kind}s"]} for kind in ("context", "cluster", "user")
        )
        context = contexts[configuration["current-context"]]
        cluster, user = clusters[context["cluster"]], users[context["user"]]
        self._namespace = str(context.get("namespace", "default"))
        self._server = str(cluster["server"])
        self._headers = {"User-Agent": "tests"}
        trust = ssl.create_default_context(cadata=_decoded(cluster, "certificate-authority-data").decode())
        if "token" in user:
            self._headers["Authorization"] = f"Bearer {user['token']}"
        else:
            with tempfile.NamedTemporaryFile() as pair:
                pair.write(_decoded(user, "client-certificate-data") + _decoded(user, "client-key-data"))
                pair.flush()
                trust.load_cert_chain(pair.name)
        self._http = urllib3.PoolManager(ssl_context=trust, timeout=120, retries=False, maxsize=4)
        self._resources: list[Resource] = []

    def raw(self, path: str) -> bytes:
        """What the API server answers for a path."""
        return self._call("GET", path)

    def get(self, namespace: str | None, *arguments: str) -> Any:
        """What `kubectl get … -o json` prints: an object, or a list of those of one or several kinds."""
        words, query = list[str](), dict[str, str]()
        remaining = iter(arguments)
        for each in remaining:
            if each in _SELECTORS:
                query["labelSelector"] = next(remaining)
            elif each in _EVERYWHERE:
                namespace = ""
            elif each.startswith("-"):
                raise Unsaid(each)
            else:
                words.append(each)
        kinds = [self._named(kind) for kind in words[0].split(",")]
        paths = [kind.path(self._namespace if namespace is None else namespace) for kind in kinds]
        if len(words) == 1:
            return {"apiVersion": "v1", "kind": "List", "items": self._items(kinds, paths, query)}
        if len(words) > 2 or len(kinds) > 1 or query:
            raise Unsaid(words)
        return json.loads(self._call("GET", f"{paths[0]}/{words[1]}"))

    def apply(self, namespace: str | None, manifest: Object) -> None:
        """Server-side apply, as kubectl's own manager of fields, which takes over the fields of others."""
        api_version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
        resource = self._found(lambda each: (each.api_version, each.kind) == (api_version, kind))
        if namespace is not None and metadata.get("namespace", namespace) != namespace:
            raise Unsaid(metadata)
        path = f"{resource.path(metadata.get('namespace', namespace or self._namespace))}/{metadata['name']}"
        query = urlencode({"fieldManager": "kubectl", "force": "true", "fieldValidation": "Strict"})
        self._call("PATCH", f"{path}?{query}", manifest, "application/apply-patch+yaml")

    def delete(self, namespace: str | None, kind: str, name: str) -> None:
        """Delete an object in the background, without waiting for its end."""
        resource = self._named(kind)
        path = f"{resource.path(self._namespace if namespace is None else namespace)}/{name}"
        self._call("DELETE", f"{path}?propagationPolicy=Background")

    def token(self, namespace: str, account: str, audiences: Sequence[str], seconds: int) -> str:
        """A token of a service account."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        wanted = {"audiences": list(audiences), "expirationSeconds": seconds}
        answer = self._call(
            "POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": wanted}
        )
        return str(json.loads(answer)["status"]["token"])

    def _items(self, kinds: list[Resource], paths: list[str], query: dict[str, str]) -> list[Object]:
        found: list[Object] = []
        for kind, path in zip(kinds, paths, strict=True):
            items = json.loads(self._call("GET", f"{path}?{urlencode(query)}"))["items"]
            found += [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in items]
        return found

    def _named(self, name: str) -> Resource:
        plain, _, group = name.lower().partition(".")
        return self._found(lambda each: plain in each.names and group in {"", each.group})

    def _found(self, wanted: Callable[[Resource], bool]) -> Resource:
        """The first resource that is wanted; those of definitions that are new are looked up."""
        for attempt in range(2):
            if found := next(filter(wanted, self._resources), None):
                return found
            if not attempt:
                self._resources = [each for root in ("/api", "/apis") for each in self._discovered(root)]
        raise Unsaid("no such resource")

    def _discovered(self, root: str) -> list[Resource]:
        return [
            Resource(
                group=group["metadata"].get("name", ""),
                version=version["version"],
                plural=each["resource"],
                kind=each["responseKind"]["kind"],
                namespaced=each["scope"] == "Namespaced",
                names=frozenset({each["resource"], each["singularResource"], *each.get("shortNames", ())}),
            )
            for group in json.loads(self._call("GET", root, accept=_DISCOVERY))["items"]
            for version in group["versions"]
            for each in version.get("resources", ())
            if each["responseKind"].get("kind") and "get" in each["verbs"]
        ]

    def _call(
        self, verb: str, path: str, body: Object | None = None, kind: str = "application/json", accept: str = "*/*"
    ) -> bytes:
        try:
            response = self._http.request(
                verb,
                self._server + path,
                body=None if body is None else json.dumps(body).encode(),
                headers={**self._headers, "Content-Type": kind, "Accept": accept},
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unsaid(str(error)) from error
        if response.status == 404 and b'"reason":"NotFound"' in response.data:  # not so where its kind isn't served
            raise Missing(path)
        if response.status >= 300:
            raise Unsaid(str(response.status))
        return bytes(response.data)


def _decoded(entry: Object, name: str) -> bytes:
    try:
        return base64.b64decode(entry[name])
    except KeyError:
        raise Unsaid(name) from None


def of(kubeconfig: Path) -> Rest:
    """The one of a kubeconfig as it is now."""
    return _of(kubeconfig, kubeconfig.stat().st_mtime_ns)


@functools.lru_cache(maxsize=32)
def _of(kubeconfig: Path, written: int) -> Rest:
    del written
    return Rest(kubeconfig)
