"""Why the API server refuses a request. Lost otherwise: the reason, or the command itself, where a proxy answers instead."""

from __future__ import annotations

import pytest

from scanplan.kube import refusal
from scanplan.kube.refusal import Refusal


@pytest.mark.parametrize(
    ("content", "message", "name"),
    [
        pytest.param(b'{"message": "no", "details": {"name": "p", "kind": "scanplans"}}', "no", "p", id="of an object"),
        pytest.param(b'{"message": "no", "details": {}}', "no", "", id="of a kind"),
        pytest.param(b'{"message": "no", "details": null}', "no", "", id="without details"),
        pytest.param(b'{"message": "no", "details": []}', "no", "", id="details of another form"),
        pytest.param('{"message": "no"}', "no", "", id="as text"),
        pytest.param(b"<h1>Bad gateway</h1>\n", "<h1>Bad gateway</h1>", "", id="a proxy"),
        pytest.param(b"x" * 10_000, "x" * 500, "", id="a proxy that says much"),
        pytest.param(b"\xff", "\ufffd", "", id="no text"),
        pytest.param(b"", "HTTP 502", "", id="nothing"),
        pytest.param(b"[]", "[]", "", id="a list"),
        pytest.param(b"{}", "{}", "", id="an object without a message"),
        pytest.param(b"[" * 100_000, "[" * 500, "", id="too deep to parse"),
    ],
)
def test_what_was_said_is_told(content: bytes | str, message: str, name: str) -> None:
    assert refusal.read(502, content) == Refusal(502, message, name)


def test_callers_may_have_other_words_for_an_answer_of_a_proxy() -> None:
    assert refusal.read(502, b"<html>", otherwise="502 Bad Gateway").message == "502 Bad Gateway"
    assert refusal.read(403, b'{"message": "no"}', otherwise="403 Forbidden").message == "no"
