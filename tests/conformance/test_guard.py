"""What Nuclei's own exclusion holds when it dials, and what it doesn't: the runner is built on both."""

from __future__ import annotations

import pathlib

import pytest

import tests.doubles
from tests.conformance import dns
from tests.conformance.conftest import Site
from tests.conformance.laboratory import Laboratory

DENIED = "127.0.0.1/32"
"""The site listens there and on 127.0.0.2."""


def named(site: Site, name: str) -> str:
    return site.url.replace("127.0.0.1", name)


def template(lab: Laboratory, kind: str) -> pathlib.Path:
    """A template that asks for /robots.txt in one of Nuclei's ways."""
    head = f"id: {kind}\ninfo: {{name: a, author: tests, severity: info}}\n"
    match kind:
        case "plain":
            return lab.template("plain")
        case "raw":
            more = ""
        case _:
            more = f"    {kind}: true\n"
    if kind == "race":
        more += "    race_count: 2\n"
    return lab.file(
        f"templates/{kind}.yaml",
        head
        + "http:\n  - raw:\n      - |+\n        GET /robots.txt HTTP/1.1\n        Host: {{Hostname}}\n\n"
        + more
        + "    matchers: [{type: status, status: [200]}]\n",
    )


KINDS = ["plain", "raw", "unsafe", "pipeline", "race"]
OF_THE_STAND_IN = ("plain", "raw")


def scan(lab: Laboratory, target: str, template: object, zone: dns.Zone, *exclusion: str) -> None:
    with dns.serving(zone) as resolver:
        servers = lab.file("resolvers.txt", f"{resolver}\n")
        lab.run("-l", lab.targets(target), "-t", template, "-r", servers, *exclusion)


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_leads_to_a_denied_address_is_not_dialled_by_any_kind_of_request(
    lab: Laboratory, doubles: tests.doubles.Doubles, site: Site, kind: str
) -> None:
    if lab.scanner == doubles.nuclei and kind not in OF_THE_STAND_IN:
        pytest.skip("the stand-in has no such requests")
    zone = dns.Zone(denied_test=[["127.0.0.1"]])
    scan(lab, named(site, "denied.test"), template(lab, kind), zone, "-eh", DENIED)
    assert zone.asked
    assert site.requests() == {}
    scan(lab, named(site, "denied.test"), template(lab, kind), zone)
    assert site.requests(), "the template works where nothing is denied"


def test_a_name_with_an_allowed_and_a_denied_address_is_dialled(lab: Laboratory, site: Site) -> None:
    """Which is why the runner asks DNS before, and leaves such a name out."""
    zone = dns.Zone(both_test=[["127.0.0.2", "127.0.0.1"]])
    scan(lab, named(site, "both.test"), lab.template("a"), zone, "-eh", DENIED)
    assert site.requests() == {"/robots.txt": 1}


def test_a_name_that_is_bound_anew_to_a_denied_address_is_held_when_it_is_dialled(lab: Laboratory, site: Site) -> None:
    """The runner's look at DNS came before; what is answered at dial time counts for Nuclei."""
    zone = dns.Zone(rebound_test=[["127.0.0.2"], ["127.0.0.1"]])
    zone.addresses("rebound.test")  # the runner's own look
    scan(lab, named(site, "rebound.test"), lab.template("a"), zone, "-eh", DENIED)
    assert zone.asked["rebound.test"] > 1
    assert site.requests() == {}
