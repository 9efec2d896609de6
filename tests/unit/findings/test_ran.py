"""What a scan has looked for: closed otherwise is what nobody has checked, and open for ever what is fixed."""

from __future__ import annotations

import pytest

from scanplan.findings.ran import Ran, ShardRan

from .sightings import sighting

ENDPOINTS = (
    "a.example",
    "b.example:8443",
    "http://a.example/app",
    "http://c.example",
    "http://c.example/one",
    "http://c.example/two",
    "https://c.example",
)


def ran(
    *,
    trusted: int = 0b1111111,
    gaps: dict[str, int] | None = None,
    endpoints: tuple[str, ...] = ENDPOINTS,
    excluded: tuple[str, ...] = (),
) -> Ran:
    """A scan with a template ``t``, which has no gaps by default."""
    shard = ShardRan(
        endpoints=endpoints,
        trusted=trusted,
        templates=frozenset({"t", "lg-nas-rce"}),
        gaps=gaps or {},
        excluded_matchers=frozenset(excluded),
    )
    return Ran([shard])


TARGETS = {
    "the endpoint itself": ("http://c.example/one", True),
    "with its default port": ("http://c.example:80/one", True),
    "in another spelling": ("HTTP://C.example./one/", True),
    "another path": ("http://c.example/three", False),
    "another port": ("http://c.example:8080", False),
    "another scheme": ("https://c.example/one", False),
    "another host": ("http://d.example", False),
    "an endpoint without scheme": ("https://b.example:8443", True),
    "an endpoint without port": ("http://a.example", True),
    "an endpoint without port, by TLS": ("https://a.example", True),
    "a port that the template chose": ("c.example:6379", True),
    "a name": ("c.example", True),
    "a port of a host that is not scanned": ("d.example:6379", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize("case", TARGETS)
def test_a_finding_is_looked_for_where_its_target_is_scanned(case: str) -> None:
    target, expected = TARGETS[case]
    assert ran().looked_for(sighting(target=target)) is expected


def test_a_target_that_did_not_answer_resolves_nothing() -> None:
    assert not ran(trusted=0b1101111).looked_for(sighting(target="http://c.example/one"))
    assert ran(trusted=0b1101111).looked_for(sighting(target="http://c.example/two"))


def test_a_template_that_did_not_run_resolves_nothing() -> None:
    assert not ran().looked_for(sighting(template="other"))


def test_a_template_that_failed_at_one_endpoint_resolves_nothing_there() -> None:
    partly = ran(gaps={"t": 0b0010000})
    assert not partly.looked_for(sighting(target="http://c.example/one"))
    assert partly.looked_for(sighting(target="http://c.example/two"))


def test_a_renamed_template_looks_for_what_it_found_before() -> None:
    assert ran().looked_for(sighting(template="CVE-2018-10818", target="http://c.example"))


def test_an_endpoint_that_is_not_in_the_plan_any_more_resolves_nothing() -> None:
    assert not ran(endpoints=("http://c.example/two",)).looked_for(sighting(target="http://c.example/one"))


EXCLUDED = {
    "the matcher": ("t:leak", False),
    "all of the template": ("t:*", False),
    "the template by its id alone": ("t", False),
    "all of the name": ("*:leak", False),
    "another matcher": ("t:other", True),
    "a name that only begins so": ("t:lea", True),
    "another template": ("u:leak", True),
    "another case": ("t:Leak", True),
}


@pytest.mark.parametrize("case", EXCLUDED)
def test_a_matcher_that_is_excluded_is_not_looked_for(case: str) -> None:
    """Closed otherwise: a weakness that is still there, because its findings were left out."""
    excluded, expected = EXCLUDED[case]
    assert ran(excluded=(excluded,)).looked_for(sighting(matcher="leak")) is expected


def test_a_finding_without_a_matcher_is_left_out_with_its_template_alone() -> None:
    assert ran(excluded=("t:leak", "*:leak")).looked_for(sighting())
    assert not ran(excluded=("t:*",)).looked_for(sighting())


def test_a_matcher_is_excluded_under_the_new_name_of_its_template() -> None:
    renamed = sighting(template="CVE-2018-10818", matcher="leak", target="http://c.example")
    assert not ran(excluded=("lg-nas-rce:leak",)).looked_for(renamed)


def test_several_shards_are_one_scan() -> None:
    shards = [
        ShardRan(endpoints=(endpoint,), trusted=trusted, templates=frozenset({"t"}), gaps={})
        for endpoint, trusted in (("http://a.example", 1), ("http://b.example", 0))
    ]
    assert Ran(shards).looked_for(sighting(target="http://a.example"))
    assert not Ran(shards).looked_for(sighting(target="http://b.example"))


def test_a_scan_without_evidence_has_looked_nowhere() -> None:
    assert not Ran([]).looked_for(sighting())
