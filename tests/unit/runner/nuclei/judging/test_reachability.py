"""Endpoints that never answered must be known by name, although Nuclei ends well without them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from scanplan.runner.nuclei.judging.classify import doubt
from scanplan.runner.nuclei.judging.coverage import Coverage
from scanplan.runner.nuclei.judging.evidence import Addresses, Answers, Evidence, address
from scanplan.runner.nuclei.judging.reachability import Verdict, judge

REFUSED, TIMEOUT, RESET = "port closed or filtered", "i/o timeout", "connection reset by peer"
CANCELLED = "context cancelled before establishing connection"
DENIED = 'cause="denied address found for host"'
UNCLEAR = 'cause="could not connect to host"'


def line(where: str, error: str = "none", kind: str = "http", template: str = "/t/a.yaml", **more: str) -> bytes:
    cause = {} if error == "none" else {"kind": more.get("cause", "network-permanent-error")}
    return json.dumps(
        {
            "template": template,
            "type": kind,
            "input": where,
            "address": more.get("dialled", ""),
            "error": error,
            **cause,
        }
    ).encode()


def verdict(
    endpoints: list[str], lines: list[bytes], *, skipped: tuple[str, ...] = (), listens: bool = False
) -> Verdict:
    evidence = Evidence(endpoints)
    for each in lines:
        evidence.feed(each)
    return judge(evidence, skipped, (), lambda asked: asked if listens else ())


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://a.example", "a.example:80"),
        ("https://a.example/x", "a.example:443"),
        ("https://a.example:8443", "a.example:8443"),
        ("a.example:22", "a.example:22"),
        ("A.example", "a.example"),
        ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080"),
        ("2001:db8::1:8080", "[2001:db8::1]:8080"),
        ("http://a.example:x", "http://a.example:x"),
    ],
)
def test_addresses(endpoint: str, expected: str) -> None:
    assert address(endpoint) == expected


def test_an_address_belongs_to_the_endpoint_that_names_it_and_else_to_all_of_its_host() -> None:
    addresses = Addresses(["http://a:1", "a", "http://b:1"])
    assert [addresses.find(name) for name in ("a:1", "a:2", "b:1", "c:1")] == [0b001, 0b011, 0b100, 0]


ALIVE, DEAD = "http://a:1", "http://b:1"
CASES = {
    # endpoints, lines → scanned, unreachable, skipped
    "answers": ([ALIVE], [line(ALIVE)], [ALIVE], [], []),
    "own port refused": ([DEAD], [line(DEAD, REFUSED)], [], [DEAD], []),
    "own port refused, name asked about": ([DEAD], [line(DEAD, REFUSED), line("b", kind="dns")], [], [DEAD], []),
    "own port refused, another open": ([DEAD], [line(DEAD, REFUSED), line("b:22", kind="tcp")], [], [DEAD], []),
    "only other ports, refused": ([ALIVE], [line("a:110", REFUSED, "tcp")], [ALIVE], [], []),
    "only other ports, silent": ([ALIVE], [line("a:110", TIMEOUT, "tcp")], [], [ALIVE], []),
    "another port refused, told under its own": (
        [ALIVE], [line("a:1", REFUSED, "tcp", dialled="a:110")], [ALIVE], [], []
    ),
    "another port silent, told under its own": (
        [ALIVE], [line(ALIVE), line("a:1", CANCELLED, "tcp", dialled="a:110")], [ALIVE], [], []
    ),
    "its own port, of which only the address is dialled": (
        [ALIVE], [line("a:1", TIMEOUT, "tcp", dialled="192.0.2.1:1")], [], [ALIVE], []
    ),
    "a broken answer": ([ALIVE], [line(ALIVE, 'cause="malformed HTTP response \\"x\\""')], [ALIVE], [], []),
    "a certificate": ([ALIVE], [line(ALIVE, "x509: certificate signed by unknown authority")], [ALIVE], [], []),
    "a client certificate is wanted": (
        [ALIVE], [line(ALIVE, 'cause="remote error: tls: certificate required"')], [], [ALIVE], []
    ),
    "another client certificate is wanted, by TLS 1.2": (
        [ALIVE], [line(ALIVE, 'cause="remote error: tls: bad certificate"')], [], [ALIVE], []
    ),
    "no TLS": ([ALIVE], [line(ALIVE, 'cause="tls: first record does not look like a TLS handshake"')], [ALIVE], [], []),
    "a template's own fault": ([ALIVE], [line(ALIVE, "x", cause="template-logic-error")], [], [], [ALIVE]),
    "only its name asked about": (["a"], [line("a", kind="dns")], ["a"], [], []),
    "nothing sent": ([ALIVE], [], [], [], [ALIVE]),
    "no scheme, both guesses refused": (["a"], [line("https://a/", REFUSED), line("http://a/", REFUSED)], [], ["a"], []),
    "no scheme, guessed": (["a"], [line("https://a/x", REFUSED), line("http://a/x")], ["a"], [], []),
    "no scheme, a template's port refused": (["a"], [line("a:110", REFUSED, "tcp")], ["a"], [], []),
    "a name that lives and its dead port": (
        ["a", "http://a:9"],
        [line("http://a/x"), line("http://a:9/x", REFUSED), line("http://a:9/y", REFUSED)],
        ["a"], ["http://a:9"], [],
    ),
    "two paths of one address": (
        ["http://a:1/x", "http://a:1/y"], [line("http://a:1/x/1")], ["http://a:1/x", "http://a:1/y"], [], []
    ),
    "IPv6, with and without brackets": (["http://[::1]:8"], [line("::1:8", "none", "tcp")], ["http://[::1]:8"], [], []),
    "query right behind the port": ([ALIVE], [line(f"{ALIVE}?q=http://b:1")], [ALIVE], [], []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_endpoint_is_judged_by_what_came_of_its_own_requests(case: str) -> None:
    endpoints, lines, scanned, unreachable, skipped = CASES[case]
    found = verdict(endpoints, lines)
    assert (list(found.scanned), list(found.unreachable), list(found.skipped)) == (scanned, unreachable, skipped)


A, B = "http://a:1", "http://b:1"
STATES: dict[str, Callable[[str], list[bytes]]] = {
    "scanned": lambda where: [line(where)],
    "dead": lambda where: [line(where, TIMEOUT)],
    "stopped": lambda where: [line(where)] + [line(where, TIMEOUT)] * 10,
    "denied": lambda where: [line(where, DENIED)],
    "untried": lambda where: [line(f"{address(where).partition(':')[0]}:110", TIMEOUT, "tcp")],
    "silent": lambda _where: [],
}


@pytest.mark.parametrize(
    ("states", "doubtful", "hopeless"),
    [
        (("scanned", "dead"), False, False),
        (("dead", "dead"), True, True),
        (("dead", "denied"), True, True),
        (("dead", "silent"), True, False),
        (("dead", "untried"), True, False),
        (("stopped", "stopped"), True, True),
        (("stopped", "dead"), True, True),
        (("stopped", "silent"), True, False),
        (("denied", "denied"), False, True),
        (("denied", "silent"), False, False),
        (("untried", "untried"), True, False),
        (("untried", "denied"), True, False),
        (("silent", "silent"), False, False),
    ],
)
def test_a_scan_goes_on_while_an_endpoint_may_answer(states: tuple[str, str], doubtful: bool, hopeless: bool) -> None:
    """Lost otherwise: all later steps, where one has nothing for the endpoints that answer."""
    found = verdict(
        [A, B], [each for where, state in zip((A, B), states, strict=True) for each in STATES[state](where)]
    )
    assert (found.doubtful, found.hopeless) == (doubtful, hopeless)
    given = {"covered": Coverage(loaded=1, run=1), "endpoints": 2, "excluded": 0, "shortages": {}, "finished": True}
    error = doubt(templates_loaded=1, verdict=found, **given)  # type: ignore[arg-type]
    assert error is not None or not hopeless, "a scan that ends early is no success"


@pytest.mark.parametrize("listens", [True, False])
def test_where_only_handshakes_failed_a_connection_decides(listens: bool) -> None:
    """Nuclei says the same of a closed port and of one that speaks no TLS."""
    found = verdict([ALIVE], [line("a:1", UNCLEAR, "ssl", cause="unknown-error")], listens=listens)
    assert (found.scanned == (ALIVE,), found.unreachable == (ALIVE,)) == (listens, not listens)


def test_all_of_them_are_asked_at_once() -> None:
    """Lost otherwise: the time of the scan, where many endpoints speak no TLS or are dead."""
    asked: list[list[str]] = []
    evidence = Evidence([ALIVE, DEAD, "http://c:1"])
    for where in ("a:1", "b:1"):
        evidence.feed(line(where, UNCLEAR, "ssl", cause="unknown-error"))
    evidence.feed(line("http://c:1"))
    found = judge(evidence, (), (), lambda them: asked.append(list(them)) or [ALIVE])  # type: ignore[func-returns-value]
    assert asked == [[ALIVE, DEAD]]
    assert (found.scanned, found.unreachable) == ((ALIVE, "http://c:1"), (DEAD,))


def test_what_is_missing_is_said_where_a_client_certificate_is_wanted() -> None:
    """Lost otherwise: the cause, since the host is up and no request reaches its application."""
    found = verdict([ALIVE, DEAD], [line(ALIVE, "remote error: tls: certificate required"), line(DEAD)])
    assert "1 of 2 endpoints ask for a client certificate" in " ".join(found.warnings)
    assert "certificate" not in " ".join(verdict([DEAD], [line(DEAD)]).warnings)


def test_a_name_that_resolves_to_a_denied_address_is_told_apart() -> None:
    found = verdict([ALIVE], [line(f"{ALIVE}/1", DENIED)])
    assert (found.unreachable, found.denied) == ((ALIVE,), (ALIVE,))
    (warning,) = found.warnings
    assert "target guard" in warning
    assert "never answered" not in warning, "it was not asked"


@pytest.mark.parametrize("ending", [[line(ALIVE, RESET)] * 10, [line(ALIVE, REFUSED)]])
def test_an_endpoint_that_dies_midway_is_told_with_counts(ending: list[bytes]) -> None:
    found = verdict([ALIVE, DEAD], [line(ALIVE)] * 20 + ending + [line(DEAD)], skipped=("a:1",))
    assert (found.scanned, found.skipped, found.stopped) == ((DEAD,), (ALIVE,), (ALIVE,))
    assert f"then {len(ending)} requests failed" in found.warnings[0]


HOSTS = [f"h{number}" for number in range(20)]
"""Many, since the order of a set differs with each name and process."""


@pytest.mark.parametrize("given_up", [80, 443])
def test_a_host_whose_other_guessed_port_is_closed_answers_still(given_up: int) -> None:
    """Lost otherwise: the same verdict from the same evidence, since the order of the ports decided."""
    lines = [line(f"http://{host}/", REFUSED) for host in HOSTS for _ in range(3)]
    lines += [line(f"https://{host}/") for host in HOSTS for _ in range(50)]
    lines += [line(f"http://{host}/", REFUSED) for host in HOSTS for _ in range(10)]
    if given_up == 80:  # one failure at the port that answers says nothing about the other
        lines += [line(f"https://{host}/", RESET) for host in HOSTS]
    found = verdict(HOSTS, lines, skipped=tuple(f"{host}:{given_up}" for host in HOSTS))
    assert (found.scanned, found.stopped) == (tuple(HOSTS), ())


def test_a_host_whose_answering_port_dies_has_stopped() -> None:
    lines = [line(f"https://{host}/") for host in HOSTS for _ in range(50)]
    lines += [line(f"https://{host}/", RESET) for host in HOSTS]
    found = verdict(HOSTS, lines, skipped=tuple(f"{host}:443" for host in HOSTS))
    assert found.stopped == tuple(HOSTS)
    assert all(each.count == 1 for each in found.troubled)


def test_failures_of_one_among_many_are_seen_and_single_ones_are_not_worth_a_word() -> None:
    endpoints = [f"http://h{number}:1" for number in range(20)]
    lines = [line(endpoint) for endpoint in endpoints for _ in range(100)]
    lines += [line(endpoints[3], RESET)] * 9 + [line(endpoints[3])] + [line(endpoints[5], RESET), line(endpoints[5])]
    found = verdict(endpoints, lines)
    assert len(found.scanned) == 20
    assert len(found.warnings) == 1
    assert f"{endpoints[3]} (9 of 110)" in found.warnings[0]
    assert endpoints[5] not in found.warnings[0]


def test_broken_lines_say_nothing() -> None:
    assert verdict([ALIVE], [b"{", b"\xff", b"[]", b"", line(ALIVE)]).scanned == (ALIVE,)


def test_our_own_shortage_is_no_silence_of_the_target() -> None:
    evidence = Evidence([ALIVE])
    evidence.feed(line(ALIVE, 'cause="too many open files" address=a:1'))
    assert evidence.shortages == {"too many open files": 1}
    assert evidence.contacts["a:1"].failed == 0


ANSWERS = {
    # answers to our checks → troubles, with their counts
    "clear": (Answers(clear=4), []),
    "throttled": (Answers(clear=1, throttled=3), [("throttled", 3, 4)]),
    "out of service": (Answers(unavailable=2), [("unavailable", 2, 2)]),
    "blocked": (Answers(clear=1, forbidden=5), [("blocked", 5, 6)]),
    "several": (Answers(throttled=1, forbidden=1), [("throttled", 1, 2), ("blocked", 1, 2)]),
    "two kinds of overload": (Answers(throttled=1, unavailable=1), [("throttled", 1, 2), ("unavailable", 1, 2)]),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_endpoints_that_throttle_or_block_the_scan_are_told_with_counts(case: str) -> None:
    """They answer, so all looks well, and nothing is found."""
    given, expected = ANSWERS[case]
    evidence = Evidence([ALIVE])
    evidence.feed(line(ALIVE))
    evidence.answers = {ALIVE: given}
    found = judge(evidence, (), (), lambda _asked: ())
    assert [(each.trouble, each.count, each.total) for each in found.troubled] == expected
    assert found.scanned == (ALIVE,)
    assert len(found.warnings) == len({each.trouble == "blocked" for each in found.troubled})
    assert all("1 of 1 endpoints" in warning for warning in found.warnings), "each endpoint counts once"
    assert all(each.remark in " ".join(found.warnings) for each in found.troubled)


def test_answers_of_several_runs_are_added() -> None:
    one, two = Answers(clear=1, throttled=2), Answers(unavailable=3, forbidden=4)
    one.add(two)
    assert one == Answers(clear=1, throttled=2, unavailable=3, forbidden=4)
