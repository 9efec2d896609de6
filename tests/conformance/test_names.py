"""Names of the hosts file, where the kubelet writes a plan's `hostAliases`: what the runner's `-r` must not hide."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.conformance.conftest import Site, needs_root
from tests.conformance.laboratory import Laboratory

NAME = "alias.scanplan.example"


@needs_root
def test_a_name_of_the_hosts_file_is_scanned_with_resolvers_that_do_not_know_it(
    scanner: Path, site: Site, tmp_path: Path
) -> None:
    """Lost otherwise: every host alias of a plan, since the runner always names resolvers."""
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n127.0.0.2 {NAME}\n")
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
