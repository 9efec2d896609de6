"""`spec.scanner`: options of the requests that Nuclei sends."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scanplan.api.names import HOST_NAME, RESERVED_VARIABLES, VARIABLE
from scanplan.api.v1alpha1.model import Effect, Model, cel, effect

MAX_VARIABLES = 64


class Variable(Model):
    """A template variable that is not secret."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=VARIABLE)]
    value: Annotated[str, Field(max_length=4096, pattern=r"^[^\x00-\x1f\x7f]*$")]


class RequestOptions(Model):
    """Options of the requests. For a field that is left out, Nuclei's default applies."""

    variables: Annotated[
        list[Variable],
        Field(
            max_length=MAX_VARIABLES,
            json_schema_extra=effect(
                Effect.KEY,
                **{
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "x-kubernetes-validations": [
                        cel(
                            f"self.all(each, !(each.name.lowerAscii() in {sorted(RESERVED_VARIABLES)}))",
                            f"Nuclei sets {', '.join(sorted(RESERVED_VARIABLES))} for each target: take other names",
                        )
                    ],
                },
            ),
            description="Template variables that are not secret, {{name}} in a template. Nuclei itself sets those that "
            "name the target.",
        ),
    ] = []
    follow_redirects: Annotated[
        bool, Field(json_schema_extra=effect(Effect.KEY), description="Follow HTTP redirects in templates.")
    ] = False
    follow_host_redirects: Annotated[
        bool,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Follow HTTP redirects to the same host. Not together with followRedirects.",
        ),
    ] = False
    max_redirects: Annotated[
        int | None,
        Field(
            ge=1,
            le=50,
            json_schema_extra=effect(Effect.KEY),
            description="Redirects that are followed in a row; Nuclei's default is 10.",
        ),
    ] = None
    sni: Annotated[
        str | None,
        Field(
            max_length=253,
            pattern=HOST_NAME,
            json_schema_extra=effect(Effect.KEY),
            description="Host name that TLS connections ask for, instead of the endpoint's own.",
        ),
    ] = None
    max_response_bytes: Annotated[
        int | None,
        Field(
            ge=1_024,
            le=100 << 20,
            json_schema_extra=effect(Effect.KEY),
            description="Bytes of a response that templates look at; Nuclei's default is 10 MiB.",
        ),
    ] = None
    max_host_errors: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            json_schema_extra=effect(Effect.NEXT),
            description="Failures in a row after which a host is skipped; at least as many as concurrency.",
        ),
    ] = 30
    verify_signatures: Annotated[
        bool,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Run signed templates only. Others are reported as not run.",
        ),
    ] = False
