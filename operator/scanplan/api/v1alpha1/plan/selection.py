"""`spec.selection`: which templates run, by what they say of themselves."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scanplan.api.documents.words import Protocol, Severity
from scanplan.api.v1alpha1.model import Effect, Model, effect

TEMPLATE = r"^[A-Za-z0-9_][-A-Za-z0-9_./]*$"
"""Path of a file or folder within a source."""
WORD = r"^[A-Za-z0-9_][-A-Za-z0-9_.:+]*$"
ID = r"^[A-Za-z0-9_*?][-A-Za-z0-9_.*?]*$"
AUTHOR = r"^[^ ,\x00-\x1f\x7f][^,\x00-\x1f\x7f]*$"

MATCHER = (
    r"^(\*:[^*,# \x00-\x1f\x7f][^*,#\x00-\x1f\x7f]*|[A-Za-z0-9_-]+:(\*|[^*,# \x00-\x1f\x7f][^*,#\x00-\x1f\x7f]*))$"
)
"""Id of a template and name of a matcher, with * for all names, or for all ids."""
PROFILE = r"^[A-Za-z0-9_][-A-Za-z0-9_.]*$"
AUTOMATIC_ALONE = (
    "selection.automatic goes with neither workflows nor scanner.dast, headless or code: leave these to another plan"
)

_SET = {"x-kubernetes-list-type": "set"}
Tags = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=64, pattern=WORD)]],
    Field(max_length=100, json_schema_extra=_SET),
]
Authors = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=64, pattern=AUTHOR)]],
    Field(max_length=100, json_schema_extra=_SET),
]
Ids = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=128, pattern=ID)]],
    Field(max_length=1_000, json_schema_extra=_SET, description="Ids; * is any text, ? is one character."),
]
Protocols = Annotated[list[Protocol], Field(max_length=len(Protocol), json_schema_extra=_SET)]


class Include(Model):
    """Templates that run. One must have an item of each list that is not empty."""

    tags: Tags = []
    authors: Authors = []
    ids: Ids = []
    protocols: Protocols = []


class Exclude(Model):
    """Templates that don't run, even if they are included. An item of any list is enough."""

    tags: Tags = []
    authors: Authors = []
    ids: Ids = []
    protocols: Protocols = []
    severities: Annotated[list[Severity], Field(max_length=6, json_schema_extra=_SET)] = []
    paths: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=512, pattern=TEMPLATE)]],
        Field(max_length=1_000, json_schema_extra=_SET, description="Files or folders within the template sources."),
    ] = []
    matchers: Annotated[
        list[Annotated[str, Field(min_length=3, max_length=256, pattern=MATCHER)]],
        Field(
            max_length=1_000,
            json_schema_extra=_SET,
            description="Matchers whose findings are left out, as ID:NAME; ID:* and *:NAME leave out all of a template, and all of "
            "that name. Case counts.",
        ),
    ] = []


class Selection(Model):
    """Which of the templates run. Upper and lower case are the same in tags, authors and ids."""

    profile: Annotated[
        str | None,
        Field(
            max_length=128,
            pattern=PROFILE,
            json_schema_extra=effect(Effect.KEY),
            description="Template profile: file NAME.yml in the folder profiles of a template source. Lists that the plan has "
            "itself take the place of the profile's.",
        ),
    ] = None
    workflows: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=512, pattern=TEMPLATE)]],
        Field(
            max_length=100,
            json_schema_extra=effect(Effect.KEY, **_SET),
            description="Workflows: files or folders within the template sources. Without templates and include, only these run.",
        ),
    ] = []
    automatic: Annotated[
        bool,
        Field(
            json_schema_extra=effect(Effect.KEY),
            description="Run on each endpoint only templates whose tags name a technology that was found there. Templates with "
            "the tags tech, detect or favicon look for it, so some of these must be selected.",
        ),
    ] = False
    include: Annotated[
        Include | None,
        Field(json_schema_extra=effect(Effect.KEY), description="Run only these; with {}, all that `templates` names."),
    ] = None
    exclude: Annotated[Exclude | None, Field(json_schema_extra=effect(Effect.KEY), description="Leave these out.")] = (
        None
    )
