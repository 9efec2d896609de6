"""A runner with the scanner under test, and what it scans on loopback."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import socketserver
import threading
from typing import Any

from scanplan.api.documents.records import ShardRecord
from scanplan.api.documents.report import ShardReport
from scanplan.api.documents.task import ScannerOptions, TaskDocument
from scanplan.api.documents.words import PlanReference
from scanplan.runner.artifacts import publish
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.shard import run_shard

CONFIGURATION = pathlib.Path(__file__).parents[2] / "images/scanner/nuclei-config"

TEMPLATES = {
    "title.yaml": "http: [{method: GET, path: ['{{BaseURL}}/'], matchers: [{type: word, words: [hello]}]}]",
    "other.yaml": "http: [{method: GET, path: ['{{BaseURL}}/other'], matchers: [{type: word, words: [hello]}]}]",
    "dns.yaml": "dns: [{name: '{{FQDN}}', type: A, matchers: [{type: word, words: [IN]}]}]",
    "flow.yaml": "flow: http(1) && http(2)\nhttp:\n"
    "  - {method: GET, path: ['{{BaseURL}}/a'], matchers: [{type: status, status: [200], internal: true}]}\n"
    "  - {method: GET, path: ['{{BaseURL}}/b'], matchers: [{type: word, words: [hello]}]}",
    "variable.yaml": "http: [{method: GET, path: ['{{BaseURL}}/?t={{token}}'], matchers: [{type: word, words: [hello]}]}]",
    "oast.yaml": "http: [{method: GET, path: ['{{BaseURL}}/?u={{interactsh-url}}'], "
    "matchers: [{type: word, part: interactsh_protocol, words: [dns]}]}]",
    "tls.yaml": "ssl: [{address: '{{Host}}:{{Port}}', matchers: [{type: dsl, dsl: ['true']}]}]",
    "p110.yaml": "tcp: [{inputs: [{data: x}], host: ['{{Hostname}}'], port: 110, matchers: [{type: word, words: [zzz]}]}]",
    "p6379.yaml": "tcp: [{inputs: [{data: x}], host: ['{{Hostname}}'], port: 6379, matchers: [{type: word, words: [zzz]}]}]",
    "socket.yaml": "websocket: [{address: '{{Scheme}}://{{Hostname}}', inputs: [{data: hi}], "
    "matchers: [{type: word, words: [hello]}]}]",
    "regex.yaml": "http: [{method: GET, path: ['{{BaseURL}}/'], matchers: [{type: regex, regex: ['([a-z']}]}]",
    "function.yaml": "http: [{method: GET, path: ['{{BaseURL}}/'], matchers: [{type: dsl, dsl: ['nosuch(body)']}]}]",
    "broken-flow.yaml": "flow: 'http(1) &&& http('\n"
    "http: [{method: GET, path: ['{{BaseURL}}/'], matchers: [{type: status, status: [200]}]}]",
    "payload.yaml": "http: [{method: GET, path: ['{{BaseURL}}/{{p}}'], payloads: {p: no/such.txt}, "
    "matchers: [{type: status, status: [200]}]}]",
    "words.yaml": "http: [{method: GET, path: ['{{BaseURL}}/{{p}}'], payloads: {p: helpers/words.txt}, "
    "matchers: [{type: word, words: [hello]}]}]",
    "workflow.yaml": "workflows: [{template: title.yaml}]",
    "headless.yaml": "headless: [{steps: [{action: navigate, args: {url: '{{BaseURL}}'}}], "
    "matchers: [{type: word, words: [hello]}]}]",
    "contained.yaml": "self-contained: true\n"
    "http: [{method: GET, path: ['http://127.0.0.1:9/'], matchers: [{type: word, words: [hello]}]}]",
    "code.yaml": "code: [{engine: [sh], source: 'echo hello', matchers: [{type: word, words: [hello]}]}]",
    "dast.yaml": "http: [{method: GET, path: ['{{BaseURL}}/?a=1'], payloads: {x: [a]}, fuzzing: [{part: query, fuzz: ['{{x}}']}], "
    "matchers: [{type: word, words: [hello]}]}]",
}
HTTP_ONLY = {"title.yaml", "other.yaml", "variable.yaml", "oast.yaml", "regex.yaml"}
"""What the stand-in can run."""


class Answer(socketserver.BaseRequestHandler):
    """Answers every request with 200 and ``hello``; after `limit` connections in another way."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        with contextlib.suppress(OSError):
            while request := self.request.recv(65536):
                with server.lock:
                    server.count += 1
                    dead = server.limit is not None and server.count > server.limit
                if dead:
                    self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                    return
                assert request
                if server.forbidden and request.startswith(server.forbidden):
                    self.request.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
                return


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str = "127.0.0.1", limit: int | None = None) -> None:
        super().__init__((address, 0), Answer)
        self.limit = limit
        self.forbidden = b""
        """Requests that begin so get 403."""
        self.count = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def server_close(self) -> None:
        """Ends the thread first: on a closed socket it would spin until the session ends."""
        self.shutdown()
        super().server_close()

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"


class Desk:
    """A runner with the scanner under test, template sources and a claim."""

    def __init__(self, scanner: pathlib.Path, folder: pathlib.Path) -> None:
        self.scanner = scanner
        self.folder = folder
        self.roots = [folder / "templates"]
        self.options: dict[str, Any] = {}
        self.configuration = CONFIGURATION
        self.temporary = folder

    def write(self, *names: str, root: int = 0, severity: str = "info") -> None:
        while len(self.roots) <= root:
            self.roots.append(self.folder / f"templates-{len(self.roots)}")
        for name in names:
            text = f"id: {name.removesuffix('.yaml')}\ninfo: {{name: {name}, author: t, severity: {severity}}}\n{TEMPLATES[name]}\n"
            self.put(name, text, root=root)

    def put(self, name: str, text: str, root: int = 0) -> None:
        path = self.roots[root] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def scan(self, *endpoints: str, named: tuple[str, ...] = ()) -> tuple[ShardReport, ShardRecord]:
        for root in self.roots:
            root.mkdir(exist_ok=True)
        defaults: dict[str, Any] = {"scanner": ScannerOptions(request_timeout_seconds=2, request_retries=0)}
        document = TaskDocument(
            key="scan:acme:nightly:0a:0b:0c",
            project_id="acme",
            run_id="nightly",
            plan=PlanReference(namespace="default", name="nightly"),
            endpoints=tuple(sorted(endpoints)),
            templates=named,
            **(defaults | self.options),
        )
        installation = Installation(
            nuclei=str(self.scanner),
            templates=tuple(self.roots),
            configuration=self.configuration,
            temporary=self.temporary,
            inherited=dict(os.environ),
        )
        run = self.folder / "run"
        report = run_shard(document, 0, run, installation=installation)
        shard = next(run.glob("tasks/*/shards/*"))
        return report, publish.published(shard)[-1]


def dead_urls(count: int) -> list[str]:
    """Addresses that refuse connections."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [f"http://127.0.0.1:{probe.getsockname()[1]}" for probe in probes]
