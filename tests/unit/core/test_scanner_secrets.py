"""The Secrets that scan pods read: what is refused before a pod is made, and where each is mounted."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api.errors import InputUnavailable, InvalidPlan
from scanplan.core.manifests import jobs
from scanplan.core.planning import scanner_secrets
from scanplan.core.planning.inputs import Input, Inputs, Kind, Reference
from tests.unit.core.objects import CLAIM, INPUTS, POLICY, plan, task

CERTIFICATE = {
    "tls.crt": b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "tls.key": b"-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n",
}
USES: dict[str, tuple[str, dict[str, bytes]]] = {
    "headersFrom": ("headers", {"X-Api-Key": b"s3cr3t"}),
    "variablesFrom": ("variables", {"user": b"guest"}),
    "clientCertificateFrom": ("client-certificate", CERTIFICATE),
}


def spec(field: str, **scanner: Any) -> Any:
    return plan(scanner={field: {"secretRef": {"name": "own"}}, **scanner})


def given(use: str, files: dict[str, bytes], label: str | None = None) -> Inputs:
    return {Reference(Kind.SECRET, "own", use): Input(files=files, labels={"scanplan.dev/use": label or use})}


@pytest.mark.parametrize("field", USES)
def test_a_secret_is_for_the_use_that_it_is_labelled_with(field: str) -> None:
    """Lost otherwise: a Secret of another use, which anybody who may make plans would send to a host of their own."""
    use, files = USES[field]
    scanner_secrets.check(spec(field).spec.scanner, given(use, files))
    for other in ("endpoints", "notifier", *(each for each, _ in USES.values() if each != use)):
        with pytest.raises(InputUnavailable, match=f"label it scanplan.dev/use={use}"):
            scanner_secrets.check(spec(field).spec.scanner, given(use, files, other))


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
    folders = [made.document.headers_folder, made.document.variables_folder, made.document.client_certificate_folder]
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
        scanner_secrets.check(of.spec.scanner, given("variables", files))
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
        scanner_secrets.check(spec("clientCertificateFrom").spec.scanner, given("client-certificate", files))
    assert "SECRET" not in refused.value.message
