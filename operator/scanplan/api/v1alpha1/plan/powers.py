"""`spec.scanner`: what a scan does only when it is switched on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scanplan.api.documents.words import FuzzInputMode
from scanplan.api.v1alpha1.model import Effect, Model, effect
from scanplan.api.v1alpha1.references import KeyReference


class FuzzInputSource(Model):
    """Requests in a ConfigMap."""

    mode: Annotated[
        FuzzInputMode,
        Field(
            description="openapi and swagger describe an API, which is scanned on the plan's endpoints, whatever servers it names. "
            "burp, jsonl and yaml (of proxify) are recorded requests, of which those to the plan's endpoints are taken."
        ),
    ]
    config_map_key_ref: Annotated[KeyReference, Field(description="The file, of at most 1 MiB.")]


class Powers(Model):
    """Switches that are off by default. Templates that need one that is off are reported as not run."""

    dast: Annotated[
        bool,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Run fuzzing templates: they send many requests, changed in each of their parts.",
        ),
    ] = False
    headless: Annotated[
        bool,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Run templates that need a browser. The scanner image must have Chromium, and the operator's owner must "
            "allow it (unguardedProtocols).",
        ),
    ] = False
    requests_from: Annotated[
        FuzzInputSource | None,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Requests to fuzz; needs dast. By default the endpoints' URLs.",
        ),
    ] = None
    code: Annotated[
        bool,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Run templates that are programs, in the scan pod. Only signed ones, and only where the operator's owner "
            "allows it.",
        ),
    ] = False
