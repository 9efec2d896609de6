"""What a new cluster's API server is given to hold: storage for claims, and an address for the DNS."""

from tests.cluster.local.api import Api
from tests.cluster.local.components import DNS_SERVICE, Node

STORAGE_CLASS = "standard"
"""Called as kind calls its own. Claims that name no class get it."""


def create(api: Api, node: Node, control_plane_only: bool) -> None:
    """Create them all."""
    api.create("/apis/storage.k8s.io/v1/storageclasses", storage_class())
    if not control_plane_only:
        api.create("/api/v1/namespaces", {"metadata": {"name": "kube-system"}})  # the API server may not have got to it
        api.create("/api/v1/namespaces/kube-system/services", dns_service())
        api.create("/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", dns_endpoints(node))


def storage_class() -> dict[str, object]:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "metadata": {"name": STORAGE_CLASS, "annotations": annotations},
        "provisioner": "kubernetes.io/host-path",
        "volumeBindingMode": "Immediate",
        "reclaimPolicy": "Delete",
    }


DNS_PORTS = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]


def dns_service() -> dict[str, object]:
    """A Service without pods, because CoreDNS is a process of the node; called as everywhere."""
    return {"metadata": {"name": "kube-dns"}, "spec": {"clusterIP": DNS_SERVICE, "ports": DNS_PORTS}}


def dns_endpoints(node: Node) -> dict[str, object]:
    return {
        "metadata": {"name": "kube-dns", "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [node.address], "conditions": {"ready": True}}],
        "ports": DNS_PORTS,
    }
