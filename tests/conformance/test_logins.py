"""Credentials by host: what reaches which site, and that results keep none of it."""

from __future__ import annotations

import base64
import http.server
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scanplan.api.documents.words import Outcome
from tests.conformance.desk import Desk

SECRET = "pass-w0rd-9f"
SESSION = "sess10n-of-the-site-77"
LOGIN = """id: form
info: {name: form, author: t, severity: info}
http:
  - method: POST
    skip-secret-file: true
    path: ['{{BaseURL}}/login']
    body: 'pass={{pass}}'
    extractors: [{type: regex, name: session, part: body, group: 1, regex: ['session=([a-z0-9-]+)'], internal: %s}]
"""
PAGE = """id: page
info: {name: page, author: t, severity: info}
http: [{method: GET, path: ['{{BaseURL}}/page'], matchers: [{type: word, words: [welcome]}]}]
"""


class Site:
    """Lets in who shows the wanted header or URL, and echoes what it was sent."""

    def __init__(self, wanted: str) -> None:
        self.sent: list[str] = []
        self.status = 200
        """Of answers to those who show nothing."""
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                self.answer(200, f"session={SESSION}" if body == f"pass={SECRET}" else "no")

            def do_GET(self) -> None:
                shown = f"{self.path} {dict(self.headers.items())}"
                site.sent.append(shown)
                known = wanted in shown
                self.answer(200 if known else site.status, f"{'welcome' if known else 'who are you?'} {shown}")

            def answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)  # noqa: S104 - every loopback address
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def opened() -> Iterator[Callable[[str], Site]]:
    sites: list[Site] = []

    def open_site(wanted: str) -> Site:
        sites.append(Site(wanted))
        return sites[-1]

    yield open_site
    for site in sites:
        site.server.shutdown()
        site.server.server_close()


def given(desk: Desk, text: str) -> None:
    folder = desk.folder / "secret"
    folder.mkdir()
    (folder / "secrets.yaml").write_text(text)
    desk.options["credentials_folder"] = str(folder)
    desk.put("page.yaml", PAGE)


def kept(desk: Desk, *secrets: str) -> list[pathlib.Path]:
    """Files of the run that hold one of them."""
    files = [file for file in (desk.folder / "run").rglob("*") if file.is_file()]
    return [file for file in files if any(secret.encode() in file.read_bytes() for secret in secrets)]


PAIR = base64.b64encode(f"guest:{SECRET}".encode()).decode()
STATIC = {
    "basic": (f"type: BasicAuth, username: guest, password: {SECRET}", f"Basic {PAIR}"),
    "bearer": (f"type: BearerToken, token: {SECRET}", f"Bearer {SECRET}"),
    "header": (f"type: Header, headers: [{{key: X-Key, value: '{SECRET}#{{{{x}}}}'}}]", f"{SECRET}#"),
    "cookie": (f"type: Cookie, cookies: [{{key: session, value: {SECRET}}}]", f"session={SECRET}"),
    "query": (f"type: Query, params: [{{key: key, value: {SECRET}}}]", f"key={SECRET}"),
}


@pytest.mark.parametrize("kind", STATIC)
def test_a_host_is_shown_its_own_credentials_and_no_other_is(
    desk: Desk, opened: Callable[[str], Site], kind: str
) -> None:
    """Lost otherwise: the scan behind the login, or the password to another site."""
    entry, wanted = STATIC[kind]
    site, other = opened(wanted), opened(wanted)
    given(desk, f"static: [{{{entry}, domains: ['127.0.0.1:{site.port}']}}]")
    report, record = desk.scan(f"http://127.0.0.1:{site.port}", f"http://127.0.0.2:{other.port}")
    assert (report.outcome, report.error, report.findings.total) == (Outcome.COMPLETE, None, 1), record
    assert any(wanted in shown for shown in site.sent)
    assert not any(SECRET in shown or PAIR in shown for shown in other.sent)
    assert not kept(desk, SECRET, PAIR)


def test_headers_for_all_hosts_and_credentials_for_one_go_together(
    desk: Desk, opened: Callable[[str], Site], tmp_path: pathlib.Path
) -> None:
    site = opened(SECRET)
    given(desk, f"static: [{{type: BearerToken, token: {SECRET}, domains: ['127.0.0.1:{site.port}']}}]")
    own = tmp_path / "headers"
    own.mkdir()
    (own / "X-Key").write_text("a#b-s3cr3t")
    desk.options["headers_folder"] = str(own)
    report, _ = desk.scan(f"http://127.0.0.1:{site.port}")
    assert report.findings.total == 1
    assert any("a#b-s3cr3t" in shown and SECRET in shown for shown in site.sent)
    assert not kept(desk, SECRET, "a#b-s3cr3t")


@pytest.mark.parametrize("kind", ["basic", "cookie"])
def test_a_site_that_denies_everybody_else_is_no_site_that_blocks(
    desk: Desk, opened: Callable[[str], Site], kind: str
) -> None:
    """Lost otherwise: the trust in what a scan says of itself, since the runner's own checks carried no login."""
    entry, wanted = STATIC[kind]
    site = opened(wanted)
    site.status = 403
    given(desk, f"static: [{{{entry}, domains: ['127.0.0.1:{site.port}']}}]")
    report, record = desk.scan(f"http://127.0.0.1:{site.port}")
    assert (report.outcome, report.findings.total, record.endpoints_troubled) == (Outcome.COMPLETE, 1, ())
    assert not [shown for shown in site.sent if wanted not in shown]


def dynamic(site: Site, **changed: Any) -> str:
    where = changed.get("where", f"http://127.0.0.1:{site.port}")
    return (
        f"dynamic: [{{type: Cookie, domains: ['127.0.0.1:{site.port}'], cookies: [{{key: sid, value: '{{{{session}}}}'}}], "
        f"template: {changed.get('template', 'logins/form.yaml')}, input: '{where}', "
        f"variables: [{{key: pass, value: {changed.get('secret', SECRET)}}}]}}]"
    )


@pytest.mark.parametrize("internal", ["true", "false"])
def test_a_template_logs_in_before_the_scan(
    desk: Desk, opened: Callable[[str], Site], only_real: Callable[[str], None], internal: str
) -> None:
    only_real("makes no logins")
    site = opened(f"sid={SESSION}")
    given(desk, dynamic(site))
    desk.put("logins/form.yaml", LOGIN % internal)
    report, record = desk.scan(f"http://127.0.0.1:{site.port}", named=("page",))
    assert (report.outcome, report.error) == (Outcome.COMPLETE, None), record
    assert any(f"sid={SESSION}" in shown for shown in site.sent)
    assert not kept(desk, SECRET)
    files = (desk.folder / "run").rglob("*.ndjson")
    of_login = [line for file in files for line in file.read_text().splitlines() if '"form"' in line]
    assert not [line for line in of_login if SESSION in line or '"request"' in line]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"secret": "another-w0rd"}, "LoginFailed"),
        ({"template": "logins/none.yaml"}, "TemplatesNotFound"),
        ({"template": "logins/whois.yaml"}, "InvalidOptions"),
        ({"template": "logins/waiting.yaml"}, "InvalidOptions"),
    ],
    ids=str,
)
def test_a_login_that_fails_stops_the_scan(
    desk: Desk,
    opened: Callable[[str], Site],
    only_real: Callable[[str], None],
    changed: dict[str, Any],
    reason: str,
) -> None:
    """Lost otherwise: that nothing behind the login was looked at."""
    only_real("makes no logins")
    site = opened(SESSION)
    given(desk, dynamic(site, **changed))
    desk.put("logins/form.yaml", LOGIN % "true")
    desk.put("logins/whois.yaml", "id: w\ninfo: {name: w, author: t, severity: info}\nwhois: [{query: '{{Host}}'}]\n")
    desk.put("logins/waiting.yaml", (LOGIN % "true").replace("skip-secret-file: true", "redirects: true"))
    report, _ = desk.scan(f"http://127.0.0.1:{site.port}", named=("page",))
    assert report.error is not None
    assert report.error.reason == reason
    assert "w0rd" not in report.error.message
    assert not any("/page" in shown for shown in site.sent)
