"""`spec.dnsConfig` and `spec.hostAliases`: how scan pods find the addresses of names."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scanplan.api.names import DNS_SUBDOMAIN
from scanplan.api.v1alpha1.model import Model

_ADDRESS = r"^[0-9A-Fa-f:.]+$"
Name = Annotated[str, Field(max_length=253, pattern=DNS_SUBDOMAIN)]


class DnsConfig(Model):
    """Resolvers of scan pods instead of the cluster's, for their own look-ups and for Nuclei's (`-r`)."""

    nameservers: Annotated[
        list[Annotated[str, Field(max_length=45, pattern=_ADDRESS)]],
        Field(
            min_length=1,
            max_length=3,
            description="Addresses of resolvers, which must be on the operator's allow-list. The cluster's own names are then "
            "known only where these know them.",
        ),
    ]
    searches: Annotated[list[Name], Field(max_length=6, description="Domains that short names are looked for in.")] = []


class HostAlias(Model):
    """Names that lead to one address in scan pods, whatever DNS says."""

    ip: Annotated[str, Field(max_length=45, pattern=_ADDRESS)]
    hostnames: Annotated[list[Name], Field(min_length=1, max_length=16)]
