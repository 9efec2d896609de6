"""All that a plan wants run: templates, and workflows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scanplan.api.documents.task import TemplateFilter
from scanplan.runner.nuclei.choosing import templates, workflows
from scanplan.runner.nuclei.choosing.profiles import Profile
from scanplan.runner.nuclei.choosing.selecting import Choice
from scanplan.runner.nuclei.choosing.templates import Selection


def of(wanted: Profile, sources: Sequence[Path], allowed: Sequence[str] = ()) -> Selection:
    """The templates and workflows of a plan; where it names workflows alone, only these.

    Args:
        allowed: unguarded protocols that the operator's owner has switched on, for members of workflows. For templates see
            `unguarded.without`.

    Raises:
        NucleiBinaryError: as `templates.select` and `workflows.added` do.
        OSError: a file can't be read.
    """
    if not wanted.workflows:
        return _templates(wanted, sources)
    alone = not wanted.templates and wanted.include == TemplateFilter()
    selection = templates.NOTHING if alone else _templates(wanted, sources)
    return workflows.added(selection, wanted.workflows, sources, allowed)


def _templates(wanted: Profile, sources: Sequence[Path]) -> Selection:
    choice = Choice(wanted.include, wanted.exclude)
    return templates.select(sorted(set(wanted.templates)), wanted.severities, sources, choice)
