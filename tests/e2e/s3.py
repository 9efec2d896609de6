"""The S3 server of the tests (`tests/fixtures/s3.py`) as a pod, in a namespace of its own beside the stage's."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from tests.e2e.stage import PATIENCE, Stage, pod, service
from tests.fixtures.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, program
from tests.kubectl import Kubectl, Manifest

PORT = 8080
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY.encode(), "AWS_SECRET_ACCESS_KEY": SECRET_KEY.encode()}
"""What a Secret needs for the server."""
_START = "import os, sys; os.mkdir(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"
_PUT = """
import pathlib, sys
path = pathlib.Path(sys.argv[1])
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(sys.argv[2])
"""
_OBJECTS = """
import hashlib, json, pathlib, sys
root = pathlib.Path(sys.argv[1])
found = {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()}
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Server:
    """A server with one bucket."""

    kubectl: Kubectl
    """In the server's namespace."""
    endpoint: str

    def put(self, key: str, content: str) -> None:
        """Write an object."""
        self._inside(_PUT, f"/data/{BUCKET}/{key}", content)

    def objects(self) -> dict[str, str]:
        """SHA-256 of each object by its key."""
        found: dict[str, str] = json.loads(self._inside(_OBJECTS, f"/data/{BUCKET}"))
        return found

    def _inside(self, script: str, *arguments: str) -> str:
        return self.kubectl("exec", "s3", "--", "python3", "-c", script, *arguments)


def start(stage: Stage, certificate: dict[str, bytes] | None = None) -> Server:
    """Start a server with an empty bucket.

    Args:
        certificate: `tls.crt` and `tls.key` in PEM, with which it speaks TLS; None: it speaks HTTP.
    """
    scheme = "https" if certificate else "http"
    namespace = f"{stage.namespace}-s3-{scheme}"
    stage.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    kubectl = stage.kubectl.in_namespace(namespace)
    own = {"name": "certificate", "namespace": namespace}
    files = {name: base64.b64encode(content).decode() for name, content in (certificate or {}).items()}
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": own, "data": files})
    kubectl.apply(_pod(stage, namespace, tls=bool(certificate)), service("s3", namespace))
    kubectl("wait", "--for=condition=Ready", "pod/s3", f"--timeout={PATIENCE:.0f}s")
    return Server(kubectl, f"{scheme}://s3.{namespace}:{PORT}")


def _pod(stage: Stage, namespace: str, *, tls: bool) -> Manifest:
    """The program comes from a folder of this machine, which a restricted namespace would not let a pod have."""
    options = ["--quiet", "--port", f":{PORT}"]
    if tls:
        options += ["--cert", "/certificate/tls.crt", "--key", "/certificate/tls.key"]
    server = ["/s3/versitygw", *options, "posix", "/data"]
    made = pod("s3", namespace, stage.images.scanner, ["python3", "-c", _START, f"/data/{BUCKET}", *server])
    (container,) = made["spec"]["containers"]
    made["spec"]["securityContext"] = container["securityContext"] = {"runAsUser": 0}
    keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    container["env"] = [{"name": name, "value": value} for name, value in keys.items()]
    container["volumeMounts"] = [
        {"name": "program", "mountPath": "/s3", "readOnly": True},
        {"name": "certificate", "mountPath": "/certificate", "readOnly": True},
        {"name": "data", "mountPath": "/data"},
    ]
    made["spec"]["volumes"] = [
        {"name": "program", "hostPath": {"path": str(program().parent), "type": "Directory"}},
        {"name": "certificate", "secret": {"secretName": "certificate"}},
        {"name": "data", "emptyDir": {}},
    ]
    return made
