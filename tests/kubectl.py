"""kubectl as the tests and the demo use it: the program that users have, with its answers as Python values.

What tests do most, to get and to apply objects, is done without the program where it goes well (`tests.rest`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests import rest

Manifest = dict[str, Any]
T = TypeVar("T")

RBAC = "rbac.authorization.k8s.io"
DAY_SECONDS = 86_400
BRIEF = {"GOGC": "off", "GOMEMLIMIT": "256MiB"}
"""For a program of Go that ends within a second: a third of its processor time is garbage collection otherwise."""


class KubectlError(Exception):
    """kubectl ended with an error; the message is what it said."""


class Kubectl:
    """kubectl bound to one cluster and, for what is namespaced, one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str | None = None) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def in_namespace(self, namespace: str) -> Kubectl:
        """The same cluster, another namespace."""
        return Kubectl(self.kubeconfig, namespace)

    def command(self, *arguments: str) -> list[str]:
        """The argv of a call, for callers that run it themselves (a watch, a port-forward)."""
        program = Path(sys.prefix) / "bin" / "kubectl"
        found = str(program) if program.exists() else shutil.which("kubectl") or "kubectl"
        namespaced = ["--namespace", self.namespace] if self.namespace else []
        return [found, "--kubeconfig", str(self.kubeconfig), *namespaced, *arguments]

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it; returns its standard output.

        Raises:
            KubectlError: it failed.
        """
        done = subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, text=True, check=False, env=BRIEF | os.environ
        )
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *manifests: Manifest) -> None:
        """Server-side apply, as GitOps tools do."""
        try:
            for manifest in manifests:
                rest.of(self.kubeconfig).apply(self.namespace, manifest)
        except rest.Unsaid:
            self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def delete(self, kind: str, name: str) -> None:
        """`kubectl delete --ignore-not-found --wait=false`."""
        try:
            rest.of(self.kubeconfig).delete(self.namespace, kind, name)
        except rest.Missing:
            return
        except rest.Unsaid:
            self("delete", kind, name, "--ignore-not-found", "--wait=false")

    def account(self, name: str) -> None:
        """Make a service account."""
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})

    def allow(self, account: str, role: str, verbs: str, *resources: str, names: Sequence[str] = ()) -> None:
        """Make a Role, and bind it to a service account.

        Args:
            account: its name, or NAMESPACE:NAME.
            verbs: separated by commas.
            resources: such as `secrets`, `scanplans.scanplan.dev` or `scanplans.scanplan.dev/artifacts`.
            names: of the objects that it is about; none: all.
        """
        rules = [_rule(each, verbs) | ({"resourceNames": list(names)} if names else {}) for each in resources]
        self.grant(account, role, rules)

    def grant(self, account: str, role: str, rules: Sequence[Manifest]) -> None:
        """Make a Role of these rules, and bind it to a service account, as `allow` does."""
        self.apply({"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": role}, "rules": list(rules)})
        self.bind(account, role)

    def bind(self, account: str, role: str, *, name: str = "") -> None:
        """Bind a Role to a service account, which is NAME or NAMESPACE:NAME; by default under the Role's name."""
        namespace, _, own = account.rpartition(":")
        subject = {"kind": "ServiceAccount", "namespace": namespace or self.namespace, "name": own}
        reference = {"apiGroup": RBAC, "kind": "Role", "name": role}
        self.apply(
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": name or role},
                "roleRef": reference,
                "subjects": [subject],
            }
        )

    def token(self, account: str, *audiences: str) -> str:
        """A token of a service account, for a day; by default for the API server."""
        try:
            return rest.of(self.kubeconfig).token(self.namespace or "default", account, audiences, DAY_SECONDS)
        except rest.Unsaid:
            options = [f"--audience={audience}" for audience in audiences]
            return self("create", "token", account, f"--duration={DAY_SECONDS}s", *options).strip()

    def wait_until_served(self, definition: str) -> None:
        """Wait for a CustomResourceDefinition, such as `scanplans.scanplan.dev`, to be served.

        Not by `kubectl wait`, which fails on a definition that is so new that it has no conditions yet.
        """

        def served() -> bool:
            conditions = self.get("crd", definition).get("status", {}).get("conditions") or ()  # null at first
            return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)

        eventually(served)

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`, decoded."""
        try:
            return rest.of(self.kubeconfig).get(self.namespace, *arguments)
        except rest.Unsaid:
            return json.loads(self("get", *arguments, "-o", "json"))

    def raw(self, path: str) -> bytes:
        """`kubectl get --raw`."""
        try:
            return rest.of(self.kubeconfig).raw(path)
        except rest.Unsaid:
            return self("get", "--raw", path).encode()

    def find(self, *arguments: str) -> Any:
        """Like `get`; None where there is no such object."""
        try:
            return rest.of(self.kubeconfig).get(self.namespace, *arguments)
        except rest.Missing:
            return None
        except rest.Unsaid:
            text = self("get", "--ignore-not-found", *arguments, "-o", "json")
            return json.loads(text) if text.strip() else None


def _rule(resource: str, verbs: str) -> Manifest:
    whole, _, subresource = resource.partition("/")
    plural, _, group = whole.partition(".")
    name = f"{plural}/{subresource}" if subresource else plural
    return {"apiGroups": [group], "resources": [name], "verbs": verbs.split(",")}


def eventually(look: Callable[[], T], *, within: float = 120.0, interval: float = 0.2) -> T:
    """The first truthy answer of `look`; an assertion error with its last answer when `within` seconds have passed.

    A bound on waiting, not a measurement: no test passes or fails by how fast a machine is.

    Args:
        interval: seconds between two looks, at first. Later it is a quarter of the time waited so far, at most a second.
    """
    began = time.monotonic()
    while True:
        answer = look()
        if answer:
            return answer
        waited = time.monotonic() - began
        assert waited < within, f"not within {within:.0f} s; last seen: {answer!r}"
        time.sleep(max(interval, min(waited / 4, 1.0)))
