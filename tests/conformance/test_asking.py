"""Options of requests, from a plan's fields to what a site sees of them."""

from __future__ import annotations

import http.server
import pathlib
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from scanplan.api.documents.task import ScannerOptions, TemplateFolder
from scanplan.api.documents.words import Outcome
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.planning.nuclei import scanner_options
from tests.conformance.desk import Desk, Server

PADDING = 20_000


class Site:
    """Remembers what it was asked for. Below ``/hop/N`` it redirects N times, and ``/away`` to its other address."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.paths: list[str] = []
        self.names: list[str | None] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.paths.append(self.path)
                kind, _, rest = self.path.strip("/").partition("/")
                where = f"http://127.0.0.2:{site.port}/arrived" if kind == "away" else ""
                if kind == "hop" and int(rest):
                    where = f"/hop/{int(rest) - 1}"
                if where:
                    self.send_response(302)
                    self.send_header("Location", where)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = b"early " + b"." * PADDING + b" late"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)  # noqa: S104 - every loopback address
        self.port = self.server.server_port
        if tls:
            tls.sni_callback = lambda _, name, __: self.names.append(name)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def asked(desk: Desk, endpoint: str, path: str, words: str = "early", **fields: Any) -> Any:
    """Scan with one template that asks for a path, with these fields of `scanner`; what the scan says of itself."""
    desk.put(
        "t.yaml",
        "id: t\ninfo: {name: t, author: t, severity: info}\nhttp:\n  - method: GET\n"
        f"    path: ['{{{{BaseURL}}}}{path}']\n    matchers: [{{type: word, words: ['{words}']}}]\n",
    )
    scanner = {"requestTimeoutSeconds": 3, "requestRetries": 0, **fields}
    spec = ScanPlanSpec.model_validate({"templates": ["t"], "endpoints": ["a"], "scanner": scanner})
    scanner_options.check(spec.scanner, spec.selection)
    made = scanner_options.options(spec, 1, "")
    desk.options["scanner"] = msgspec.json.decode(msgspec.json.encode(made), type=type(made))
    return desk.scan(endpoint)


def test_variables_reach_the_request_whole(desk: Desk, site: Site) -> None:
    variables = [{"name": "user", "value": "guest=1"}, {"name": "team-name", "value": "red"}]
    report, _ = asked(desk, f"http://127.0.0.1:{site.port}", "/u/{{user}}/{{team-name}}", variables=variables)
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 1)
    assert "/u/guest=1/red" in site.paths


def test_a_variable_that_nobody_sets_is_told(desk: Desk, site: Site) -> None:
    _, record = asked(desk, f"http://127.0.0.1:{site.port}", "/u/{{user}}")
    assert "variables that nobody sets" in record.templates_not_run[0].reason


def test_secret_variables_reach_the_request_and_no_result(desk: Desk, site: Site, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "token").write_text("s3cr3t-t0k3n\n")
    desk.options["variables_folder"] = str(folder)
    public = [{"name": "user", "value": "guest"}]
    report, _ = asked(desk, f"http://127.0.0.1:{site.port}", "/u/{{token}}/{{user}}", variables=public)
    assert (report.outcome, report.findings.total) == (Outcome.COMPLETE, 1)
    assert "/u/s3cr3t-t0k3n/guest" in site.paths
    kept = [file for file in (desk.folder / "run").rglob("*") if file.is_file()]
    assert not [file for file in kept if b"s3cr3t-t0k3n" in file.read_bytes()]


@pytest.mark.parametrize(
    ("fields", "path", "found"),
    [
        ({}, "/hop/1", 0),
        ({"followRedirects": True}, "/hop/1", 1),
        ({"followRedirects": True}, "/away", 1),
        ({"followHostRedirects": True}, "/hop/1", 1),
        ({"followHostRedirects": True}, "/away", 0),
        ({"followRedirects": True, "maxRedirects": 2}, "/hop/2", 1),
        ({"followRedirects": True, "maxRedirects": 2}, "/hop/5", 0),
    ],
    ids=str,
)
def test_redirects_are_followed_as_asked(desk: Desk, site: Site, fields: dict[str, Any], path: str, found: int) -> None:
    report, _ = asked(desk, f"http://127.0.0.1:{site.port}", path, **fields)
    assert report.findings.total == found


@pytest.mark.parametrize(("fields", "found"), [({}, 1), ({"maxResponseBytes": 4_096}, 0)], ids=str)
def test_only_so_much_of_a_response_is_looked_at(desk: Desk, site: Site, fields: dict[str, Any], found: int) -> None:
    report, _ = asked(desk, f"http://127.0.0.1:{site.port}", "/", words="late", **fields)
    assert report.findings.total == found


def test_unsigned_templates_are_told_as_not_run(desk: Desk, site: Site) -> None:
    report, record = asked(desk, f"http://127.0.0.1:{site.port}", "/", verifySignatures=True)
    assert report.outcome is not Outcome.COMPLETE
    assert report.error is not None
    assert "sign" in str([record.templates_not_run, report.error.message])


def test_own_templates_may_be_excepted(desk: Desk) -> None:
    """Those of the source that the plan names run unsigned; those of all others do not, and are told."""
    desk.write("title.yaml")
    desk.write("other.yaml", root=1)
    desk.options["template_folders"] = (TemplateFolder(path=str(desk.roots[0]), unsigned=True),)
    desk.options["scanner"] = ScannerOptions(verify_signatures=True, request_timeout_seconds=2, request_retries=0)
    with Server() as server:
        report, record = desk.scan(server.url)
    assert report.findings.total == 1
    assert [each.template for each in record.templates_not_run] == ["other.yaml"]
    assert "no valid signature" in record.templates_not_run[0].reason


def made(folder: pathlib.Path, name: str = "app.example") -> tuple[pathlib.Path, pathlib.Path]:
    """A private key and its certificate, which nobody has signed, as in a Secret of type kubernetes.io/tls."""
    folder.mkdir(exist_ok=True)
    key, certificate = folder / "tls.key", folder / "tls.crt"
    subprocess.run(
        [
            *[
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                f"/CN={name}",
                "-keyout",
            ],
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate


@pytest.mark.parametrize("shown", [True, False])
def test_a_client_certificate_opens_a_site_that_wants_one(
    desk: Desk, only_real: Callable[[str], None], tmp_path: pathlib.Path, *, shown: bool
) -> None:
    only_real("speaks http only")
    key, certificate = made(tmp_path / "server")
    _, client = made(tmp_path / "client", "scanner")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.load_verify_locations(client)
    tls.verify_mode = ssl.CERT_REQUIRED
    site = Site(tls)
    if shown:
        desk.options["client_certificate_folder"] = str(tmp_path / "client")
    report, record = asked(desk, f"https://127.0.0.1:{site.port}", "/")
    site.close()
    assert report.findings.total == int(shown)
    assert (report.outcome is Outcome.COMPLETE) == shown
    assert record.endpoints_unreachable == (() if shown else (f"https://127.0.0.1:{site.port}",))


def test_tls_asks_for_the_name_of_the_plan(
    desk: Desk, only_real: Callable[[str], None], tmp_path: pathlib.Path
) -> None:
    """A site behind an address, such as a load balancer's, answers by this name only."""
    only_real("speaks http only")
    key, certificate = made(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    site = Site(tls)
    report, _ = asked(desk, f"https://127.0.0.1:{site.port}", "/", sni="app.example")
    assert (report.outcome, report.findings.total) == (Outcome.COMPLETE, 1)
    site.close()
    assert set(site.names) == {"app.example"}
