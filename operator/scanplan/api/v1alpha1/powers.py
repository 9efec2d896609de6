"""`spec.scanner`: what a scan does only when it is switched on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scanplan.api.v1alpha1.model import Effect, Model, effect


class Powers(Model):
    """What is off: templates that need it are told as not run."""

    dast: Annotated[
        bool,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Run fuzzing templates: they send many requests, changed in each of their parts.",
        ),
    ] = False
    code: Annotated[
        bool,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Run templates that are programs, in the scan pod. Only signed ones, and only where the operator's owner "
            "allows it.",
        ),
    ] = False
