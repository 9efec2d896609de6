"""From a plan's `selection` to what the runner gets, and to what of it is in the key."""

from __future__ import annotations

from typing import Any

import msgspec

from scanplan.api.documents.task import TemplateFilter
from scanplan.api.v1alpha1.plan.selection import Exclude, Include, Selection


def of_key(selection: Selection) -> dict[str, Any]:
    """The options of a task key that `spec.selection` gives: none where it leaves nothing out."""
    parts = {"include": chosen(selection.include), "exclude": chosen(selection.exclude)}
    found = {name: msgspec.to_builtins(each) for name, each in parts.items() if each != TemplateFilter()}
    others = {
        "profile": selection.profile,
        "workflows": sorted(set(selection.workflows)),
        "automatic": selection.automatic,
    }
    return found | {name: value for name, value in others.items() if value}


_AS_WRITTEN = frozenset({"paths", "matchers"})


def chosen(part: Include | Exclude | None) -> TemplateFilter:
    """A part of `spec.selection` as the runner reads it: lower case, sorted and unique."""
    if part is None:
        return TemplateFilter()
    lists = {name: getattr(part, name) for name in type(part).model_fields}
    return TemplateFilter(
        **{
            name: tuple(sorted(set(values) if name in _AS_WRITTEN else {type(each)(each.lower()) for each in values}))
            for name, values in lists.items()
        }
    )
