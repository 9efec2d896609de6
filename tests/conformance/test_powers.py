"""What is off until a plan switches it on: workflows, fuzzing, programs. On or off, each template is told of."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from scanplan.api.documents.records import ShardRecord
from scanplan.api.documents.report import ShardReport
from scanplan.api.documents.task import ScannerOptions
from scanplan.api.documents.words import FuzzInputMode, Outcome
from tests.conformance.desk import CONFIGURATION, Desk, Server

PLAIN = "http: [{method: GET, path: ['{{BaseURL}}%s'], matchers: [{type: word, words: [%s]}]}]"
FUZZ = """http:
  - pre-condition: [{type: dsl, dsl: ['method == "GET"']}]
    payloads: {x: [zz9, yy8]}
    fuzzing: [{part: query, type: postfix, mode: single, fuzz: ['{{x}}']}]
    matchers: [{type: word, words: [hello]}]"""
WORKFLOW = """workflows:
  - template: w/tech.yaml
    subtemplates: [{template: w/sub.yaml}]
  - template: w/never.yaml
    subtemplates: [{template: w/other.yaml}]"""


@pytest.fixture(autouse=True)
def _(only_real: Callable[[str], None]) -> None:
    only_real("runs plain templates only")


def put(desk: Desk, name: str, body: str) -> None:
    identifier = pathlib.Path(name).stem
    desk.put(name, f"id: {identifier}\ninfo: {{name: x, author: t, severity: info}}\n{body}\n")


def switched(desk: Desk, **on: Any) -> None:
    desk.options["scanner"] = ScannerOptions(request_timeout_seconds=2, request_retries=0, **on)


def found(desk: Desk) -> set[str]:
    files = (desk.folder / "run").rglob("*.ndjson")
    return {json.loads(line).get("template-id") for file in files for line in file.read_text().splitlines()} - {None}


def not_run(record: ShardRecord) -> dict[str, str]:
    return {each.template: each.reason for each in record.templates_not_run}


def with_workflow(desk: Desk, body: str = WORKFLOW, **options: Any) -> tuple[ShardReport, ShardRecord]:
    put(desk, "w/wf.yaml", body)
    put(desk, "w/tech.yaml", PLAIN % ("/tech", "hello"))
    put(desk, "w/sub.yaml", PLAIN % ("/sub", "hello"))
    put(desk, "w/never.yaml", PLAIN % ("/never", "zzz"))
    put(desk, "w/other.yaml", PLAIN % ("/other", "hello"))
    desk.options["workflows"] = ("w/wf.yaml",)
    desk.options |= options
    with Server() as live:
        return desk.scan(live.url, named=desk.options.pop("named", ()))


def test_a_workflow_runs_what_follows_from_what_it_finds(desk: Desk) -> None:
    report, record = with_workflow(desk)
    assert (report.outcome, report.error) == (Outcome.COMPLETE, None), record
    assert found(desk) == {"sub"}
    assert (record.templates_run, record.templates_not_run) == (1, ())


def test_templates_and_workflows_run_beside_each_other(desk: Desk) -> None:
    put(desk, "plain.yaml", PLAIN % ("/", "hello"))
    report, record = with_workflow(desk, named=("plain",))
    assert (report.outcome, found(desk), record.templates_run) == (Outcome.COMPLETE, {"sub", "plain"}, 2)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("workflows: [{template: w/none.yaml}]", "w/none.yaml, which is not there"),
        ("workflows: [{template: w/tech.yaml, subtemplates: [{template: w/asks.yaml}]}]", "can't be kept from denied"),
        ("workflows: [{subtemplates: [{template: w/tech.yaml}]}]", "neither template nor tags"),
        ("workflows: [{template: ../outside.yaml}]", "outside of the template sources"),
        ("workflows: [{template: w/tech.yaml, matchers: 5, subtemplates: 7}, 3, {template: w/no.yaml}]", "not there"),
    ],
)
def test_a_workflow_that_may_not_run_is_told(desk: Desk, body: str, words: str) -> None:
    """Lost otherwise: the target guard, which holds no whois."""
    put(desk, "w/asks.yaml", "whois: [{query: '{{Host}}', matchers: [{type: word, words: [x]}]}]")
    report, _ = with_workflow(desk, body)
    assert report.error is not None
    assert words in report.error.message


@pytest.mark.parametrize("on", [False, True])
def test_fuzzing_is_done_where_the_plan_wants_it(desk: Desk, live: Server, *, on: bool) -> None:
    put(desk, "fuzz.yaml", FUZZ)
    put(desk, "plain.yaml", PLAIN % ("/", "hello"))
    switched(desk, dast=on)
    report, record = desk.scan(f"{live.url}/a?b=1&c=2")
    assert report.outcome is Outcome.COMPLETE
    assert found(desk) == ({"plain", "fuzz"} if on else {"plain"})
    assert ("-dast flag is required" in str(not_run(record))) is not on
    assert record.requests >= (5 if on else 1)


def test_what_has_nothing_to_fuzz_is_told(desk: Desk, live: Server) -> None:
    put(desk, "fuzz.yaml", FUZZ)
    put(desk, "plain.yaml", PLAIN % ("/", "hello"))
    switched(desk, dast=True)
    _, record = desk.scan(live.url)
    assert "does not apply to these endpoints" in not_run(record)["fuzz.yaml"]


def signed(desk: Desk, tmp_path: pathlib.Path, *names: str) -> pathlib.Path:
    """Sign templates, as their owner does; the configuration of an image that knows the signer."""
    key, certificate = tmp_path / "key.pem", tmp_path / "signer.crt"
    curve = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
    own = [
        "openssl",
        "req",
        "-x509",
        "-new",
        "-key",
        str(key),
        "-subj",
        "/CN=team",
        "-days",
        "2",
        "-out",
        str(certificate),
    ]
    for command in (curve, own):
        subprocess.run(command, check=True, capture_output=True)
    environment = {**os.environ, "HOME": str(tmp_path), "NUCLEI_USER_PRIVATE_KEY": str(key)}
    environment |= {"NUCLEI_USER_CERTIFICATE": str(certificate), "NUCLEI_TEMPLATES_DIR": str(desk.roots[0])}
    files = ",".join(str(desk.roots[0] / name) for name in names)
    sign = [str(desk.scanner), "-sign", "-t", files, "-duc"]
    subprocess.run(sign, check=True, capture_output=True, env=environment, stdin=subprocess.DEVNULL)
    configuration = tmp_path / "configuration"
    shutil.copytree(CONFIGURATION, configuration)
    (configuration / "keys").mkdir()
    shutil.copyfile(certificate, configuration / "keys/nuclei-user.crt")
    return configuration


CODE = "code: [{engine: [sh], source: 'echo hello', matchers: [{type: word, words: [hello]}]}]"


@pytest.mark.parametrize(
    ("on", "sign", "told"),
    [(False, True, "-code flag is required"), (True, False, "Unverified code template"), (True, True, "")],
)
def test_programs_run_where_they_are_signed_and_allowed(
    desk: Desk, live: Server, tmp_path: pathlib.Path, *, on: bool, sign: bool, told: str
) -> None:
    put(desk, "run.yaml", CODE)
    put(desk, "plain.yaml", PLAIN % ("/", "hello"))
    if sign:
        desk.configuration = signed(desk, tmp_path, "run.yaml")
    switched(desk, code=on)
    report, record = desk.scan(live.url)
    assert report.outcome is Outcome.COMPLETE
    assert found(desk) == ({"plain"} if told else {"plain", "run"})
    assert told in str(not_run(record))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("code: [{engine: [sh], source: 'echo hello', matchers: [{type: word, words: [zzz]}]}]", ""),
        ("code: [{engine: [sh], source: 'echo no; exit 3', matchers: [{type: word, words: [zzz]}]}]", ""),
        (
            "flow: code(1) && http(1)\n"
            "code: [{engine: [sh], source: 'echo hello', matchers: [{type: word, words: [zzz], internal: true}]}]\n"
            + PLAIN
            % ("/b", "hello"),
            "",
        ),
        ("code: [{engine: [sh], source: 'kill -9 $$', matchers: [{type: word, words: [zzz]}]}]", "signal: killed"),
        ("code: [{engine: [no-such-engine], source: 'x', matchers: [{type: word, words: [zzz]}]}]", "not available"),
    ],
)
def test_a_program_that_finds_nothing_has_run(
    desk: Desk, live: Server, tmp_path: pathlib.Path, body: str, why: str
) -> None:
    """Lost otherwise: a plan of programs alone fails as soon as all is well. The trace log has nothing of them."""
    put(desk, "run.yaml", body)
    if why:
        put(desk, "plain.yaml", PLAIN % ("/", "hello"))
    desk.configuration = signed(desk, tmp_path, "run.yaml")
    switched(desk, code=True)
    report, record = desk.scan(live.url)
    assert (report.outcome, report.error) == (Outcome.COMPLETE, None), record
    assert why in str(not_run(record))
    assert record.templates_run == 1
    assert bool(record.templates_not_run) is bool(why)


def test_with_programs_no_template_names_its_own_target(desk: Desk, live: Server, tmp_path: pathlib.Path) -> None:
    """Lost otherwise: the plan's endpoints, since -code has Nuclei load templates that have targets of their own."""
    own = "self-contained: true\nhttp: [{method: GET, path: ['http://127.0.0.1:9/'], matchers: [{type: word, words: [x]}]}]"
    put(desk, "plain.yaml", PLAIN % ("/", "hello"))
    put(desk, "contained.yaml", own)
    put(desk, "both.yaml", f"{own}\n{CODE}")
    desk.configuration = signed(desk, tmp_path, "both.yaml", "contained.yaml")
    switched(desk, code=True)
    _, record = desk.scan(live.url)
    assert "names its targets itself" in not_run(record)["both.yaml"]
    assert "self-contained" in not_run(record)["contained.yaml"]


def test_own_signers_count_where_signatures_are_verified(desk: Desk, live: Server, tmp_path: pathlib.Path) -> None:
    put(desk, "plain.yaml", PLAIN % ("/", "hello"))
    desk.configuration = signed(desk, tmp_path, "plain.yaml")
    switched(desk, verify_signatures=True)
    report, _ = desk.scan(live.url)
    assert (report.outcome, found(desk)) == (Outcome.COMPLETE, {"plain"})


OPENAPI = """openapi: 3.0.1
info: {title: x, version: '1'}
servers: [{url: 'http://127.0.0.9:1'}]
security: [{key: []}]
components: {securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}}
paths:
  /shop/{id}:
    get:
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer}}
        - {name: q, in: query, required: true, schema: {type: string}}
      responses: {200: {description: ok}}
"""
SWAGGER = """swagger: '2.0'
info: {title: x, version: '1'}
host: 127.0.0.9:1
paths:
  /shop:
    get: {parameters: [{name: q, in: query, type: string, default: x}], responses: {200: {description: ok}}}
"""
RAW = "GET /shop?q=1 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"


@pytest.mark.parametrize("mode", ["openapi", "swagger", "jsonl", "yaml", "burp"])
def test_fuzzing_begins_with_the_requests_of_a_file(
    desk: Desk, live: Server, tmp_path: pathlib.Path, mode: str
) -> None:
    put(desk, "fuzz.yaml", FUZZ)
    put(desk, "plain.yaml", PLAIN % ("/", "hello"))
    record = f'{{"url": "{live.url}/shop?q=1", "request": {{"raw": "{RAW}"}}}}\n'
    other = record.replace(live.url, "http://127.0.0.9:1")
    encoded = base64.b64encode(b"GET /shop?q=1 HTTP/1.1\r\nHost: x\r\n\r\n").decode()
    item = f"<item><url>{live.url}/shop?q=1</url><request base64='true'>{encoded}</request></item>"
    text = {
        "openapi": OPENAPI,
        "swagger": SWAGGER,
        "jsonl": record + other,
        "yaml": f"{other}---\n{record}",
        "burp": f"<items>{item}{item.replace(live.url, 'http://127.0.0.9:1')}</items>",
    }[mode]
    file = tmp_path / "requests"
    file.write_text(text)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    desk.options |= {"requests_mode": FuzzInputMode(mode), "requests_file": str(file), "requests_digest": digest}
    switched(desk, dast=True)
    report, record_ = desk.scan(live.url)
    assert (report.outcome, report.error, record_.templates_not_run) == (Outcome.COMPLETE, None, ()), record_
    assert found(desk) == {"plain", "fuzz"}
    lines = [line for each in (desk.folder / "run").rglob("*.ndjson") for line in each.read_text().splitlines()]
    assert any("/shop" in line for line in lines)
    assert not any("127.0.0.9" in line for line in lines)


def test_a_file_that_was_edited_since_is_not_used(desk: Desk, live: Server, tmp_path: pathlib.Path) -> None:
    put(desk, "fuzz.yaml", FUZZ)
    file = tmp_path / "requests"
    file.write_text(OPENAPI)
    desk.options |= {"requests_mode": FuzzInputMode.OPENAPI, "requests_file": str(file), "requests_digest": "0" * 64}
    switched(desk, dast=True)
    report, _ = desk.scan(live.url)
    assert report.error is not None
    assert report.error.reason == "InputsChanged"


HEADLESS = """headless:
  - steps: [{action: navigate, args: {url: '{{BaseURL}}/'}}, {action: waitload}]
    matchers: [{type: word, part: resp, words: [hello]}]"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no Chromium")
@pytest.mark.parametrize("on", [False, True])
def test_browsers_are_started_where_the_plan_wants_it(desk: Desk, live: Server, *, on: bool) -> None:
    put(desk, "browser.yaml", HEADLESS)
    put(desk, "plain.yaml", PLAIN % ("/", "hello"))
    switched(desk, headless=on)
    with tempfile.TemporaryDirectory() as short:  # Chromium's socket has a path of at most 107 characters
        desk.temporary = pathlib.Path(short)
        report, record = desk.scan(live.url)
    assert (report.outcome, report.error) == (Outcome.COMPLETE, None)
    assert found(desk) == ({"plain", "browser"} if on else {"plain"})
    assert ("-headless flag is required" in str(not_run(record))) is not on


def test_an_image_without_a_browser_is_told(desk: Desk, live: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nuclei would fetch one from the internet otherwise, which no scan pod may."""
    monkeypatch.setenv("PATH", "/nonexistent")
    if pathlib.Path("/usr/bin/chromium").exists():
        pytest.skip("Nuclei looks at /usr/bin/chromium too")
    put(desk, "browser.yaml", HEADLESS)
    switched(desk, headless=True)
    report, _ = desk.scan(live.url)
    assert report.error is not None
    assert "no Chromium" in report.error.message
