"""Secrets that targets echo: one that stays in an artifact is lost, and a finding that is garbled is lost too."""

from __future__ import annotations

import base64
import html
import json
import shlex
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanplan.findings import fingerprint
from scanplan.runner.artifacts.redaction import BLOT, Pieces, Redactor

TOKEN = "p4ss#w0rd&<1>'\"\\/+ \u00e9z"
PAIR = "scanner:" + TOKEN
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda value: value,
    "percent": lambda value: quote(value, safe=""),
    "percent, lower case": lambda value: quote(value, safe="").replace("%2F", "%2f").replace("%C3%A9", "%c3%a9"),
    "percent, slashes kept": quote,
    "form": quote_plus,
    "percent, twice": lambda value: quote(quote(value, safe=""), safe=""),
    "percent, every character": lambda value: "".join(f"%{octet:02x}" for octet in value.encode()),
    "HTML": html.escape,
    "HTML, twice": lambda value: html.escape(html.escape(value)),
    "HTML, decimal": lambda value: "".join(f"&#{ord(character)};" for character in value),
    "HTML, hexadecimal": lambda value: "".join(f"&#x{ord(character):X};" for character in value),
    "HTML, padded": lambda value: "".join(f"&#0{ord(character)};" for character in value),
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON, UTF-8": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "JSON, twice": lambda value: json.dumps(json.dumps(value))[1:-1],
    "JSON, every character": lambda value: "".join(f"\\u{ord(character):04x}" for character in value),
    "JSON, slashes": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "Go": lambda value: json.dumps(value)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
    "C": lambda value: "".join(f"\\x{octet:02x}" for octet in value.encode()),
    "ECMAScript": lambda value: "".join(f"\\u{{{ord(character):x}}}" for character in value),
    "shell": lambda value: "'" + value.replace("'", "'\\''") + "'",
    "shell, as Python quotes": shlex.quote,
    "hex": lambda value: value.encode().hex(),
    "hex, upper case": lambda value: value.encode().hex().upper(),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64, second in a pair": lambda value: base64.b64encode(b"u:" + value.encode() + b"!").decode(),
    "base64, third": lambda value: base64.b64encode(b"x" + value.encode()).decode(),
    "base64, for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64, percent": lambda value: quote(base64.b64encode(value.encode()).decode(), safe=""),
}
HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "a cookie": f"theme=red; session={TOKEN.replace(' ', '')}; x=1",
    "Basic": "Basic " + base64.b64encode(PAIR.encode()).decode(),
    "an API key": TOKEN,
    "a scheme of one's own": f"Acme {TOKEN}",
    "parameters": f'Digest username="u", response="{TOKEN.replace(chr(34), "")}"',
}


def finding(**members: Any) -> bytes:
    event = {
        "template-id": "a",
        "info": {"name": "n", "severity": "critical", "description": "template security headers"},
        "type": "http",
        "host": "app.example.com",
        "port": "443",
        "matched-at": "https://app.example.com/a",
        "timestamp": "2026-11-27T07:00:00Z",
        "matcher-status": True,
    }
    return json.dumps(event | members, separators=(",", ":")).encode()


def secret_in(header: str) -> str:
    value = HEADERS[header]
    match header:
        case "a cookie":
            return TOKEN.replace(" ", "")
        case "parameters":
            return TOKEN.replace('"', "")
        case "Basic":
            return TOKEN
        case "an API key":
            return value
        case _:
            return value.partition(" ")[2]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_echo_is_blotted_out_in_every_encoding(header: str, encoding: str) -> None:
    redactor = Redactor({header if header == "Authorization" else "X-Any": HEADERS[header]})
    echo = ENCODINGS[encoding](secret_in(header))
    core = echo.strip("'")[4:-4]
    line = redactor.finding(finding(response=f"<p>you sent {echo}, thanks</p>"))
    response = json.loads(line)["response"]
    assert core not in response
    assert BLOT in response
    assert response.startswith("<p>you sent ")
    assert response.endswith(", thanks</p>")
    assert core not in redactor.raw(f"[WRN] bad answer {echo} of a".encode()).decode()


def test_basic_is_blotted_out_as_pair_and_as_password() -> None:
    redactor = Redactor({"Authorization": "Basic " + base64.b64encode(b"scanner:correct-horse").decode()})
    assert redactor.text("hello scanner:correct-horse") == f"hello {BLOT}"
    assert redactor.text("scanner, correct-horse!") == f"scanner, {BLOT}!"


@pytest.mark.parametrize(
    "member",
    [
        "request",
        "response",
        "curl-command",
        "error",
        "extracted-results",
        "meta",
        "interaction",
        "a-member-of-tomorrow",
    ],
)
def test_every_text_of_a_finding_is_searched_however_deep(member: str) -> None:
    value = {"text": "s3cr3t-t0k3n", "list": ["x s3cr3t-t0k3n", 1, None, {"s3cr3t-t0k3n": "s3cr3t-t0k3n"}]}
    line = Redactor({"X-Key": "s3cr3t-t0k3n"}).finding(finding(**{member: value}))
    assert json.loads(line)[member] == {"text": BLOT, "list": [f"x {BLOT}", 1, None, {BLOT: BLOT}]}


COMMON = "template security headers critical example matcher-status timestamp info severity application"


@pytest.mark.parametrize("name", ["User-Agent", "Accept", "X-Scanned-By", "Authorization", "Cookie", "X-Api-Key"])
def test_values_of_common_words_never_garble_what_identifies_a_finding(name: str) -> None:
    """A scan whose findings lose `template-id` counts nothing, and says that it is complete."""
    line = Redactor({name: COMMON}).finding(finding(request=f"GET / HTTP/1.1\r\n{name}: {COMMON}\r\n\r\n"))
    event, before = json.loads(line), json.loads(finding())
    assert {key: value for key, value in event.items() if key != "request"} == before
    assert event["request"] == f"GET / HTTP/1.1\r\n{name}: {BLOT}\r\n\r\n"
    assert fingerprint.of(line) == fingerprint.of(finding())


def test_words_of_a_user_agent_are_no_secrets_and_its_whole_is() -> None:
    redactor = Redactor({"User-Agent": "Acme security scanner"})
    assert redactor.text("our security template") == "our security template"
    assert redactor.text("by Acme security scanner") == f"by {BLOT}"


@pytest.mark.parametrize(
    ("place", "redacted"),
    [
        ("https://app.example.com/find?q=s3cr3t-t0k3n&p=1", f"https://app.example.com/find?q={BLOT}&p=1"),
        ("https://app.example.com/s/s3cr3t-t0k3n#x", f"https://app.example.com/s/{BLOT}#x"),
        ("https://u:s3cr3t-t0k3n@app.example.com/", f"https://u:{BLOT}@app.example.com/"),
        ("https://s3cr3t-t0k3n.example.com:8443/", "https://s3cr3t-t0k3n.example.com:8443/"),
        ("s3cr3t-t0k3n.example.com:22", "s3cr3t-t0k3n.example.com:22"),
    ],
)
def test_a_place_keeps_its_host_and_loses_an_echoed_secret(place: str, redacted: str) -> None:
    members = {
        "matched-at": place,
        "url": place,
        "host": "s3cr3t-t0k3n.example.com" if "s3cr3t-t0k3n.e" in place else "app.example.com",
    }
    line = Redactor({"X-Key": "s3cr3t-t0k3n"}).finding(finding(**members))
    assert json.loads(line)["matched-at"] == json.loads(line)["url"] == redacted


@pytest.mark.parametrize(
    ("member", "place", "redacted"),
    [
        ("matched-at", "https://s3cr3t-t0k3n.evil.example/x", f"https://{BLOT}.evil.example/x"),
        ("url", "http://a@s3cr3t-t0k3n/", f"http://a@{BLOT}/"),
        ("matched-at", "s3cr3t-t0k3n", BLOT),
        ("path", "s3cr3t-t0k3n", BLOT),
        ("path", "/s/s3cr3t-t0k3n", f"/s/{BLOT}"),
    ],
)
def test_a_place_elsewhere_keeps_no_secret_for_its_host(member: str, place: str, redacted: str) -> None:
    """Lost otherwise: a secret that a host puts into a redirect's address."""
    line = Redactor({"X-Key": "s3cr3t-t0k3n"}).finding(finding(**{member: place}))
    assert json.loads(line)[member] == redacted


UUID = "550e8400-e29b-41d4-a716-4466554400ab"
LONG = "eyJhbGciOiJIUzI1NiJ9." + "Ab3" * 40 + ".sig-Xy"
KEY = "abc=d~f?ghi>12345"
PAIR_64 = base64.b64encode(b"id7:SECRETkey99").decode()
REWRITTEN = {
    "UUID in upper case": (UUID, UUID.upper()),
    "UUID without dashes": (UUID, UUID.replace("-", "")),
    "UUID without dashes, sent": (UUID.replace("-", ""), UUID.upper()),
    "base64, wrapped": (LONG, base64.encodebytes(LONG.encode()).decode().strip()),
    "base64, wrapped by a mail": (LONG, base64.encodebytes(LONG.encode()).decode().strip().replace("\n", "\r\n ")),
    "base64, for URLs": (KEY, base64.urlsafe_b64encode(KEY.encode()).decode()),
    "hex with colons": (KEY, KEY.encode().hex(":")),
    "hex with blanks": (KEY, KEY.encode().hex(" ").upper()),
    "quoted-printable": (KEY, KEY.replace("=", "=3D")),
    "quoted-printable, soft break": (KEY, KEY[:9] + "=\r\n" + KEY[9:]),
    "escape()": (KEY, "".join(f"%u{ord(character):04x}" for character in KEY)),
    "Python": (KEY, "".join(f"\\U{ord(character):08x}" for character in KEY)),
    "UTF-16": (KEY, "".join(f"{character}\0" for character in KEY)),
    "zero-width blanks": (KEY, "\u200b".join(KEY)),
    "HTML, decimal, padded": (KEY, "".join(f"&#{ord(character):012};" for character in KEY)),
    "HTML, hexadecimal, padded": (KEY, "".join(f"&#x{ord(character):012x};" for character in KEY)),
    "HTML, a long name": ("abc|def|ghi1", "abc&VerticalLine;def&verbar;ghi1"),
}


@pytest.mark.parametrize(("value", "echo"), REWRITTEN.values(), ids=REWRITTEN)
def test_an_echo_is_found_however_it_is_separated_wrapped_or_capitalized(value: str, echo: str) -> None:
    """Lost otherwise: the secret, in a form that whoever reads the artifact undoes at once."""
    response = json.loads(Redactor({"X-Api-Key": value}).finding(finding(response=f"you sent {echo}, thanks")))[
        "response"
    ]
    rest = response.removeprefix(f"you sent {BLOT}")
    assert rest.endswith(", thanks")
    assert len(rest) - len(", thanks") <= 4, "padding at most"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "ApiKey user:SECRETkey99"),
        ("X-Auth-Token", "user:SECRETkey99"),
        ("Authorization", f"ApiKey {PAIR_64}"),
        ("X-Api-Key", PAIR_64),
        ("Authorization", f"Basic {PAIR_64.rstrip('=')}"),
        ("Proxy-Authorization", f"basic  {PAIR_64}"),
        ("Cookie", 'session={"id":"SECRETkey99"}'),
        ("Cookie", "session=%7B%22id%22%3A%22SECRETkey99%22%7D; a=b"),
    ],
)
def test_a_part_that_is_a_secret_by_itself_is_found(name: str, value: str) -> None:
    """Lost otherwise: a key, by a host that takes the header apart before it echoes it."""
    assert Redactor({name: value}).text("key SECRETkey99.") == f"key {BLOT}."


@pytest.mark.parametrize(
    "echo",
    [
        "HTTP_X_PIN={}",
        "[X-Pin] => {}",
        "<td>X-Pin</td><td>{}</td>",
        "('X-Pin', '{}')",
        '"X-Pin": ["{}"]',
        "map[X-Pin:[{}]]",
    ],
)
def test_a_short_value_is_found_in_every_listing_of_headers(echo: str) -> None:
    """Lost otherwise: a PIN, on any page that lists what was sent."""
    assert Redactor({"X-Pin": "4711"}).text(f"4711 {echo.format('4711')}") == f"4711 {echo.format(BLOT)}"


def test_a_rotated_secret_leaves_the_finding_the_same() -> None:
    marks = {
        fingerprint.of(Redactor({"X-Key": key}).finding(finding(**{"matched-at": f"https://a.example/?q={key}"})))
        for key in ("s3cr3t-t0k3n", "an0ther-0ne-later")
    }
    assert len(marks) == 1


def test_a_line_without_a_secret_stays_byte_for_byte() -> None:
    line = (
        b'{"template-id" : "a", "n":12345678901234567890.10, "response":"\\u003cb\\u003e \xff", "url":"http:\\/\\/a"}'
    )
    assert Redactor({"X-Key": "s3cr3t-t0k3n"}).finding(line) == line
    assert Redactor({}).finding(line) is line


def test_the_rest_of_a_line_with_a_secret_stays_byte_for_byte() -> None:
    line = b'{"template-id":"a","info":{"x":1.50, "y":"\\u003c"},"n":98765432109876543210,"response":"s3cr3t-t0k3n"}'
    assert Redactor({"X-Key": "s3cr3t-t0k3n"}).finding(line) == line.replace(b"s3cr3t-t0k3n", BLOT.encode())


def test_a_short_value_is_blotted_out_beside_its_name_only() -> None:
    redactor = Redactor({"X-Pin": "red1"})
    assert redactor.text('hundred1 {"X-Pin": "red1"} x-pin: red1; x-pin=red12') == (
        f'hundred1 {{"X-Pin": "{BLOT}"}} x-pin: {BLOT}; x-pin=red12'
    )


def test_the_recorded_request_has_no_rest_of_a_value_that_nuclei_masked_in_part() -> None:
    members = {
        "request": "GET / HTTP/1.1\r\nX-Api-Key: ***rest of it\r\nAccept: */*\r\n\r\n",
        "curl-command": "curl -X 'GET' -H 'Accept: */*' -H 'X-Api-Key: ***re'\\''st' 'http://a/'",
    }
    event = json.loads(Redactor({"X-Api-Key": "one, rest of it"}).finding(finding(**members)))
    assert event["request"] == f"GET / HTTP/1.1\r\nX-Api-Key: {BLOT}\r\nAccept: */*\r\n\r\n"
    assert event["curl-command"] == f"curl -X 'GET' -H 'Accept: */*' -H 'X-Api-Key: {BLOT}' 'http://a/'"


def test_bytes_that_are_no_utf8_are_found_as_they_are_and_as_nuclei_writes_them() -> None:
    redactor = Redactor({"X-Key": b"s3cr\xe9t-t0k3n".decode(errors="surrogateescape")})
    assert redactor.raw(b"\xff s3cr\xe9t-t0k3n \xff") == b"\xff [redacted] \xff"
    assert redactor.raw(b"s3cr%E9t-t0k3n") == b"[redacted]"


def test_a_secret_across_two_pieces_of_one_long_line_is_found() -> None:
    pieces = Pieces(Redactor({"X-Key": "s3cr3t-t0k3n"}))
    kept = b"".join(pieces.feed(piece) for piece in (b"a" * 5000 + b" s3cr3", b"t-t0", b"k3n b")) + pieces.rest()
    assert kept == b"a" * 5000 + b" [redacted] b"


@settings(max_examples=300)
@given(
    text=st.text(alphabet="ab%25&#;\\u0'+=\"x{}é\udcff\n", max_size=60),
    secret=st.text(alphabet="ab%2&#\\'+=é", min_size=8, max_size=12),
)
def test_whatever_is_around_it_a_plain_secret_goes_and_nothing_breaks(text: str, secret: str) -> None:
    redactor = Redactor({"X-Key": secret})
    assert secret not in redactor.text(f"{text} {secret} {text}")
    line = json.dumps({"template-id": "a", "response": f"{text} {secret} {text}"}).encode()
    assert secret not in json.loads(redactor.finding(line))["response"]
