"""Template profiles: files in the folder `profiles` of a template source, which choose templates by Nuclei's own flags.

Nuclei would take any of its flags from a profile (`-profile`), such as targets, or a proxy. So it is read here, by the flags that
choose templates, and resolved to what a plan's own fields say. As with Nuclei, what the plan says itself wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from scanplan.api.documents.task import TaskDocument, TemplateFilter
from scanplan.api.documents.words import Protocol, Severity
from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.choosing import definition

_FOLDER = "profiles"
_SUFFIXES = (".yml", ".yaml")
_INCLUDED = {
    "tags": "tags",
    "author": "authors", "a": "authors",
    "template-id": "ids", "id": "ids",
    "type": "protocols", "pt": "protocols",
}  # fmt: skip
_EXCLUDED = {
    "exclude-tags": "tags", "etags": "tags",
    "exclude-id": "ids", "eid": "ids",
    "exclude-type": "protocols", "ept": "protocols",
    "exclude-severity": "severities", "es": "severities",
    "exclude-templates": "paths", "et": "paths",
    "exclude-matchers": "matchers", "em": "matchers",
}  # fmt: skip
_TEMPLATES = {"templates", "t"}
_WORKFLOWS = {"workflows", "w"}
_SEVERITY = {"severity", "s"}
_LEFT_TO_THE_PLAN = {
    "code", "headless", "dast", "file", "enable-self-contained", "esc", "enable-global-matchers", "egm", "interactsh-server",
    "iserver", "no-interactsh", "ni",
}  # fmt: skip
"""What a profile may ask for, and only the plan switches on: templates that need it are told as not run."""


class Profile(msgspec.Struct, frozen=True):
    """What a profile says; an empty list says nothing."""

    templates: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = ()
    include: TemplateFilter = TemplateFilter()
    exclude: TemplateFilter = TemplateFilter()
    workflows: tuple[str, ...] = ()
    asks_for: tuple[str, ...] = ()
    """Flags that only the plan may set."""


def read(name: str, sources: Sequence[Path]) -> Profile:
    """A profile of the first source that has it.

    Raises:
        NucleiBinaryError: (TemplatesNotFound) no source has it, (InvalidOptions) it can't be read, or asks for something else.
        OSError: it can't be read.
    """
    places = [source / _FOLDER / f"{name}{suffix}" for source in sources for suffix in _SUFFIXES]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        known = {place.stem for source in sources for place in (source / _FOLDER).glob("*.y*ml")}
        shown = ", ".join(sorted(known)[:20]) or "none"
        raise NucleiBinaryError(
            Reason.TEMPLATES_NOT_FOUND, f"Template profile not found: {name}. The template sources have: {shown}."
        )
    document = definition.parse(path.read_bytes())
    if document is None:
        raise _refused(name, "is no YAML with flags of Nuclei")
    known = {*_INCLUDED, *_EXCLUDED, *_TEMPLATES, *_WORKFLOWS, *_SEVERITY, *_LEFT_TO_THE_PLAN}
    if unknown := sorted(document.keys() - known):
        raise _refused(name, f"sets {', '.join(unknown)}, which choose no templates: set the plan's fields instead")
    lists = {flag: _items(value) for flag, value in document.items() if flag not in _LEFT_TO_THE_PLAN}
    try:
        return Profile(
            templates=_of(lists, dict.fromkeys(_TEMPLATES, "templates")).get("templates", ()),
            severities=tuple(Severity(each.lower()) for flag in sorted(_SEVERITY) for each in lists.get(flag, ())),
            workflows=_of(lists, dict.fromkeys(_WORKFLOWS, "workflows")).get("workflows", ()),
            include=_filter(_of(lists, _INCLUDED)),
            exclude=_filter(_of(lists, _EXCLUDED)),
            asks_for=tuple(sorted(document.keys() & _LEFT_TO_THE_PLAN)),
        )
    except ValueError as error:
        raise _refused(name, f"has a word that Nuclei doesn't know: {error}") from None


def under(own: Profile, profile: Profile) -> Profile:
    """What a plan chooses itself, with the lists of a profile where it has none."""
    return Profile(
        templates=own.templates or profile.templates,
        severities=own.severities or profile.severities,
        workflows=own.workflows or profile.workflows,
        include=_under(own.include, profile.include),
        exclude=_under(own.exclude, profile.exclude),
        asks_for=profile.asks_for,
    )


def of_plan(document: TaskDocument) -> Profile:
    """What a task chooses by its own lists."""
    return Profile(
        templates=document.templates,
        severities=document.severity_levels,
        include=document.include,
        exclude=document.exclude,
        workflows=document.workflows,
    )


def of_task(document: TaskDocument, sources: Sequence[Path]) -> tuple[TaskDocument, tuple[str, ...]]:
    """A task with what its profile says, and the flags that the profile asks for in vain. Raises as `read` does."""
    if not document.profile:
        return document, ()
    chosen = under(of_plan(document), read(document.profile, sources))
    changed = msgspec.structs.replace(
        document,
        templates=chosen.templates,
        severity_levels=chosen.severities,
        workflows=chosen.workflows,
        include=chosen.include,
        exclude=chosen.exclude,
    )
    return changed, chosen.asks_for


def _under(own: TemplateFilter, profile: TemplateFilter) -> TemplateFilter:
    lists = msgspec.structs.asdict(profile)
    return TemplateFilter(**(lists | {name: value for name, value in msgspec.structs.asdict(own).items() if value}))


def _of(lists: Mapping[str, Sequence[str]], fields: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for flag, field in fields.items():
        found[field] = (*found.get(field, ()), *lists.get(flag, ()))
    return found


def _filter(lists: Mapping[str, tuple[str, ...]]) -> TemplateFilter:
    """Raises ValueError for an unknown protocol or severity."""
    as_written = {"paths", "matchers"}
    values: dict[str, Any] = {
        name: items if name in as_written else tuple(item.lower() for item in items) for name, items in lists.items()
    }
    types = {"protocols": Protocol, "severities": Severity}
    values |= {name: tuple(types[name](item) for item in values[name]) for name in types.keys() & values.keys()}
    return TemplateFilter(**{name: tuple(sorted(set(items))) for name, items in values.items()})


def _items(value: object) -> tuple[str, ...]:
    """A list, or one text with commas, as Nuclei takes both."""
    items = value if isinstance(value, list) else str(value).split(",")
    return tuple(text for item in items if (text := str(item).strip()))


def _refused(name: str, problem: str) -> NucleiBinaryError:
    return NucleiBinaryError(Reason.INVALID_OPTIONS, f"Template profile {name} {problem}.")
