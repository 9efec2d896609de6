"""Request headers from the plan to a scanned host, and out of everything that is kept."""

from __future__ import annotations

import base64
import html
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from scanplan.api.documents.task import ScannerOptions
from scanplan.api.exit_codes import ExitCode

from .conftest import Bench

SECRET = "p4ss#w0rd#1 & <more> 'q' \"r\""


class Echo(http.server.ThreadingHTTPServer):
    """A site on loopback that echoes a header in several encodings, as a hostile one would."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        seen = self.seen

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = dict(self.headers.items())
                seen.append(headers)
                value = headers.get("X-Api-Key", "")
                forms = [value, quote(value), html.escape(value), json.dumps(value), value.encode().hex()]
                forms.append(base64.b64encode(value.encode()).decode())
                body = "\n".join(f"<p>{form}</p>" for form in forms).encode()
                self.send_response(200)
                self.send_header("X-Echo", value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def secret(folder: Path, **values: str) -> str:
    folder.mkdir()
    for name, value in values.items():
        (folder / name.replace("_", "-")).write_text(value)
    return str(folder)


def test_secret_headers_arrive_whole_and_stay_out_of_everything_that_is_kept(bench: Bench, echo: Echo) -> None:
    bench.endpoints = (f"http://127.0.0.1:{echo.server_port}",)
    bench.template("echo", severity="critical")
    bench.options = {
        "headers_folder": secret(bench.folder / "headers", X_Api_Key=SECRET, Authorization="Bearer plain-t0k3n"),
        "scanner": ScannerOptions(headers={"User-Agent": "template security headers scanner"}),
    }
    attempt = bench.attempt()
    assert attempt.code == ExitCode.OK
    sent = echo.seen[-1]
    assert (sent["X-Api-Key"], sent["Authorization"]) == (SECRET, "Bearer plain-t0k3n")
    assert sent["User-Agent"] == "template security headers scanner"
    (finding,) = bench.findings()
    assert (finding["template-id"], finding["info"]["severity"]) == ("echo", "critical")
    assert "User-Agent: template security headers scanner" in finding["request"]
    assert finding["response"].count("[redacted]") == 7
    kept = b"".join(path.read_bytes() for path in bench.run.rglob("*") if path.is_file() and not path.is_symlink())
    kept += json.dumps(attempt.events).encode() + attempt.stderr.encode()
    for part in (b"w0rd", b"70347373", b"plain-t0k3n", base64.b64encode(SECRET.encode())[:12]):
        assert part not in kept


@pytest.mark.parametrize("value", ["", "one\ntwo"])
def test_a_header_that_can_not_be_sent_ends_the_scan_before_anything_is_sent(
    bench: Bench, echo: Echo, value: str
) -> None:
    bench.endpoints = (f"http://127.0.0.1:{echo.server_port}",)
    bench.options["headers_folder"] = secret(bench.folder / "headers", X_Api_Key=value)
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "InvalidOptions")
    assert echo.seen == []
