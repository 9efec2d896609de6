"""A file of endpoints on an S3 server: what each answer means for the scan, and that no more is read than is allowed."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scanplan.api.documents.task import Bucket, EndpointsFile, TaskDocument
from scanplan.api.documents.words import ErrorClass
from scanplan.api.errors import ScanError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.long_lists import endpoints_file, endpoints_object
from tests.fixtures import receivers
from tests.unit.runner.documents import document

CONTENT = b"a.example\nhttps://b.example/x\n169.254.169.254\n"
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """The URL of a server, and the paths and headers that it was asked with."""
    asked: list[tuple[str, dict[str, str]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_port}", asked
        finally:
            found.shutdown()
            thread.join()


def status(code: int, *headers: tuple[str, str], body: bytes = b"") -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers or (("Content-Length", str(len(body))),):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


WHOLE = status(200, body=CONTENT)


def task(endpoint: str, secret: str = "", denied: tuple[str, ...] = ("169.254.0.0/16",)) -> TaskDocument:
    bucket = Bucket(endpoint=endpoint, name="lists", region="eu-central-1", secret=secret)
    file = EndpointsFile(path="acme/hosts.txt", bucket=bucket, sha256=hashlib.sha256(CONTENT).hexdigest(), most=10)
    return document(endpoints=(), endpoints_file=file, shards=1, denied_targets=denied)


def own(of: TaskDocument) -> tuple[str, ...]:
    assert of.endpoints_file is not None
    return endpoints_file.own_part(of, of.endpoints_file, 0).endpoints


def refusal(of: TaskDocument) -> ScanError:
    with pytest.raises(ScanError) as error:
        own(of)
    return error.value


def test_a_public_object_is_asked_for_once_without_a_signature() -> None:
    with server(WHOLE) as (endpoint, asked):
        assert own(task(endpoint)) == ("a.example", "https://b.example/x")
    ((path, headers),) = asked
    assert path == "/lists/acme/hosts.txt"
    assert "authorization" not in headers


def test_with_a_secret_the_request_is_signed_and_has_no_secret_in_it(tmp_path: Path) -> None:
    (tmp_path / "AWS_ACCESS_KEY_ID").write_text("reader")
    (tmp_path / "AWS_SECRET_ACCESS_KEY").write_text("hunter2-is-secret")
    with server(WHOLE) as (endpoint, asked):
        assert own(task(endpoint, str(tmp_path)))
    ((_, headers),) = asked
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=reader/")
    assert "/eu-central-1/s3/aws4_request" in headers["authorization"]
    assert "hunter2" not in str(headers)


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_go_better_is_tried_again(code: int) -> None:
    with server(status(code)) as (endpoint, _):
        error = refusal(task(endpoint))
    assert (error.error_class, error.reason) == (ErrorClass.TEMPORARY, Reason.NETWORK_UNAVAILABLE)
    assert f"answered {code}" in error.message


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (301, "redirects are not followed"),
        (307, "redirects are not followed"),
        (400, "correct s3File.endpoint"),
        (403, "let the access key of s3File.credentialsFrom read it"),
        (404, "correct s3File.bucket and s3File.key"),
    ],
)
def test_what_will_not_go_better_ends_the_scan_with_what_to_do(code: int, advice: str) -> None:
    """Otherwise a scan that can't begin is tried again for an hour, and says nothing."""
    redirect = status(code, ("Location", "http://169.254.169.254/"), ("Content-Length", "6"), body=b"a.word")
    with server(redirect) as (endpoint, asked):
        error = refusal(task(endpoint))
    assert (error.error_class, error.reason) == (ErrorClass.FATAL, Reason.INPUT_UNAVAILABLE)
    assert advice in error.message
    assert "a.word" not in error.message
    assert len(asked) == 1


def test_a_part_of_the_object_is_no_other_object() -> None:
    """Otherwise a connection that breaks ends the scan for good: its digest is not the plan's."""
    with server(status(200, ("Content-Length", str(len(CONTENT))), body=CONTENT[:10])) as (endpoint, _):
        assert refusal(task(endpoint)).error_class is ErrorClass.TEMPORARY


def test_a_server_that_is_not_there_is_tried_again() -> None:
    with server(WHOLE) as (endpoint, _):
        pass
    assert refusal(task(endpoint)).error_class is ErrorClass.TEMPORARY


def test_the_server_must_have_an_authority_that_the_image_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image names a private one by SSL_CERT_FILE. Without it, the message says that the certificate is the trouble."""
    issued = receivers.certificates(tmp_path)
    with receivers.http_receiver(issued.right) as found:
        found.always = receivers.Answer(body=CONTENT)
        error = refusal(task(found.url("")))
        assert (error.error_class, error.reason) == (ErrorClass.TEMPORARY, Reason.NETWORK_UNAVAILABLE)
        assert "self-signed certificate" in error.message
        assert not found.requests
        monkeypatch.setenv("SSL_CERT_FILE", str(issued.authority))
        assert own(task(found.url(""))) == ("a.example", "https://b.example/x")


def test_another_object_than_the_plan_means_is_not_scanned() -> None:
    with server(status(200, body=b"c.example\n")) as (endpoint, _):
        error = refusal(task(endpoint))
    assert (error.error_class, error.reason) == (ErrorClass.FATAL, Reason.INPUTS_CHANGED)


def test_no_more_is_read_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a server that sends without end keeps the pod for ever."""
    monkeypatch.setattr(endpoints_object, "MOST_BYTES", 20)
    with server(WHOLE) as (endpoint, _):
        error = refusal(task(endpoint))
    assert (error.error_class, error.reason) == (ErrorClass.FATAL, Reason.INPUT_UNAVAILABLE)
    assert "more than 20 bytes" in error.message


def test_no_more_time_is_taken_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints_object, "MOST_SECONDS", -1.0)
    with server(WHOLE) as (endpoint, _):
        assert refusal(task(endpoint)).error_class is ErrorClass.TEMPORARY


def test_a_denied_address_is_not_asked() -> None:
    with server(WHOLE) as (endpoint, asked):
        error = refusal(task(endpoint, denied=("127.0.0.0/8",)))
    assert (error.error_class, error.reason) == (ErrorClass.FATAL, Reason.INPUT_UNAVAILABLE)
    assert "an address that nothing is sent to" in error.message
    assert not asked


def test_a_secret_without_its_keys_is_told(tmp_path: Path) -> None:
    with server(WHOLE) as (endpoint, asked):
        error = refusal(task(endpoint, str(tmp_path)))
    assert (error.error_class, error.reason) == (ErrorClass.FATAL, Reason.INPUT_UNAVAILABLE)
    assert "AWS_ACCESS_KEY_ID" in error.message
    assert not asked
