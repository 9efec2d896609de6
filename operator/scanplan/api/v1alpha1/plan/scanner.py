"""`spec.scanner`: which Nuclei, and its options."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scanplan.api import labels
from scanplan.api.names import INTERACTSH_SERVER, LIST_ENTRY, PROXY, WORD
from scanplan.api.v1alpha1.model import Effect, Model, effect
from scanplan.api.v1alpha1.plan.powers import Powers
from scanplan.api.v1alpha1.plan.request_options import RequestOptions
from scanplan.api.v1alpha1.references import LocalObjectReference


class HeaderSource(Model):
    """Request headers in a Secret. Each key is a header's name."""

    secret_ref: Annotated[
        LocalObjectReference,
        Field(
            description="The Secret. It needs the label scanplan.dev/use: headers, and a Role that lets the operator get it."
        ),
    ]


class VariableSource(Model):
    """Template variables in a Secret. Each key is a variable's name."""

    secret_ref: Annotated[
        LocalObjectReference,
        Field(
            description="The Secret. It needs the label scanplan.dev/use: variables, and a Role that lets the operator get it."
        ),
    ]


class ClientCertificateSource(Model):
    """A client certificate in a Secret of type kubernetes.io/tls."""

    secret_ref: Annotated[
        LocalObjectReference,
        Field(
            description="The Secret. It needs the label scanplan.dev/use: client-certificate, and a Role that lets the operator "
            "get it."
        ),
    ]


class CredentialSource(Model):
    """Credentials by host in a Secret: one key, with Nuclei's secrets file."""

    secret_ref: Annotated[
        LocalObjectReference,
        Field(
            description="The Secret. It needs the label scanplan.dev/use: credentials, and a Role that lets the operator get it."
        ),
    ]


class TokenSource(Model):
    """A token in a Secret, key token."""

    secret_ref: Annotated[
        LocalObjectReference,
        Field(
            description="The Secret. It needs the label scanplan.dev/use: interactsh, and a Role that lets the operator get it."
        ),
    ]


class Interactsh(Model):
    """A server that notices what targets send elsewhere."""

    server: Annotated[
        str,
        Field(
            max_length=300,
            pattern=INTERACTSH_SERVER,
            description="Host name or URL, such as https://oast.example.com. It must be on the operator's allow-list.",
        ),
    ]
    token_from: Annotated[
        TokenSource | None, Field(description="The server's token. It is kept out of arguments and logs.")
    ] = None


class Header(Model):
    """A request header that is not secret."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9!$%&'*+.^_`|~-]+$")]
    value: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Scanner(Powers, RequestOptions):
    """Which Nuclei, and its options. Defaults are Nuclei's own."""

    image: Annotated[
        str | None,
        Field(
            max_length=512,
            pattern=WORD,
            json_schema_extra=effect(Effect.KEY),
            description="Scanner image; by default the operator's own. It must be on the operator's allow-list.",
        ),
    ] = None
    rate_limit: Annotated[
        int,
        Field(
            ge=1, le=10_000, json_schema_extra=effect(Effect.NEXT), description="Requests per second, for each shard."
        ),
    ] = 150
    max_requests_per_second: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            json_schema_extra=effect(Effect.NEXT),
            description="Requests per second, for the whole plan. The shards that run at the same time share it.",
        ),
    ] = None
    max_requests_per_second_per_host: Annotated[
        int | None,
        Field(
            ge=1,
            le=10_000,
            json_schema_extra=effect(Effect.NEXT),
            description="Requests per second to each host, by HTTP. A host is never in two shards.",
        ),
    ] = None
    concurrency: Annotated[
        int, Field(ge=1, le=1_000, json_schema_extra=effect(Effect.NEXT), description="Templates that run in parallel.")
    ] = 25
    bulk_size: Annotated[
        int,
        Field(
            ge=1,
            le=1_000,
            json_schema_extra=effect(Effect.NEXT),
            description="Hosts that each template scans in parallel.",
        ),
    ] = 25
    request_timeout_seconds: Annotated[
        int,
        Field(ge=1, le=300, json_schema_extra=effect(Effect.NEXT), description="Seconds that one request may take."),
    ] = 10
    request_retries: Annotated[
        int, Field(ge=0, le=10, json_schema_extra=effect(Effect.NEXT), description="Repeats of a failed request.")
    ] = 1
    headers: Annotated[
        list[Header],
        Field(
            max_length=32,
            json_schema_extra=effect(
                Effect.KEY, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
            ),
            description="Headers for every request that are not secret, such as User-Agent. Results show them.",
        ),
    ] = []
    headers_from: Annotated[
        HeaderSource | None,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Secret headers for every request. Their values are kept out of logs and artifacts.",
        ),
    ] = None
    variables_from: Annotated[
        VariableSource | None,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Secret template variables. Their values are kept out of logs and artifacts.",
        ),
    ] = None
    client_certificate_from: Annotated[
        ClientCertificateSource | None,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Client certificate that HTTPS endpoints are shown, with its private key.",
        ),
    ] = None
    credentials_from: Annotated[
        CredentialSource | None,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Credentials for some hosts: headers, cookies, Basic, bearer tokens, and logins by a template. Their "
            "values are kept out of logs and artifacts.",
        ),
    ] = None
    interactsh: Annotated[
        Interactsh | None,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Out-of-band server. Without one, templates that need it are told as not run.",
        ),
    ] = None
    proxy: Annotated[
        str | None,
        Field(
            max_length=512,
            pattern=PROXY,
            json_schema_extra=effect(Effect.KEY),
            description="Proxy for all requests: an http, https or socks5 URL without credentials, such as "
            "socks5://proxy.example.com:1080. It must be on the operator's allow-list. By default the operator's own, if any.",
        ),
    ] = None
    no_proxy: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=260, pattern=LIST_ENTRY)]],
        Field(
            max_length=64,
            json_schema_extra=effect(Effect.KEY, **{"x-kubernetes-list-type": "set"}),
            description="Targets that go past the proxy, as in NO_PROXY: hosts and domains with their subdomains, addresses, CIDR "
            "ranges, *. Where the owner has set a proxy, only the owner's entries.",
        ),
    ] = []

    @property
    def secret_names(self) -> dict[str, str]:
        """The Secrets that scan pods read, by the use that each has to be labelled with."""
        sources = {
            labels.USE_HEADERS: self.headers_from,
            labels.USE_VARIABLES: self.variables_from,
            labels.USE_CLIENT_CERTIFICATE: self.client_certificate_from,
            labels.USE_CREDENTIALS: self.credentials_from,
            labels.USE_INTERACTSH: self.interactsh.token_from if self.interactsh else None,
        }
        return {use: source.secret_ref.name for use, source in sources.items() if source}
