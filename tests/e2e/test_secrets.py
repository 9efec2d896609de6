"""The Secrets of a plan in a real scan pod, which runs as a user of its own on a read-only root."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from tests.deploy import OPERATOR_ACCOUNT
from tests.e2e.stage import EXPOSED, Stage, templates

pytestmark = pytest.mark.e2e

TOKEN = "s3cr3t-t0k3n-of-the-plan"
LOGIN = "pass-w0rd-of-another-site"
_LIST = "import pathlib, sys; print(*(p.read_text().strip() for p in sorted(pathlib.Path(sys.argv[1]).glob('[!.]*'))))"


def secret(stage: Stage, use: str, files: dict[str, bytes]) -> None:
    """A Secret with the label of its use, and the right of the operator to get it."""
    name = f"own-{use}"
    stage.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": {"scanplan.dev/use": use}},
            "data": {key: base64.b64encode(content).decode() for key, content in files.items()},
        }
    )
    stage.kubectl.allow(OPERATOR_ACCOUNT, name, "get", "secrets", names=[name])


def certificate(folder: Path) -> dict[str, bytes]:
    key, own = folder / "tls.key", folder / "tls.crt"
    line = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=scanner -keyout"
    subprocess.run([*line.split(), str(key), "-out", str(own)], check=True, capture_output=True)
    return {"tls.key": key.read_bytes(), "tls.crt": own.read_bytes()}


def test_a_scan_reads_its_secrets_and_keeps_them_to_itself(stage: Stage, tmp_path: Path) -> None:
    """Lost otherwise: scans of everything behind a login, and the login."""
    stage.gate("gate")
    secret(stage, "headers", {"X-Api-Key": TOKEN.encode()})
    secret(stage, "variables", {"user": TOKEN[::-1].encode()})
    secret(stage, "client-certificate", certificate(tmp_path))
    logins = f"static: [{{type: BearerToken, domains: [other.example], token: {LOGIN}}}]"
    secret(stage, "credentials", {"secrets.yaml": logins.encode()})
    plan = stage.gated("secrets")
    plan["spec"]["scanner"] |= {
        "headersFrom": {"secretRef": {"name": "own-headers"}},
        "variablesFrom": {"secretRef": {"name": "own-variables"}},
        "clientCertificateFrom": {"secretRef": {"name": "own-client-certificate"}},
        "credentialsFrom": {"secretRef": {"name": "own-credentials"}},
    }
    stage.apply(plan)
    pod = stage.standing("secrets")["metadata"]["name"]
    assert stage.inside(pod, _LIST, "/etc/scanplan/headers").strip() == TOKEN
    assert stage.inside(pod, _LIST, "/etc/scanplan/variables").strip() == TOKEN[::-1]
    assert "PRIVATE KEY" in stage.inside(pod, _LIST, "/etc/scanplan/client-certificate")
    assert LOGIN in stage.inside(pod, _LIST, "/etc/scanplan/credentials")
    stage.open()
    status = stage.ends("secrets", "Completed")
    assert templates(stage.findings(status)) == sorted(EXPOSED)
    shown = str([status, stage.jobs("secrets"), stage.pods("secrets")])
    assert not [each for each in (TOKEN, TOKEN[::-1], LOGIN, "PRIVATE KEY") if each in shown]
