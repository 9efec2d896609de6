"""What is denied by default, each entry with what is there and the document that says so.

The one place for this list: the operator's settings, workers, the command line and the documentation take it from here.
The chart's `networkPolicy.denied` repeats the addresses of clouds, and a test compares them.
The API server's own addresses are not in it; the operator learns them (`scanplan.controller.reads.api_server`).
"""

from __future__ import annotations

from typing import NamedTuple


class Denied(NamedTuple):
    """An entry of the deny list."""

    entry: str
    """A CIDR range, or a host name, which stands for its subdomains too."""
    what: str
    source: str


TABLE = (
    Denied("0.0.0.0/8", "this host, on many systems", "RFC 6890, 2.2.2"),
    Denied("127.0.0.0/8", "loopback of the pod", "RFC 6890, 2.2.2"),
    Denied("::/128", "this host, on many systems", "RFC 6890, 2.2.3"),
    Denied("::1/128", "loopback of the pod", "RFC 6890, 2.2.3"),
    Denied("169.254.0.0/16", "link-local: metadata of most clouds", "RFC 3927"),
    Denied("fe80::/10", "link-local: metadata of OpenStack, neighbours of the node", "RFC 4291, 2.5.6"),
    Denied("fd00:ec2::/32", "AWS: instance metadata, EKS pod identity, DNS", "Amazon EC2 User Guide: instance metadata"),
    Denied("fd20:ce::254/128", "Google Cloud: metadata server", "Compute Engine documentation: query VM metadata"),
    Denied("168.63.129.16/32", "Azure: WireServer", "Microsoft Learn: What is IP address 168.63.129.16?"),
    Denied("100.100.100.200/32", "Alibaba Cloud: instance metadata", "Alibaba Cloud ECS: instance metadata"),
    Denied("192.0.0.192/32", "Oracle Cloud, classic: instance metadata", "Oracle Compute Classic: instance metadata"),
    Denied("fd00:c1::a9fe:a9fe/128", "OCI: instance metadata", "Oracle Cloud Infrastructure: getting instance metadata"),
    Denied("fd00:42::42/128", "Scaleway: instance metadata", "Scaleway documentation: instance metadata"),
    Denied("fd00:a9fe:a9fe::1/128", "Akamai (Linode): instance metadata", "Akamai Cloud: Metadata Service API"),
    Denied("64:ff9b:1::/48", "local NAT64, whose form the network chooses", "RFC 8215"),
    Denied("2001::/32", "Teredo, which hides an IPv4 address in its last bits", "RFC 4380"),
    Denied("localhost", "loopback by name", "RFC 6761, 6.3"),
    Denied("ip6-localhost", "loopback by the name in every pod's hosts file", "Kubernetes: hosts file of pods"),
    Denied("ip6-loopback", "loopback by the name in every pod's hosts file", "Kubernetes: hosts file of pods"),
    Denied("metadata.google.internal", "Google Cloud: metadata server", "Compute Engine documentation: query VM metadata"),
    Denied("metadata.goog", "Google Cloud: metadata server", "Compute Engine documentation: query VM metadata"),
    Denied("metadata.tencentyun.com", "Tencent Cloud: instance metadata", "Tencent Cloud CVM: instance metadata"),
    Denied("metadata.cloud.ibm.com", "IBM Cloud: instance metadata", "IBM Cloud VPC: instance metadata service"),
    Denied("kubernetes.default", "the API server", "Kubernetes: accessing the API from a pod"),
)  # fmt: skip

DEFAULT_DENIED = tuple(row.entry for row in TABLE)
