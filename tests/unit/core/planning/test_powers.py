"""What the owner has to allow first: out-of-band servers, and programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scanplan.api.errors import InputUnavailable, InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.manifests import jobs
from scanplan.core.planning.sources import Input, Inputs, Kind, Reference
from scanplan.core.planning.task import Task, resolve
from tests.unit.core.objects import CLAIM, INPUTS, NOW, POLICY, plan

OPEN = replace(POLICY, allowed_interactsh_servers=("https://oast.example", "*.oast.example", "*:8443", "http://*"))
WITH_TOKEN = {"server": "https://oast.example", "tokenFrom": {"secretRef": {"name": "own"}}}


def made(interactsh: dict[str, Any], inputs: Inputs = INPUTS, policy: Any = OPEN) -> Task:
    return resolve(plan(scanner={"interactsh": interactsh}), policy, NOW, inputs)


def given(files: dict[str, bytes], use: str = "interactsh") -> Inputs:
    secret = Reference(Kind.SECRET, "own", "interactsh")
    return {CLAIM: INPUTS[CLAIM], secret: Input(files=files, labels={"scanplan.dev/use": use})}


@pytest.mark.parametrize(
    ("server", "reason", "words"),
    [
        ("https://elsewhere.example", Reason.INVALID_SPEC, "SCANPLAN_ALLOWED_INTERACTSH_SERVERS"),
        ("oast.example", Reason.INVALID_SPEC, "SCANPLAN_ALLOWED_INTERACTSH_SERVERS"),
        ("http://169.254.169.254", Reason.TARGET_DENIED, "169.254.0.0/16"),
        ("http://[::ffff:127.0.0.1]:8080", Reason.TARGET_DENIED, "127.0.0.0/8"),
        ("http://2852039166", Reason.TARGET_DENIED, "169.254.0.0/16"),
        ("http://kubernetes.default.svc", Reason.TARGET_DENIED, "kubernetes.default"),
    ],
)
def test_the_owner_says_which_servers_there_are(server: str, reason: Reason, words: str) -> None:
    """Lost otherwise: names of hosts with holes, to whoever runs the server."""
    with pytest.raises(InvalidPlan, match=words) as refused:
        made({"server": server})
    assert refused.value.reason is reason


def test_programs_run_only_where_the_owner_allows_them() -> None:
    """Lost otherwise: the target guard, the Secrets of the scan, and the pod."""
    spec = plan(scanner={"code": True})
    with pytest.raises(InvalidPlan, match="SCANPLAN_ALLOW_CODE"):
        resolve(spec, POLICY, NOW, INPUTS)
    assert resolve(spec, replace(POLICY, allow_code=True), NOW, INPUTS).document.scanner.code


def test_browsers_run_only_where_the_owner_allows_them() -> None:
    """Lost otherwise: the target guard, which Nuclei does not hold a browser to."""
    spec = plan(scanner={"headless": True})
    with pytest.raises(InvalidPlan, match="SCANPLAN_UNGUARDED_PROTOCOLS"):
        resolve(spec, POLICY, NOW, INPUTS)
    assert resolve(spec, replace(POLICY, unguarded_protocols=("headless",)), NOW, INPUTS).document.scanner.headless


@pytest.mark.parametrize(
    ("own", "default", "memory"),
    [
        ({}, {}, "2Gi"),
        ({}, {"memory": "1Gi"}, "2Gi"),
        ({}, {"memory": "4Gi"}, "4Gi"),
        ({"memory": "512Mi"}, {}, "512Mi"),
    ],
)
def test_a_browser_has_memory_of_its_own(own: dict[str, str], default: dict[str, str], memory: str) -> None:
    policy = replace(POLICY, unguarded_protocols=("headless",), default_limits=default)
    spec = plan(scanner={"headless": True}, podTemplate={"resources": {"limits": own}})
    job = jobs.build(resolve(spec, policy, NOW, INPUTS), spec, policy)
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == memory


def test_without_a_word_of_the_owner_there_is_none() -> None:
    with pytest.raises(InvalidPlan, match="allow-list"):
        made({"server": "https://oast.example"}, policy=POLICY)


@pytest.mark.parametrize("server", ["a.oast.example", "oast.internal:8443", "https://oast.example"])
def test_an_allowed_server_is_another_scan(server: str) -> None:
    with_server = made({"server": server})
    assert with_server.document.scanner.interactsh_server == server
    assert with_server.key != resolve(plan(), OPEN, NOW, INPUTS).key


@pytest.mark.parametrize(
    "server", ["a.example,b.example", "ftp://a.example", "https://u:p@a.example", "a.example/x", "-x"]
)
def test_what_is_no_server_is_refused_by_the_schema(server: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        plan(scanner={"interactsh": {"server": server}})


def test_the_token_is_mounted_and_in_no_document() -> None:
    task = made(WITH_TOKEN, given({"token": b"s3cr3t-t0k3n\n"}))
    spec = plan(scanner={"interactsh": WITH_TOKEN})
    job = jobs.build(task, spec, OPEN)
    (mount,) = [
        each
        for each in job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        if each["name"] == "interactsh"
    ]
    assert mount["mountPath"] == task.document.interactsh_folder == "/etc/scanplan/interactsh"
    assert "s3cr3t" not in str(job)
    with pytest.raises(InputUnavailable, match=r"label it scanplan\.dev/use=interactsh"):
        made(WITH_TOKEN, given({"token": b"x"}, "headers"))


@pytest.mark.parametrize(
    "files", [{}, {"key": b"SECRET"}, {"token": b""}, {"token": b"SEC RET"}, {"token": b"\xffSECRET"}]
)
def test_a_token_that_can_not_be_sent_stops_the_plan_and_is_not_quoted(files: dict[str, bytes]) -> None:
    with pytest.raises(InvalidPlan, match="no key 'token'") as refused:
        made(WITH_TOKEN, given(files))
    assert "SECRET" not in refused.value.message
