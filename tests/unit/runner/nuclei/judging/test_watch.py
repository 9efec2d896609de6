"""Which endpoints are asked for their status code, when, and what never is."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import pytest

from scanplan.core.planning.targets.guard import Guard
from scanplan.runner.nuclei.judging.evidence import Answers
from scanplan.runner.nuclei.judging.probe import Prober
from scanplan.runner.nuclei.judging.watch import AGAIN_SECONDS, Watch

ONE, TWO, HOST = "http://a:1", "b:2", "c"


class Asked:
    """Answers every question by a table, and remembers them."""

    def __init__(self, statuses: dict[str, int | None]) -> None:
        self.statuses = statuses
        self.asked: list[tuple[str, str]] = []

    def __call__(self, endpoint: str, path: str) -> int | None:
        self.asked.append((endpoint, path))
        return self.statuses[endpoint]


def test_only_endpoints_that_answered_by_http_are_asked_and_at_most_one_a_second() -> None:
    """A request to a database's port, or a burst beside the rate limit, is nothing that the plan asked for."""
    ask = Asked({ONE: 200, TWO: 429, HOST: 503})
    watch = Watch([ONE, TWO, HOST, "http://never:1"], ask, during=True)
    now = time.monotonic()
    for moment in (0.0, 0.2, 1.1, 1.3, 2.2, 3.3):
        watch.tick(now + moment, {"a:1", "b:2", "c:443"})
    watch.finish(now + 4, ())
    assert sorted(endpoint for endpoint, _ in ask.asked) == sorted([ONE, TWO, HOST])
    assert watch.answers == {ONE: Answers(clear=1), TWO: Answers(throttled=1), HOST: Answers(unavailable=1)}


def test_an_endpoint_is_asked_again_after_a_while_and_at_the_end() -> None:
    ask = Asked({ONE: 200})
    watch = Watch([ONE], ask, during=True)
    now = time.monotonic()
    for moment in (0.0, 1.0, AGAIN_SECONDS, AGAIN_SECONDS + 1):
        watch.tick(now + moment, {"a:1"})
    ask.statuses[ONE] = 429
    watch.finish(time.monotonic(), {"a:1"})
    assert len(ask.asked) == watch.requests == 3
    assert watch.answers[ONE].throttled >= 1


def test_with_a_low_rate_endpoints_are_asked_at_the_end_only() -> None:
    ask = Asked({ONE: 200})
    watch = Watch([ONE], ask, during=False)
    watch.tick(time.monotonic(), {"a:1"})
    assert ask.asked == []
    watch.finish(time.monotonic(), {"a:1"})
    assert ask.asked == [(ONE, "/")]


def test_a_root_that_is_forbidden_is_no_block_where_other_paths_are_not() -> None:
    paths: list[str] = []

    def ask(_endpoint: str, path: str) -> int:
        paths.append(path)
        return 403 if path == "/" else 404

    watch = Watch([ONE], ask, during=True)
    watch.finish(time.monotonic(), {"a:1"})
    assert watch.answers == {ONE: Answers(clear=1)}
    assert paths[0] == "/" != paths[1]


def test_an_endpoint_that_gives_no_answer_is_not_told() -> None:
    watch = Watch([ONE], Asked({ONE: None}), during=True)
    watch.finish(time.monotonic(), {"a:1"})
    assert watch.answers == {}


class Page(http.server.BaseHTTPRequestHandler):
    """Answers 429, and remembers the headers."""

    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(429)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def page() -> Iterator[http.server.HTTPServer]:
    Page.seen = []
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("spelling", ["http://127.0.0.1:{}", "127.0.0.1:{}", "http://127.0.0.1:{}/folder?x=1"])
def test_a_check_sends_the_plans_headers(page: http.server.HTTPServer, spelling: str) -> None:
    """Without them a target that needs them would answer something else than it answers Nuclei."""
    ask = Prober(Guard(()), {"user-agent": "audit", "X-Team": "red"}, 2.0)
    assert ask(spelling.format(page.server_port), "/") == 429
    (sent,) = Page.seen
    assert (sent["user-agent"], sent["x-team"], sent["host"]) == ("audit", "red", f"127.0.0.1:{page.server_port}")


def test_a_denied_address_is_not_asked(page: http.server.HTTPServer) -> None:
    """The guard holds for our own requests, too."""
    assert Prober(Guard(("127.0.0.0/8",)), {}, 2.0)(f"http://127.0.0.1:{page.server_port}", "/") is None
    assert Page.seen == []


def test_an_endpoint_is_asked_through_an_http_proxy(page: http.server.HTTPServer) -> None:
    """Only the proxy may reach it."""
    ask = Prober(Guard(()), {}, 2.0, f"http://user:p%40ss@127.0.0.1:{page.server_port}")
    assert ask("http://inside.example:81/x", "/") == 429
    (sent,) = Page.seen
    assert sent["host"] == "inside.example:81"
    assert sent["proxy-authorization"] == "Basic dXNlcjpwQHNz"


def test_a_proxy_that_opens_no_tunnel_is_no_answer(page: http.server.HTTPServer) -> None:
    assert Prober(Guard(()), {}, 2.0, f"http://127.0.0.1:{page.server_port}")("https://inside.example", "/") is None
