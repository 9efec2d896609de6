"""What a plan names besides itself, and what it is told where that isn't there."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api.errors import InputUnavailable, InvalidEndpoint, InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning import sources
from scanplan.core.planning.nuclei import scanner_secrets
from scanplan.core.planning.sources import Input, Kind, Reference
from tests.unit.core.objects import CLAIM, INPUTS, POLICY, plan

LIST, SECRET = Reference(Kind.CONFIG_MAP, "list"), Reference(Kind.SECRET, "hidden", "endpoints")
HEADERS = Reference(Kind.SECRET, "hidden", "headers")
FROM_LIST = {"endpointsFrom": [{"configMapKeyRef": {"name": "list", "key": "hosts"}}]}
FROM_SECRET = {"endpointsFrom": [{"secretKeyRef": {"name": "hidden", "key": "hosts"}}]}
USABLE = {"scanplan.dev/use": "endpoints"}


def endpoints(inputs: sources.Inputs, **spec: Any) -> list[str]:
    return [each.text for each in sources.endpoints(plan(**{"endpoints": [], **spec}).spec, inputs)]


def test_everything_that_is_named_is_asked_for_once() -> None:
    of = plan(
        endpointsFrom=[*FROM_LIST["endpointsFrom"], *FROM_LIST["endpointsFrom"], *FROM_SECRET["endpointsFrom"]],
        templatesFrom=[{"configMap": {"name": "list"}}, {"configMap": {"name": "own"}}, {"image": {"reference": "i"}}],
    )
    needed = sources.needed(of.spec, of.namespace, "scanplan-artifacts", POLICY)
    assert needed == (CLAIM, LIST, SECRET, Reference(Kind.CONFIG_MAP, "own"))


def test_one_endpoint_a_line_comments_and_empty_lines_apart() -> None:
    text = "# production\nhttps://a.example\r\n\n  b.example  \n#c.example\n"
    assert endpoints({LIST: Input(files={"hosts": text.encode()})}, **FROM_LIST) == ["https://a.example", "b.example"]


def test_inline_endpoints_come_too() -> None:
    found = endpoints({LIST: Input(files={"hosts": b"b.example"})}, **FROM_LIST, endpoints=["a.example"])
    assert found == ["a.example", "b.example"]


def test_a_secret_has_to_be_marked_for_it() -> None:
    """Otherwise whoever may create a plan could read any Secret by sending its lines to a host of their own."""
    files = {"hosts": b"a.example"}
    assert endpoints({SECRET: Input(files=files, labels=USABLE)}, **FROM_SECRET) == ["a.example"]
    for marks in ({}, {"scanplan.dev/use": "headers"}, {"scanplan.dev/use": "scanner"}, {"use": "endpoints"}):
        with pytest.raises(InputUnavailable, match=r"label it scanplan\.dev/use=endpoints"):
            endpoints({SECRET: Input(files=files, labels=marks)}, **FROM_SECRET)


def test_a_secret_of_endpoints_is_none_of_headers() -> None:
    """Otherwise a list of targets is sent to every target as headers, and headers are scanned as targets."""
    spec = plan(scanner={"headersFrom": {"secretRef": {"name": "hidden"}}}).spec
    scanner_secrets.check(spec.scanner, {HEADERS: Input(labels={"scanplan.dev/use": "headers"})}, POLICY.guard)
    for marks in ({}, USABLE, {"scanplan.dev/use": "scanner"}):
        with pytest.raises(InputUnavailable, match=r"label it scanplan\.dev/use=headers"):
            scanner_secrets.check(spec.scanner, {HEADERS: Input(labels=marks)}, POLICY.guard)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            Input(problem="there is none in namespace team"),
            "ConfigMap 'list' can't be used: there is none in namespace team",
        ),
        (Input(files={"other": b""}), "has no key 'hosts'; it has other"),
        (Input(), "has no key 'hosts'; it has none"),
    ],
)
def test_what_is_not_there_may_still_come(found: Input, words: str) -> None:
    with pytest.raises(InputUnavailable) as missing:
        endpoints({LIST: found}, **FROM_LIST)
    assert missing.value.reason is Reason.INPUT_UNAVAILABLE
    assert words in missing.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"# nothing yet\n", "names no endpoint"),
        (b"\xff\xfe\x00", "is not text"),
        (b"\n".join(b"h%d" % number for number in range(100_001)), "more than 100,000 endpoints"),
        (b"https://a.example/" + b"x" * 2_048, "longer than 2,048 characters"),
    ],
)
def test_what_is_there_and_makes_no_list_is_invalid(content: bytes, words: str) -> None:
    with pytest.raises(InvalidEndpoint, match=words):
        endpoints({LIST: Input(files={"hosts": content})}, **FROM_LIST)


def test_a_template_sources_content_is_its_digest() -> None:
    spec = plan(templatesFrom=[{"configMap": {"name": "list"}}, {"image": {"reference": "templates@sha256:ab"}}]).spec

    def digests(**files: bytes) -> list[str]:
        return sources.template_digests(spec, {LIST: Input(files=files)})

    first, image = digests(a=b"1", b=b"2")
    assert image == "templates@sha256:ab"
    assert digests(b=b"2", a=b"1")[0] == first
    assert len({first, digests(a=b"1", b=b"3")[0], digests(a=b"1", c=b"2")[0], digests(a=b"1")[0]}) == 4


def test_a_missing_claim_is_told_before_a_pod_waits_for_it() -> None:
    with pytest.raises(InputUnavailable, match="PersistentVolumeClaim 'scanplan-artifacts'"):
        sources.one_node_only("scanplan-artifacts", {CLAIM: Input(problem="there is none in namespace team")})
    assert not sources.one_node_only("scanplan-artifacts", INPUTS)


@pytest.mark.parametrize("value", [b"one\r\nInjected: two", b" \n", b"a" * 20_000])
def test_a_header_that_can_not_be_sent_stops_the_plan_and_is_not_quoted(value: bytes) -> None:
    """Otherwise the scan would run without its authentication, and find nothing."""
    secret = Input(files={"X-Api-Key": value}, labels={"scanplan.dev/use": "headers"})
    spec = plan(scanner={"headersFrom": {"secretRef": {"name": "session"}}}).spec
    with pytest.raises(InvalidPlan, match="'X-Api-Key'") as refused:
        scanner_secrets.check(spec.scanner, {Reference(Kind.SECRET, "session", "headers"): secret}, POLICY.guard)
    assert "Injected" not in refused.value.message


@pytest.mark.parametrize(
    "separator", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_lines_end_where_python_ends_them(separator: str) -> None:
    """The same list must have the same key as before."""
    text = separator.join(["a.example", "", "# comment", " b.example ", ""])
    of: dict[str, Any] = {"endpoints": [], **FROM_LIST}
    spec = plan(**of).spec
    found = [(each.text, each.line) for each in sources.endpoints(spec, {LIST: Input(files={"hosts": text.encode()})})]
    lines = [(line.strip(), number) for number, line in enumerate(text.splitlines(), 1)]
    assert found == [(line, number) for line, number in lines if line and not line.startswith("#")]


def test_too_much_is_said_after_what_is_missing() -> None:
    too_much: sources.Inputs = {LIST: Input(size=sources.PLAN_BYTES + 1)}
    with pytest.raises(InvalidPlan) as error:
        sources.check(too_much)
    assert error.value.reason is Reason.INPUTS_TOO_LARGE
    with pytest.raises(InputUnavailable):
        sources.check({**too_much, SECRET: Input(problem="there is none in namespace team")})
