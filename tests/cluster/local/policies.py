"""Enforces NetworkPolicies on a local cluster's node: kube-router, of which only the firewall runs.

It turns the policies of the API server into rules of iptables and ipset in the cluster's network namespace.
Clusters start without it: few tests need it, and building it takes a minute.
"""

from tests.cluster import programs
from tests.cluster.errors import MissingError
from tests.cluster.local import binaries
from tests.cluster.local.cluster import LocalCluster
from tests.cluster.local.components import ETC, NODE, SERVICE_NETWORK, Component


def enforce(cluster: LocalCluster) -> None:
    """Enforce policies from now on. Rules follow a change of policies or pods within a few seconds.

    Raises MissingError where ipset is not installed.
    """
    if programs.find("ipset") is None:
        raise MissingError("not installed: ipset, which NetworkPolicies are enforced with (apt-get install ipset)")
    (folder,) = binaries.folders(binaries.ADDED)
    cluster.run(
        Component(
            name="kube-router",
            argv=(
                str(folder / "kube-router"),
                f"--kubeconfig={ETC}/admin.kubeconfig",
                f"--hostname-override={NODE}",
                "--run-firewall=true",
                "--run-router=false",
                "--run-service-proxy=false",
                f"--service-cluster-ip-range={SERVICE_NETWORK}",
            ),
            ready="http://127.0.0.1:20244/healthz",
        )
    )
