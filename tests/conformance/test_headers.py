"""Request headers: what of them a file of lines loses, and what a secrets file keeps."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from tests.conformance.laboratory import Laboratory


class Recorder:
    """A site on loopback that remembers the headers that it was sent."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        seen = self.seen

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(dict(self.headers.items()))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    threading.Thread(target=recorder.server.serve_forever, daemon=True).start()
    yield recorder
    recorder.server.shutdown()
    recorder.server.server_close()


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("X-One: plain", "plain"),
        ("X-One: a, b; c=d", "a, b; c=d"),
        ("X-One: \"a\" 'b' `c` \\d", "\"a\" 'b' `c` \\d"),
        ("X-One:   blanks   ", "blanks"),
        ("X-One: p4ss#w0rd#1", "p4ss"),
    ],
)
def test_a_line_of_a_header_file_is_cut_at_a_hash(lab: Laboratory, recorder: Recorder, line: str, sent: str) -> None:
    """The rest of the value is lost without a word, and so would be the scan's authentication."""
    lab.run("-l", lab.targets(recorder.url), "-t", lab.template("a"), "-H", lab.file("headers.txt", line + "\n"))
    assert [headers["X-One"] for headers in recorder.seen] == [sent]


def test_a_header_that_looks_like_a_variable_stops_every_request(lab: Laboratory, recorder: Recorder) -> None:
    headers = lab.file("headers.txt", "X-One: a{{b}}\n")
    done = lab.run("-l", lab.targets(recorder.url), "-t", lab.template("a"), "-H", headers)
    assert (done.code, recorder.seen) == (0, [])


@pytest.mark.parametrize("value", ["p4ss#w0rd#1", "a{{b}}, \"c\" 'd' # e"])
def test_a_secrets_file_keeps_a_value_whole(lab: Laboratory, recorder: Recorder, value: str) -> None:
    secret = {"type": "Header", "domains-regex": [".*"], "headers": [{"key": "X-Api-Key", "value": value}]}
    secrets = lab.file("secrets.json", json.dumps({"static": [secret]}))
    lab.template("plain")
    lab.file(
        "templates/raw.yaml",
        "id: raw\ninfo: {name: raw, author: tests, severity: info}\nhttp:\n  - raw:\n      - |\n"
        "        GET /raw HTTP/1.1\n        Host: {{Hostname}}\n    matchers: [{type: status, status: [200]}]\n",
    )
    lab.run("-l", lab.targets(recorder.url), "-t", lab.templates, "-sf", secrets)
    assert [headers["X-Api-Key"] for headers in recorder.seen] == [value, value]
