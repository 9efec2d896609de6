"""What registries answer that the one of the tests does not, and which names are images of a registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanplan.client.cluster.failure import Failure
from scanplan.client.templates import registry
from scanplan.client.templates.registry import Reference, Registry
from tests.unit.client.templates import broken

REFERENCE = Reference("registry.example.com", "team/ours", "v1")


@pytest.mark.parametrize(("status", "there"), [(404, False), (307, True), (302, True)])
def test_a_blob_that_is_in_a_storage_elsewhere_is_there(
    status: int, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registries on object stores redirect; to follow would be to send credentials elsewhere."""

    def refused(*_: object) -> None:
        raise registry._Refused(status, "", b"")

    monkeypatch.setattr(Registry, "_ask", refused)
    assert Registry(REFERENCE)._has("sha256:0") is there


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (403, b'{"errors":[{"code":"DENIED","message":"no"}]}', 77, "DENIED: no"),
        (500, b"<html>oops", 69, "<html>oops"),
        (503, b"", 69, "HTTP 503"),
        (400, b'{"errors":[{}]}', 69, "errors"),
    ],
)
def test_a_refusal_is_told_in_the_registrys_words(
    status: int, body: bytes, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise registry._Refused(status, "", body)

    monkeypatch.setattr(Registry, "_ask", refused)
    with pytest.raises(Failure) as caught:
        Registry(REFERENCE)._has("sha256:0")
    assert caught.value.code == code
    assert words in caught.value.message


@pytest.mark.parametrize("answer", broken.ANSWERS)
def test_an_answer_that_breaks_off_is_told(answer: bytes) -> None:
    with broken.server(answer) as host, pytest.raises(Failure, match="can't be reached"):
        Registry(Reference(host, "team/ours", "v1"), plain_http=True)._put_manifest(
            "x", "sha256:0", Path(__file__), "v1"
        )


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("registry.example.com/team/ours:v1", REFERENCE),
        ("localhost:5000/a:b", Reference("localhost:5000", "a", "b")),
        ("[::1]:5000/a__b/c-d:1.0", Reference("[::1]:5000", "a__b/c-d", "1.0")),
    ],
)
def test_an_image_of_a_registry_has_a_host_and_a_tag(text: str, reference: Reference) -> None:
    assert Reference.of(text) == reference
    assert reference.by_digest("sha256:0") == f"{reference.host}/{reference.name}@sha256:0"


@pytest.mark.parametrize(
    "text", ["ours:v1", "a/b", "https://a.example/b:c", "a.example/B:c", "a.example/b:", "-x/a:b", ""]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(Failure, match="is no image of a registry"):
        Reference.of(text)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1:5000", True),
        ("localhost", True),
        ("[::1]:1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_plain_http_is_for_this_machine(host: str, local: bool) -> None:
    assert Reference(host, "a", "b").is_local is local


def test_certificates_that_can_not_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    for file in ("ca.pem", "missing.pem"):
        with pytest.raises(Failure, match="holds no certificates"):
            Registry(REFERENCE, authority=tmp_path / file)
