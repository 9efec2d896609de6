"""What would be lost: every scan of a name that only the cluster's own DNS knows."""

from __future__ import annotations

from pathlib import Path

from scanplan.runner.nuclei.launch import resolvers


def test_the_pods_own_servers_are_used_in_their_order(tmp_path: Path) -> None:
    configuration = tmp_path / "resolv.conf"
    configuration.write_text(
        "# made by the kubelet\nsearch default.svc.cluster.local\nnameserver 10.96.0.10\nnameserver fd00::a # second\n"
        "nameserver\nnameserver not-an-address\noptions ndots:5\n"
    )
    assert resolvers.own(configuration) == ["10.96.0.10:53", "[fd00::a]:53"]


def test_a_machine_without_servers_has_none(tmp_path: Path) -> None:
    assert resolvers.own(tmp_path / "resolv.conf") == []
