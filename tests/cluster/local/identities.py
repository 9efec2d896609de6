"""Who is who in a local cluster: one certificate authority, a certificate for each component, and the kubeconfigs.

Elliptic-curve keys by the `openssl` command: the eight of them take a tenth of a second.
"""

import base64
from pathlib import Path

from tests.cluster import programs
from tests.cluster.local.components import API_SERVICE, NODE

VALID_DAYS = "365"

CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
    "kube-proxy": "/CN=system:kube-proxy",
    "coredns": "/O=system:masters/CN=coredns",  # a role of its own would be in effect too late, and cost seconds
    "apiserver-kubelet-client": "/O=system:masters/CN=apiserver-kubelet-client",
}
"""Subjects as Kubernetes' built-in RBAC knows them."""

API_SERVER_NAMES = "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"


def issue(folder: Path, address: str) -> None:
    """Write `NAME.crt` and `NAME.key` for everybody, `ca.*` and `service-accounts.key` into a folder, which is made."""
    folder.mkdir(mode=0o700, exist_ok=True)

    def certificate(name: str, subject: str, *extensions: str, signed: bool = True) -> None:
        arguments = ["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        arguments += ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", subject, "-days", VALID_DAYS]
        if signed:
            arguments += ["-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"]
        for extension in extensions:
            arguments += ["-addext", extension]
        programs.run("openssl", *arguments, cwd=folder)

    certificate("ca", "/CN=scanplan-local-cluster", signed=False)
    certificate("service-accounts", "/CN=service-accounts")
    names = f"subjectAltName={API_SERVER_NAMES},IP:127.0.0.1,IP:{API_SERVICE},IP:{address}"
    certificate("kube-apiserver", "/CN=kube-apiserver", names, "extendedKeyUsage=serverAuth")
    for name, subject in CLIENTS.items():
        serving = [f"subjectAltName=DNS:{NODE},IP:{address}"] if name == "kubelet" else []
        usage = "extendedKeyUsage=clientAuth" + (",serverAuth" if serving else "")
        certificate(name, subject, usage, *serving)


def kubeconfig(pki: Path, client: str, cluster: str, server: str) -> str:
    """A kubeconfig that needs no other file."""

    def inline(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    return f"""\
apiVersion: v1
kind: Config
current-context: {cluster}
contexts:
- name: {cluster}
  context: {{cluster: {cluster}, user: {client}}}
clusters:
- name: {cluster}
  cluster:
    server: {server}
    certificate-authority-data: {inline("ca.crt")}
users:
- name: {client}
  user:
    client-certificate-data: {inline(f"{client}.crt")}
    client-key-data: {inline(f"{client}.key")}
"""
