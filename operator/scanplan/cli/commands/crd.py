"""``scanplan crd``: prints the definitions of all kinds."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
import yaml

from scanplan.api.schema.crd import DEFINITIONS, custom_resource_definition
from scanplan.cli.output.terminal import pour


def crd(
    kinds: Annotated[
        list[str] | None, typer.Argument(metavar="[PLURAL]...", help="Kinds, such as scanplans.", show_default="all")
    ] = None,
) -> None:
    """Print the CustomResourceDefinitions. `kubectl apply --server-side -f -` takes them."""
    if unknown := [kind for kind in kinds or () if kind not in DEFINITIONS]:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(DEFINITIONS)}")
    documents = [custom_resource_definition(DEFINITIONS[kind]) for kind in kinds or DEFINITIONS]
    pour([yaml.safe_dump_all(documents, sort_keys=False, width=110).encode()], sys.stdout.buffer)
