"""Requests to fuzz: a file may name any host, and only the plan's endpoints are asked."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from scanplan.api.documents.words import FuzzInputMode as Mode
from scanplan.api.errors import InputUnavailable, InvalidPlan
from scanplan.core.manifests import jobs
from scanplan.core.planning.nuclei import fuzz_inputs
from scanplan.core.planning.sources import Input, Inputs, Kind, Reference
from scanplan.core.planning.task import Task
from tests.unit.core.objects import CLAIM, INPUTS, POLICY, plan, task

OPENAPI = b"""
openapi: 3.0.1
info: {title: x, version: 2024-01-01}
servers: [{url: 'http://169.254.169.254/latest'}]
security: [{key: []}]
paths:
  /a:
    servers: [{url: 'http://kubernetes.default'}]
    get:
      servers: [{url: 'http://10.0.0.1'}]
      security: [{key: []}]
      parameters: [{name: on, in: query, schema: {type: string, default: yes}}]
      responses: {200: {description: ok}}
"""
SWAGGER = b"{swagger: '2.0', host: metadata.internal, schemes: [http], basePath: /x, paths: {/a: {get: {}}}}"
RAW = "GET /a?b=1 HTTP/1.1\r\nHost: a.example\r\n\r\n"
URLS = [
    "https://a.example/a?b=1",
    "http://a.example/a?b=1",
    "https://elsewhere.example/",
    "http://169.254.169.254/",
    "file:///x",
]
BURP = (
    "<?xml version='1.0'?><!DOCTYPE items [<!ELEMENT items (item*)>]><items>"
    + "".join(
        f"<item><url><![CDATA[{url}]]></url><request base64='true'>{base64.b64encode(RAW.encode()).decode()}</request></item>"
        for url in URLS
    )
    + "</items>"
).encode()
JSONL = "\n".join(json.dumps({"url": url, "request": {"raw": RAW}}) for url in URLS).encode()
YAML = "---\n".join(json.dumps({"url": url, "request": {"raw": RAW}}) + "\n" for url in URLS).encode()


def given(mode: Mode, content: bytes, *targets: str) -> Any:
    found = fuzz_inputs.for_targets(mode, content, targets)
    if found is None:
        return None
    nucleis, file = found
    if nucleis == "jsonl":
        return [json.loads(line)["url"] for line in file.splitlines()]
    return json.loads(file)


def test_a_description_is_of_the_plans_endpoints_whatever_servers_it_names() -> None:
    """Lost otherwise: the target guard, behind a line of somebody's API description."""
    made = given(Mode.OPENAPI, OPENAPI, "https://a.example/v1", "http://b.example:8080")
    assert made["servers"] == [{"url": "https://a.example/v1"}, {"url": "http://b.example:8080"}]
    assert not {"169.254", "kubernetes", "10.0.0.1", "security"} & {
        word for word in ("169.254", "kubernetes", "10.0.0.1", "security") if word in json.dumps(made)
    }
    assert made["paths"]["/a"]["get"]["parameters"][0] == {
        "name": "on", "in": "query", "schema": {"type": "string", "default": "yes"},
    }  # fmt: skip
    made = given(Mode.SWAGGER, SWAGGER, "https://a.example:8443/v1")
    assert (made["host"], made["basePath"], made["schemes"]) == ("a.example:8443", "/v1", ["https"])


@pytest.mark.parametrize(
    "path", ["@evil.example/x", ".evil.example/", ":6443/", "evil", "", "http://evil.example/", r"\\evil"]
)
@pytest.mark.parametrize(
    ("mode", "version"), [(Mode.OPENAPI, {"openapi": "3.0.0"}), (Mode.SWAGGER, {"swagger": "2.0"})]
)
def test_a_path_that_goes_on_with_the_host_is_refused(mode: Mode, version: dict[str, str], path: str) -> None:
    """Lost otherwise: the secret headers, to whoever has the host that Nuclei reads there."""
    content = json.dumps(version | {"paths": {"/a": {"get": {}}, path: {"get": {}}}}).encode()
    with pytest.raises(InvalidPlan, match="has a path that does not begin with /") as refused:
        fuzz_inputs.check(mode, content, ["https://a.example"])
    assert not path or path not in refused.value.message


@pytest.mark.parametrize("path", ["//evil.example/x", "/@evil.example", r"/\evil.example", "/{x}"])
def test_a_path_that_begins_with_a_slash_is_on_the_plans_host(path: str) -> None:
    made = given(Mode.OPENAPI, json.dumps({"openapi": "3.0.0", "paths": {path: {}}}).encode(), "https://a.example")
    assert list(made["paths"]) == [path]


@pytest.mark.parametrize("name", ["Servers", "SERVERS", "\u017fervers", "Paths", "PATHS", "path\u017f", "webhooks"])
def test_nothing_of_a_description_is_passed_on_under_another_spelling(name: str) -> None:
    """Go reads a member of JSON in any case. Lost otherwise: the same as above."""
    content = {"openapi": "3.0.0", "paths": {"/a": {}}, name: {"@evil.example/": {}}, "x-y": 1, "components": {"z": 2}}
    made = given(Mode.OPENAPI, json.dumps(content).encode(), "https://a.example")
    assert set(made) == {"openapi", "paths", "x-y", "components", "servers"}


def test_extensions_of_paths_are_no_paths() -> None:
    """Nuclei reads those of Swagger as paths."""
    content = json.dumps({"swagger": "2.0", "paths": {"/a": {}, "x-@evil.example/": {"get": {}}}}).encode()
    assert list(given(Mode.SWAGGER, content, "https://a.example")["paths"]) == ["/a"]


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (r"http://evil.example\@a.example/", None),
        ("http://user:word@a.example/x?y=1,2", None),
        ("http://a.example/x?y=1,2&z='#top", "http://a.example/x?y=1,2&z='#top"),
        ("http://evil.example#@a.example/", None),
        ("http://evil.example?@a.example/", None),
        ("HTTP://A.EXAMPLE./x", "http://a.example/x"),
        ("http://\uff41.example:80", "http://a.example:80"),
        ("http://a.example\t.evil.example/", None),
        ("http:a.example", None),
        ("http:///a.example", None),
        ("//a.example/", None),
        ("about:blank", None),
        ("", None),
        ("http://[", None),
        ("http://a..example/", None),
        ("http://a.example:x/", None),
        ("http://-a.example/", None),
        ("http://as15169/", None),
    ],
)
def test_a_recorded_request_is_sent_to_the_host_that_was_looked_at(url: str, asked: str | None) -> None:
    """Lost otherwise: the guard, by an address that Nuclei reads otherwise."""
    content = json.dumps({"url": url, "request": {"raw": RAW}}).encode()
    assert given(Mode.JSONL, content, "a.example") == ([asked] if asked else None)


@pytest.mark.parametrize(
    "url", ["http://SECRET..example/", "about:blank", "http://[SECRET", "http://a.example:SECRET/"]
)
def test_an_odd_url_of_another_host_is_left_out_as_all_others_are(url: str) -> None:
    """Lost otherwise: all recorded requests, by one of a page that they were recorded beside."""
    content = b"\n".join(json.dumps({"url": each, "request": {"raw": RAW}}).encode() for each in (url, URLS[0], url))
    fuzz_inputs.check(Mode.JSONL, content, ["a.example"])
    assert given(Mode.JSONL, content, "a.example") == URLS[:1]


@pytest.mark.parametrize("line", [b"SECRET", b"[1]", b'{"request": [1]}', b"[" * 100_000], ids=len)
def test_a_file_is_looked_at_to_its_end_before_a_pod_is_made(line: bytes) -> None:
    """Lost otherwise: the retries, in pods that read on where the operator has stopped."""
    with pytest.raises(InvalidPlan, match="can't be read as mode jsonl"):
        fuzz_inputs.check(Mode.JSONL, JSONL + b"\n" + line, ["https://a.example"])


@pytest.mark.parametrize(("mode", "content"), [(Mode.BURP, BURP), (Mode.JSONL, JSONL), (Mode.YAML, YAML)])
@pytest.mark.parametrize(
    ("targets", "taken"),
    [
        (["https://a.example"], URLS[:1]),
        (["a.example:80"], URLS[1:2]),
        (["a.example"], URLS[:2]),
        (["b.example"], None),
        (["https://a.example:8443"], None),
    ],
    ids=str,
)
def test_of_recorded_requests_those_to_the_plans_endpoints_are_taken(
    mode: Mode, content: bytes, targets: list[str], taken: list[str] | None
) -> None:
    assert given(mode, content, *targets) == taken


@pytest.mark.parametrize(
    ("mode", "content", "targets", "words"),
    [
        (Mode.OPENAPI, OPENAPI, ["a.example"], "with http:// or https://"),
        (Mode.OPENAPI, SWAGGER, ["https://a.example"], "no line `openapi: 3"),
        (Mode.SWAGGER, SWAGGER, ["https://a.example", "https://b.example"], "make a plan for each endpoint"),
        (Mode.OPENAPI, b"openapi: 3.0.0", ["https://a.example"], "describes no paths"),
        (Mode.OPENAPI, b"&a [*a]", ["https://a.example"], "write it plainly"),
        (Mode.OPENAPI, b"!!bool SECRET", ["https://a.example"], "a value that its tag does not allow"),
        (Mode.YAML, b"!!bool SECRET", ["https://a.example"], "a value that its tag does not allow"),
        (Mode.OPENAPI, b"{SECRET", ["https://a.example"], "is no YAML"),
        (Mode.OPENAPI, b"x" * (2 << 20), ["https://a.example"], "more than 1024 KiB"),
        (Mode.BURP, b"<SECRET", ["https://a.example"], "is no XML"),
        (Mode.BURP, BURP.replace(b">R", b">*"), ["https://a.example"], "a request that is no base64"),
        (Mode.JSONL, b"SECRET", ["https://a.example"], "can't be read as mode jsonl"),
        (Mode.JSONL, b"[1]", ["https://a.example"], "can't be read as mode jsonl"),
        (Mode.YAML, b"SECRET", ["https://a.example"], "can't be read as mode yaml"),
        (Mode.JSONL, JSONL, ["https://b.example"], "no request to an endpoint"),
    ],
)
def test_a_file_that_nothing_can_begin_with_stops_the_plan(
    mode: Mode, content: bytes, targets: list[str], words: str
) -> None:
    with pytest.raises(InvalidPlan, match=words) as refused:
        fuzz_inputs.check(mode, content, targets)
    assert "SECRET" not in refused.value.message


SOURCE = {"mode": "openapi", "configMapKeyRef": {"name": "api", "key": "api.yaml"}}


def made(content: bytes = OPENAPI, key: str = "api.yaml", **scanner: Any) -> Task:
    inputs: Inputs = {CLAIM: INPUTS[CLAIM], Reference(Kind.CONFIG_MAP, "api"): Input(files={key: content})}
    return task(plan(scanner={"dast": True, "requestsFrom": SOURCE, **scanner}), inputs=inputs)


def test_the_file_is_mounted_and_its_content_is_in_the_key() -> None:
    assert len({made().key, made(OPENAPI + b"# x").key, task(plan(scanner={"dast": True})).key}) == 3
    done = made()
    pod = jobs.build(done, plan(scanner={"dast": True, "requestsFrom": SOURCE}), POLICY)["spec"]["template"]["spec"]
    assert {"name": "requests", "configMap": {"name": "api"}} in pod["volumes"]
    (mount,) = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "requests"]
    assert f"{mount['mountPath']}/api.yaml" == done.document.requests_file


def test_a_file_that_is_not_there_or_not_wanted_is_told() -> None:
    with pytest.raises(InputUnavailable, match=r"no key 'api\.yaml'; it has other"):
        made(key="other")
    with pytest.raises(InvalidPlan, match=r"set scanner\.dast too"):
        made(dast=False)
