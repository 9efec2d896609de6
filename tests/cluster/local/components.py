"""The cluster at a glance: which programs it is made of, in the order they start, and what they are told.

A stage starts when the one before is ready. Paths are those inside the cluster's mount namespace, where its
folder is always `/run/cluster` and `/var/log`, `/var/lib`, `/run` belong to it alone.
"""

import json
from dataclasses import dataclass

from tests.cluster.local.supervisor import CLUSTER

OPERATOR = "system:serviceaccount:scanplan-system:scanplan-operator"
"""Whose writes the audit log tells of twice: when they were received, and when they were answered."""

NODE = "local"
"""The node's name."""

POD_NETWORK = "10.200.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
"""These exist only inside a cluster's network namespace, so every cluster can have the same."""

DNS_DOMAIN = "cluster.local"
DNS_READY = "127.0.0.1:8181"

SANDBOX_IMAGE = "localhost/busybox:local"
"""Holds pods together (Kubernetes' “pause”), and serves tests that need a shell."""

UNUSED_CONTROLLERS = (
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-cleaner-controller",
    "certificatesigningrequest-signing-controller",
    "device-taint-eviction-controller",
    "endpointslice-mirroring-controller",
    "ephemeral-volume-controller",
    "horizontal-pod-autoscaler-controller",
    "kube-apiserver-serving-clustertrustbundle-publisher-controller",
    "legacy-serviceaccount-token-cleaner-controller",
    "node-ipam-controller",
    "persistentvolume-attach-detach-controller",
    "persistentvolume-expander-controller",
    "podcertificaterequest-cleaner-controller",
    "podgroup-protection-controller",
    "replicationcontroller-controller",
    "resourceclaim-controller",
    "storageversion-garbage-collector-controller",
    "ttl-controller",
    "volumeattributesclass-protection-controller",
)
"""Controllers that no test needs. Each wakes up several times a second, even if its cluster has nothing to do."""

PKI = f"{CLUSTER}/pki"
ETC = f"{CLUSTER}/etc"
CONTAINERD_SOCKET = f"{CLUSTER}/containerd.sock"


@dataclass(frozen=True)
class Node:
    """What differs between one local cluster and another."""

    address: str
    """Of the node and of the API server, reachable from the host."""
    cgroup: str
    """The parent of all pods' cgroups, absolute within each hierarchy."""
    cgroup_v1: bool


@dataclass(frozen=True)
class Component:
    """One program: how it starts, and what answers once it is ready (an http(s) URL with status 200, or unix:PATH)."""

    name: str
    argv: tuple[str, ...]
    ready: str


def stages(node: Node, control_plane_only: bool) -> list[list[Component]]:
    """All components in the order they start. A control plane only has no scheduler and no node: pods stay Pending."""
    controllers = [controller_manager()]
    if control_plane_only:
        return [[etcd()], [api_server(node)], controllers]
    return [[etcd(), containerd()], [api_server(node)], [*controllers, scheduler(), kubelet(node), proxy(), dns()]]


def etcd() -> Component:
    return Component(
        name="etcd",
        argv=(
            "etcd",
            f"--data-dir={CLUSTER}/etcd",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",  # survives kill -9, which tests do; not a power cut, after which nobody wants it back
        ),
        ready="http://127.0.0.1:2379/readyz",
    )


def api_server(node: Node) -> Component:
    return Component(
        name="kube-apiserver",
        argv=(
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            "--secure-port=6443",
            f"--advertise-address={node.address}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--tls-cert-file={PKI}/kube-apiserver.crt",
            f"--tls-private-key-file={PKI}/kube-apiserver.key",
            f"--client-ca-file={PKI}/ca.crt",
            f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={PKI}/service-accounts.crt",
            f"--service-account-signing-key-file={PKI}/service-accounts.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            f"--audit-policy-file={ETC}/audit-policy.json",
            f"--audit-log-path={CLUSTER}/log/audit.jsonl",
            "--audit-log-maxsize=10000",  # megabytes: a test that reads the log must not find it rotated away
            "--feature-gates=DetectCacheInconsistency=false",  # it reads all of etcd every few minutes, to check Kubernetes itself
        ),
        ready="https://127.0.0.1:6443/readyz",
    )


def controller_manager() -> Component:
    return Component(
        name="kube-controller-manager",
        argv=(
            "kube-controller-manager",
            f"--kubeconfig={ETC}/kube-controller-manager.kubeconfig",
            f"--root-ca-file={PKI}/ca.crt",
            f"--service-account-private-key-file={PKI}/service-accounts.key",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--kube-api-qps=500",  # at 20, the default, its forty service accounts alone take five seconds
            "--kube-api-burst=1000",
            "--enable-hostpath-provisioner",  # a volume for every claim, see `supervisor.PROVISIONED`
            "--controllers=" + ",".join(["*", *(f"-{name}" for name in UNUSED_CONTROLLERS)]),
        ),
        ready="https://127.0.0.1:10257/healthz",
    )


def scheduler() -> Component:
    return Component(
        name="kube-scheduler",
        argv=(
            "kube-scheduler",
            f"--kubeconfig={ETC}/kube-scheduler.kubeconfig",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ),
        ready="https://127.0.0.1:10259/readyz",
    )


def containerd() -> Component:
    return Component(
        name="containerd", argv=("containerd", f"--config={ETC}/containerd.toml"), ready=f"unix:{CONTAINERD_SOCKET}"
    )


def kubelet(node: Node) -> Component:
    return Component(
        name="kubelet",
        argv=(
            "kubelet",
            f"--config={ETC}/kubelet.json",
            f"--kubeconfig={ETC}/kubelet.kubeconfig",
            f"--hostname-override={NODE}",
            f"--node-ip={node.address}",
        ),
        ready="http://127.0.0.1:10248/healthz",
    )


def proxy() -> Component:
    return Component(
        name="kube-proxy",
        argv=(
            "kube-proxy",
            f"--kubeconfig={ETC}/kube-proxy.kubeconfig",
            f"--hostname-override={NODE}",
            f"--cluster-cidr={POD_NETWORK}",
            "--conntrack-max-per-core=0",  # the host's table, not ours to size
        ),
        ready="http://127.0.0.1:10256/healthz",
    )


def dns() -> Component:
    return Component(name="coredns", argv=("coredns", f"-conf={ETC}/Corefile"), ready=f"http://{DNS_READY}/ready")


def settings(node: Node) -> dict[str, str]:
    """The components' configuration files, by their names in `/run/cluster/etc`."""
    return {
        "audit-policy.json": json.dumps(
            {
                "apiVersion": "audit.k8s.io/v1",
                "kind": "Policy",
                "rules": [
                    # Tests that count the operator's writes wait until all that were received are answered.
                    {"level": "Metadata", "users": [OPERATOR], "verbs": ["create", "update", "patch", "delete"]},
                    {"level": "Metadata", "omitStages": ["RequestReceived"]},
                ],
            }
        ),
        "containerd.toml": CONTAINERD_TOML,
        "Corefile": COREFILE.format(node=node),
        # A routed link for each pod rather than a bridge: answers from a Service's pods on the same node then pass the
        # node's connection tracking without the br_netfilter kernel module.
        "cni/pods.conflist": json.dumps(
            {
                "cniVersion": "1.0.0",
                "name": "pods",
                "plugins": [
                    {
                        "type": "ptp",
                        "ipMasq": False,
                        "ipam": {
                            "type": "host-local",
                            "ranges": [[{"subnet": POD_NETWORK}]],
                            "routes": [{"dst": "0.0.0.0/0"}],
                            "dataDir": "/run/cni",
                        },
                    }
                ],
            }
        ),
        "kubelet.json": json.dumps(kubelet_settings(node)),
    }


def kubelet_settings(node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/kubelet.crt",
        "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node.cgroup,
        **({"failCgroupV1": False} if node.cgroup_v1 else {}),
        "failSwapOn": False,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": DNS_DOMAIN,
        "resolvConf": "",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        # The disk is the host's: neither its fill level nor its images are this node's business.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "maxPods": 250,
    }


COREFILE = f"""\
. {{{{
  bind {{node.address}}
  errors
  ready {DNS_READY}
  kubernetes {DNS_DOMAIN} in-addr.arpa {{{{
    kubeconfig {ETC}/coredns.kubeconfig
  }}}}
}}}}
"""

CONTAINERD_TOML = f"""\
version = 3
root = "{CLUSTER}/containerd"
state = "/run/containerd"

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd-opt"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{SANDBOX_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true  # where lowering it takes a capability that root lacks
  stats_collect_period = "1h"  # of every container, each second otherwise, for autoscalers

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
  conf_dir = "{ETC}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "runc"
  SystemdCgroup = false
"""
