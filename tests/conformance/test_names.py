"""Names in the scan pod: of the hosts file, where the kubelet writes a plan's `hostAliases`, and of the resolvers (`-r`)."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.conformance import dns
from tests.conformance.conftest import LOOPBACK, Site, needs_ipv6, needs_root
from tests.conformance.laboratory import Laboratory

NAME = "alias.scanplan.example"


@needs_root
@pytest.mark.parametrize("address", ["127.0.0.2", pytest.param("::1", marks=needs_ipv6)])
def test_a_name_of_the_hosts_file_is_scanned_with_resolvers_that_do_not_know_it(
    scanner: Path, site: Site, tmp_path: Path, address: str
) -> None:
    """Lost otherwise: every host alias of a plan, since the runner always names resolvers."""
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{address} {NAME}\n")
    folder = tmp_path / "within"
    folder.mkdir()
    within = folder / "nuclei"
    inner = f'mount --bind {shlex.quote(str(hosts))} /etc/hosts && exec {shlex.quote(str(scanner))} "$@"'
    within.write_text(f'#!/bin/sh\nexec unshare --mount sh -c {shlex.quote(inner)} sh "$@"\n')
    within.chmod(0o755)
    resolvers = tmp_path / "resolvers"
    resolvers.write_text("127.0.0.1:9\n")
    lab = Laboratory(within, tmp_path)
    target = site.url.replace("127.0.0.1", NAME)
    done = lab.run("-l", lab.targets(target), "-r", resolvers, "-t", lab.template("a"))
    assert [event["host"] for event in done.events] == [NAME]


RESOLVERS = ["127.0.0.1", *(["::1"] if "[::1]" in LOOPBACK else [])]


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("name", ["four.example", pytest.param("six.example", marks=needs_ipv6)])
def test_a_name_that_one_resolver_alone_knows_is_scanned(lab: Laboratory, site: Site, resolver: str, name: str) -> None:
    """Lost otherwise: names of a company's own resolver (`dnsConfig`), or of an IPv6-only network."""
    zone = dns.Zone({"six.example": "::1"}, four_example=[["127.0.0.2"]])
    with dns.serving(zone, resolver) as server:
        resolvers = lab.file("resolvers.txt", f"{server}\n")
        target = site.url.replace("127.0.0.1", name)
        done = lab.run("-l", lab.targets(target), "-r", resolvers, "-t", lab.template("a"))
    assert [event["host"] for event in done.events] == [name]
    assert zone.asked[name]
