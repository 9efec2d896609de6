"""The default deny list against what clouds have published: one address missing there is a node's credentials read."""

from __future__ import annotations

import ipaddress

import pytest

from scanplan.api.errors import TargetDenied
from scanplan.core.planning.targets import endpoints
from scanplan.core.planning.targets.denied import DEFAULT_DENIED, TABLE
from scanplan.core.planning.targets.guard import Guard

PUBLISHED = {
    "169.254.169.254": "Amazon EC2 User Guide; Google Compute Engine; Azure Instance Metadata Service; OCI; DigitalOcean",
    "fd00:ec2::254": "Amazon EC2 User Guide: instance metadata over IPv6",
    "fd00:ec2::253": "Amazon VPC User Guide: Amazon DNS server over IPv6",
    "fd00:ec2::123": "Amazon EC2 User Guide: Amazon Time Sync Service over IPv6",
    "fd00:ec2::23": "Amazon EKS User Guide: EKS Pod Identity agent over IPv6",
    "169.254.170.2": "Amazon ECS Developer Guide: task metadata and credentials",
    "169.254.170.23": "Amazon EKS User Guide: EKS Pod Identity agent",
    "169.254.169.253": "Amazon VPC User Guide: Amazon DNS server",
    "fd20:ce::254": "Google Compute Engine: metadata server of IPv6-only instances",
    "metadata.google.internal": "Google Compute Engine: query VM metadata",
    "metadata.goog": "Google Compute Engine: query VM metadata",
    "168.63.129.16": "Microsoft Learn: What is IP address 168.63.129.16?",
    "192.0.0.192": "Oracle Compute Classic: instance metadata",
    "fd00:c1::a9fe:a9fe": "Oracle Cloud Infrastructure: getting instance metadata over IPv6",
    "100.100.100.200": "Alibaba Cloud ECS: instance metadata",
    "169.254.0.23": "Tencent Cloud: metadata.tencentyun.com",
    "metadata.tencentyun.com": "Tencent Cloud CVM: instance metadata",
    "169.254.42.42": "Scaleway: instance metadata",
    "fd00:42::42": "Scaleway: instance metadata over IPv6",
    "fd00:a9fe:a9fe::1": "Akamai Cloud: Metadata Service API over IPv6",
    "fe80::a9fe:a9fe": "OpenStack Nova: metadata service over IPv6",
    "api.metadata.cloud.ibm.com": "IBM Cloud VPC: instance metadata service",
    "169.254.169.250": "Rancher: metadata service",
}


def refused(guard: Guard, host: str) -> bool:
    try:
        guard.check(endpoints.canonical_all([f"[{host}]" if ":" in host else host]))
    except TargetDenied:
        return True
    return False


@pytest.mark.parametrize("host", PUBLISHED)
def test_what_clouds_have_published_is_denied(host: str) -> None:
    assert refused(Guard(DEFAULT_DENIED), host)


@pytest.mark.parametrize("host", [host for host in PUBLISHED if not host[-1].isalpha() or ":" in host])
def test_and_in_the_ranges_that_nuclei_gets_through_every_gateway(host: str) -> None:
    ranges = [ipaddress.ip_network(entry) for entry in Guard(DEFAULT_DENIED).ranges()]
    address = ipaddress.ip_address(host)
    forms = [address]
    if address.version == 4:
        number = int(address)
        forms += [
            ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) | number),
            ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b:1::")) | number),
            ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b:1:fffe::")) | number),
            ipaddress.IPv6Address(int(ipaddress.IPv6Address("2002::")) | number << 80 | 1),
            ipaddress.IPv6Address(int(ipaddress.IPv6Address("::ffff:0:0:0")) | number),
            ipaddress.IPv6Address(number),
            ipaddress.IPv6Address(int(ipaddress.IPv6Address("2001::")) | number ^ 0xFFFFFFFF),
        ]
    for form in forms:
        assert any(form in network for network in ranges), form
        assert refused(Guard(DEFAULT_DENIED), str(form)), form


def test_every_entry_says_what_is_there_and_who_says_so() -> None:
    assert len(set(DEFAULT_DENIED)) == len(DEFAULT_DENIED)
    assert all(row.what and row.source for row in TABLE)


@pytest.mark.parametrize(
    ("entry", "ranges"),
    [
        ("10.96.0.1", "10.96.0.1/32"),
        ("::ffff:10.96.0.1", "10.96.0.1/32"),
        ("fd00:1::1", "fd00:1::1/128"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("10.96.0.1", "64:ff9b::a60:1/128"),
        ("10.96.0.1", "2002:a60:1::/48"),
    ],
)
def test_nuclei_gets_ranges_only(entry: str, ranges: str) -> None:
    """It takes a bare address for a pattern, and 10.96.0.1 would keep 10.96.0.10 from being scanned."""
    assert ranges in Guard([entry]).ranges()
    assert all("/" in found for found in Guard([entry, "kubernetes.default"]).ranges())
