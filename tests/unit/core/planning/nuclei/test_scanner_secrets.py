"""The Secrets that scan pods read: what is refused before a pod is made, and where each is mounted."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api.errors import InputUnavailable, InvalidPlan
from scanplan.core.manifests import jobs
from scanplan.core.planning.nuclei import logins, scanner_secrets
from scanplan.core.planning.sources import Input, Inputs, Kind, Reference
from tests.unit.core.objects import CLAIM, INPUTS, POLICY, plan, task

CERTIFICATE = {
    "tls.crt": b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "tls.key": b"-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n",
}
FILE = b"""
id: team
info: {name: team, author: team, severity: info}
static:
  - {type: BasicAuth, domains: [a.example], username: guest, password: pass-w0rd}
dynamic:
  - type: Header
    domains-regex: ['.*']
    headers: [{key: X-Session, value: '{{session}}'}]
    template: logins/form.yaml
    variables: [{key: pass, value: pass-w0rd}]
    input: https://login.example
"""
USES: dict[str, tuple[str, dict[str, bytes]]] = {
    "headersFrom": ("headers", {"X-Api-Key": b"s3cr3t"}),
    "variablesFrom": ("variables", {"user": b"guest"}),
    "clientCertificateFrom": ("client-certificate", CERTIFICATE),
    "credentialsFrom": ("credentials", {"secrets.yaml": FILE}),
}


def spec(field: str, **scanner: Any) -> Any:
    return plan(scanner={field: {"secretRef": {"name": "own"}}, **scanner})


def given(use: str, files: dict[str, bytes], label: str | None = None) -> Inputs:
    return {Reference(Kind.SECRET, "own", use): Input(files=files, labels={"scanplan.dev/use": label or use})}


@pytest.mark.parametrize("field", USES)
def test_a_secret_is_for_the_use_that_it_is_labelled_with(field: str) -> None:
    """Lost otherwise: a Secret of another use, which anybody who may make plans would send to a host of their own."""
    use, files = USES[field]
    scanner_secrets.check(spec(field).spec.scanner, given(use, files), POLICY.guard)
    for other in ("endpoints", "notifier", *(each for each, _ in USES.values() if each != use)):
        with pytest.raises(InputUnavailable, match=f"label it scanplan.dev/use={use}"):
            scanner_secrets.check(spec(field).spec.scanner, given(use, files, other), POLICY.guard)


@pytest.mark.parametrize("field", USES)
def test_its_name_is_in_the_key_and_its_content_is_not(field: str) -> None:
    use, files = USES[field]
    rotated = dict(files, other=b"x") if use == "variables" else files
    keys = {
        task(plan(), inputs=INPUTS).key,
        *(task(spec(field), inputs={CLAIM: INPUTS[CLAIM], **given(use, each)}).key for each in (files, rotated)),
    }
    assert len(keys) == 2


@pytest.mark.parametrize("field", USES)
def test_it_is_mounted_in_scan_pods_read_only(field: str) -> None:
    use, files = USES[field]
    of = spec(field)
    made = task(of, inputs={CLAIM: INPUTS[CLAIM], **given(use, files)})
    pod = jobs.build(made, of, POLICY)["spec"]["template"]["spec"]
    assert {"name": use, "secret": {"secretName": "own"}} in pod["volumes"]
    (mount,) = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == use]
    assert mount == {"name": use, "mountPath": f"/etc/scanplan/{use}", "readOnly": True}
    document = made.document
    folders = [
        document.headers_folder,
        document.variables_folder,
        document.client_certificate_folder,
        document.credentials_folder,
    ]
    assert [each for each in folders if each] == [mount["mountPath"]]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"1st": b"x"}, "'1st' of variablesFrom has no name"),
        ({"a b": b"x"}, "has no name"),
        ({"user": b"SECRET\nmore"}, "more than one line"),
        ({"user": b"SECRET" * 1_000}, "more than one line"),
        ({"user": b"\xffSECRET"}, "is no text"),
        ({"BaseURL": b"SECRET"}, "take another name"),
        ({"user": b"/proc/self/SECRET"}, "names a file"),
        ({"team": b"SECRET"}, "in variables and in the Secret"),
    ],
    ids=str,
)
def test_a_variable_that_can_not_be_set_stops_the_plan_and_is_not_quoted(files: dict[str, bytes], words: str) -> None:
    of = spec("variablesFrom", variables=[{"name": "team", "value": "red"}])
    with pytest.raises(InvalidPlan, match=words) as refused:
        scanner_secrets.check(of.spec.scanner, given("variables", files), POLICY.guard)
    assert "SECRET" not in refused.value.message


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"tls.crt": CERTIFICATE["tls.crt"]},
        {"tls.key": CERTIFICATE["tls.key"]},
        CERTIFICATE | {"tls.key": b"SECRET"},
    ],
)
def test_a_certificate_without_its_key_stops_the_plan(files: dict[str, bytes]) -> None:
    with pytest.raises(InvalidPlan, match="kubectl create secret tls") as refused:
        scanner_secrets.check(
            spec("clientCertificateFrom").spec.scanner, given("client-certificate", files), POLICY.guard
        )
    assert "SECRET" not in refused.value.message


HEADER = "type: Header, domains: [a.example]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("static: []", "neither static nor dynamic"),
        ("[SECRET", "is no YAML"),
        ("static: [{password: !!bool SECRET}]", "a value that its tag does not allow"),
        ("&a {static: [*a]}", "write it plainly"),
        ("[" * 99 + "]" * 99, "nested too deep"),
        ("SECRET", "is no secrets file"),
        ("statics: [SECRET]", "unknown field `statics`"),
        ("static: [{type: SECRET, domains: [a.example]}]", "another type at static.0"),
        ("static: [{type: BearerToken, token: SECRET}]", "names no host at static.0"),
        ("static: [{type: BasicAuth, domains: [a], username: SECRET}]", "username and password"),
        ("static: [{type: BasicAuth, domains: [a], username: SECRET, password: 12345}]", "Expected `str`, got `int`"),
        (f"static: [{{{HEADER}}}]", "headers, each with key and value"),
        (f"static: [{{{HEADER}, headers: [{{key: SECRET, value: ''}}]}}]", "headers, each with key and value"),
        ("static: [{type: Cookie, domains: [a], cookies: [{key: SECRET}]}]", "or raw"),
        ("static: [{type: Query, domains: [a]}]", "params"),
        (f"dynamic: [{{{HEADER}, template: ../a.yaml, variables: [{{key: a, value: SECRET}}]}}]", "names no template"),
        (f"dynamic: [{{{HEADER}, template: a.yaml, variables: []}}]", "no variables"),
        (f"dynamic: [{{{HEADER}, template: a.yaml, variables: [{{key: a, value: $SECRET}}]}}]", "begins with"),
        ("dynamic: [{template: a.yaml, variables: [{key: a, value: SECRET}]}]", "neither type nor secrets"),
        (
            f"dynamic: [{{{HEADER}, template: a.yaml, variables: [{{key: a, value: b}}]}}]".replace(
                "Header", "Query"
            ).replace("a.example]", "a], params: [{key: a, value: SECRET}]"),
            "puts a session into URLs",
        ),
        (FILE.decode().replace("https://login.example", "http://169.254.169.254"), "may not be scanned"),
    ],
)
def test_credentials_that_nuclei_would_not_use_stop_the_plan_and_are_not_quoted(text: str, words: str) -> None:
    """Lost otherwise: the scan behind the login, which then looks like one that found nothing."""
    given_files = given("credentials", {"secrets.yaml": text.encode()})
    with pytest.raises(InvalidPlan, match=words) as refused:
        scanner_secrets.check(spec("credentialsFrom").spec.scanner, given_files, POLICY.guard)
    assert "SECRET" not in refused.value.message


def test_credentials_are_one_file() -> None:
    two = given("credentials", {"a": FILE, "b": FILE})
    with pytest.raises(InvalidPlan, match="has 2 keys"):
        scanner_secrets.check(spec("credentialsFrom").spec.scanner, two, POLICY.guard)


@pytest.mark.parametrize(
    ("hosts", "idle"),
    [
        ("domains: [a.example]", False),
        ("domains: ['A.example:443']", False),
        ("domains: ['b.example:8443']", False),
        ("domains: [b.example]", True),
        ("domains: [c.example, example]", True),
        ("domains-regex: ['^a']", False),
        ("domains-regex: ['^z']", True),
        ("domains-regex: ['(?P>x)']", False),
    ],
)
def test_credentials_for_no_endpoint_are_named(hosts: str, idle: bool) -> None:
    """Lost otherwise: why a scan saw nothing behind the login, such as for a port that is missing."""
    read = logins.parse({"x": f"static: [{{type: BearerToken, token: t, {hosts}}}]".encode()})
    found = logins.unused(read, ["https://a.example/app", "https://b.example:8443", "d.example"])
    assert found == (["static[0]"] if idle else [])
