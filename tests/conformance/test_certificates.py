"""Certificates of a private authority: Nuclei takes those of targets and of proxies, whatever it is told to trust."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scanplan.api.documents.words import Outcome
from tests.cluster.local import identities
from tests.conformance.desk import Desk, Server
from tests.conformance.test_proxy import Http, Proxy, through

UNTRUSTED = """id: untrusted
info: {name: untrusted, author: t, severity: info}
ssl: [{address: '{{Host}}:{{Port}}', matchers: [{type: dsl, dsl: ['untrusted == true']}]}]
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates") / "pki"
    identities.issue(folder, "127.0.0.1")
    chain = [(folder / name).read_text() for name in ("kube-apiserver.crt", "ca.crt")]
    (folder / "chain.crt").write_text("".join(chain))
    return folder


class _Encrypted:
    context: ssl.SSLContext

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()  # type: ignore[misc]
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_: object) -> None:
        """A client may hang up."""


class SecureServer(_Encrypted, Server):
    @property
    def url(self) -> str:
        return super().url.replace("http:", "https:")


class SecureProxy(_Encrypted, Proxy):
    pass


@pytest.fixture
def secure(pki: Path) -> Iterator[SecureServer]:
    SecureServer.context = SecureProxy.context = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "chain.crt", pki / "kube-apiserver.key")
    with SecureServer() as server:
        yield server


@pytest.fixture
def desk(desk: Desk, only_real: Callable[[str], None]) -> Desk:
    only_real("speaks plain http")
    return desk


def test_a_target_with_a_private_certificate_is_scanned(desk: Desk, secure: SecureServer) -> None:
    """Lost otherwise: every target inside a company, until somebody has found out how to hand over its authority."""
    desk.write("title.yaml")
    report, _ = desk.scan(secure.url)
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 1)
    assert report.warnings == ()


@pytest.mark.usefixtures("secure")
def test_a_proxy_with_a_private_certificate_is_used(desk: Desk, live: Server) -> None:
    with SecureProxy(Http) as proxy:
        desk.write("title.yaml")
        desk.options["scanner"] = through(f"https://localhost:{proxy.server_address[1]}")
        report, _ = desk.scan(live.url)
        proxy.shutdown()
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 1)
    assert proxy.forwarded


@pytest.mark.parametrize("trusted", [False, True])
def test_a_private_authority_counts_as_untrusted_whatever_the_machine_trusts(
    desk: Desk, secure: SecureServer, pki: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """As docs/how-to/targets.md says; once this fails, a setting for authorities makes sense."""
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(pki / "ca.crt"))
    desk.put("untrusted.yaml", UNTRUSTED)
    report, _ = desk.scan(secure.url.replace("127.0.0.1", "localhost"))
    assert (report.outcome, report.findings.info) == (Outcome.COMPLETE, 1)
