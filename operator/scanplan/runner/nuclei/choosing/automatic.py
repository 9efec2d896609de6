"""Automatic scans: Nuclei finds out what an endpoint runs on, and takes the templates that have a tag of that name.

Nuclei finds technologies by its own fingerprints, and by templates with the tag tech, detect or favicon. It can choose only among
the files that it is given (`launch.command.environment`): what the plan's selection leaves out is never sent. Each run needs at
least one template that looks for technologies.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import msgspec

from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.choosing import selecting
from scanplan.runner.nuclei.choosing.templates import Template

_TAGS = frozenset({"tech", "detect", "favicon"})
NOT_CHOSEN = "no technology that the automatic scan found"


def detecting(templates: Iterable[Template]) -> tuple[Template, ...]:
    """Those that look for technologies.

    Raises:
        NucleiBinaryError: (NoTemplatesLoaded) there are none.
        OSError: a template can't be read.
    """
    found = tuple(each for each in templates if selecting.facts(each.id, each.path.read_bytes()).tags & _TAGS)
    if not found:
        raise NucleiBinaryError(
            Reason.NO_TEMPLATES_LOADED,
            "No template is left that looks for technologies. An automatic scan needs some: select templates with the tags tech, "
            "detect or favicon too.",
        )
    return found


def run_of(batch: Sequence[Template], detecting: Iterable[Template]) -> tuple[Template, ...]:
    """What Nuclei gets to run templates of one source: these, and all that look for technologies."""
    return tuple({each.path: each for each in (*batch, *detecting)}.values())


def at_most(templates: Sequence[Template]) -> list[Template]:
    """Templates with the most requests that an automatic scan makes of them to an endpoint. Raises as `detecting` does.

    A template that looks for technologies runs twice for each source: to look, and as one that is chosen. The first of them also
    counts Nuclei's own request, which is one for each source.
    """
    looking = detecting(templates)
    sources = len({each.root for each in templates})
    most = {each.path: 2 * sources * each.requests + (sources if each is looking[0] else 0) for each in looking}
    return [msgspec.structs.replace(each, requests=most.get(each.path, each.requests)) for each in templates]


def unselected(sent: Iterable[str], given: Collection[Template], sources: Iterable[Path]) -> NucleiBinaryError | None:
    """The error where Nuclei chose templates outside of the selection, which no version does that we know.

    Args:
        sent: the paths in its trace log.
        given: what it was to choose from.
    """
    if not (found := strangers(sent, given, [Path(os.path.realpath(source)) for source in sources])):
        return None
    return NucleiBinaryError(
        Reason.NUCLEI_BINARY_ERROR,
        f"This Nuclei chose {len(found)} templates that the plan does not select, such as {found[0]}. Use the scanner image of "
        "this release, or leave selection.automatic out.",
    )


def strangers(sent: Iterable[str], given: Collection[Template], sources: Iterable[Path]) -> list[str]:
    """Templates of the sources that Nuclei sent, by their paths in the trace log, and was not given."""
    known = {str(each.path) for each in given}
    roots = tuple(sources)
    return sorted(name for name in set(sent) - known if any(Path(name).is_relative_to(root) for root in roots))
