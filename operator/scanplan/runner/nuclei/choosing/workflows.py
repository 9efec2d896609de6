"""Workflows: templates that run others, each on what the one before it has found (https://docs.projectdiscovery.io/templates/workflows).

Which of them a scan runs only Nuclei can know, while it scans. What they may run is known before: it is resolved here, so that the
plan's digest and the rules about protocols hold for it too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.choosing import definition, selecting, templates, unguarded
from scanplan.runner.nuclei.choosing.templates import Selection, Template

NEED = "workflow"
"""In `Template.needs`: the file is handed to Nuclei as a workflow."""
_MAX_DEPTH = 20


def added(selection: Selection, requested: Sequence[str], sources: Sequence[Path], allowed: Sequence[str]) -> Selection:
    """A selection with workflows after its templates.

    Args:
        requested: paths of files and folders within the sources.
        allowed: unguarded protocols that the operator's owner has switched on.

    Returns:
        Those that name a template which is not there, or may not run, are left out, with the cause.

    Raises:
        NucleiBinaryError: (TemplatesNotFound) a path is not there, (InvalidOptions) it is no path, or no workflow.
        OSError: a file can't be read.
    """
    roots = [Path(os.path.realpath(source)) for source in sources]
    digest = hashlib.sha256(selection.digest.encode())
    left_out = list(selection.left_out)
    found: list[Template] = []
    for path in dict.fromkeys(path for entry in requested for path in _files(entry, roots)):
        root = templates.root_of(path, roots)
        content = path.read_bytes()
        workflow = Template(path, root, definition.identifier(content) or "", named=True, needs=(NEED,))
        document = definition.parse(content) or {}
        if definition.kind(document) != "workflow":
            raise NucleiBinaryError(
                Reason.INVALID_OPTIONS, f"{path.relative_to(root)} is no workflow: name it in templates instead."
            )
        members, problem = _members(document, root, allowed)
        if problem:
            left_out.append((workflow, problem))
            continue
        for member in (path, *members):
            digest.update(f"{member.relative_to(root)}\0".encode() + hashlib.sha256(member.read_bytes()).digest())
        found.append(
            msgspec.structs.replace(
                workflow,
                members=tuple(members),
                requests=max(1, sum(definition.requests(each.read_bytes(), each, root) for each in members)),
            )
        )
    if not (found or selection.templates):
        causes = "; ".join(f"{each.path.name}: {why}" for each, why in left_out)
        raise NucleiBinaryError(Reason.NO_TEMPLATES_LOADED, f"No workflow can be run. {causes}.")
    return msgspec.structs.replace(
        selection,
        templates=(*selection.templates, *found),
        left_out=tuple(left_out),
        digest=digest.hexdigest(),
    )


def _files(entry: str, roots: Sequence[Path]) -> Iterator[Path]:
    path = templates.resolve(entry, roots)
    if path is None:
        raise NucleiBinaryError(
            Reason.TEMPLATES_NOT_FOUND,
            f"Workflow not found: {entry}. Name files or folders that the template sources hold.",
        )
    if not path.is_dir():
        yield path
        return
    for file in templates.walk(path, templates.root_of(path, roots)):
        if definition.kind(definition.parse(file.read_bytes()) or {}) == "workflow":
            yield file


def _members(document: dict[str, Any], root: Path, allowed: Sequence[str]) -> tuple[list[Path], str]:
    """The templates that a workflow may run, and why it can't be run; empty: it can."""
    members: dict[Path, None] = {}
    for step in _steps(document.get("workflows"), 0):
        if isinstance(name := step.get("template"), str):
            try:
                found = templates.resolve(name, [root])
            except NucleiBinaryError as error:
                return [], error.message
            if found is None:
                return [], f"it names {name}, which is not there"
            members.update(dict.fromkeys(templates.walk(found, root) if found.is_dir() else [found]))
        elif tags := selecting.words(step.get("tags")):
            files = ((file, file.read_bytes()) for file in templates.walk(root, root))
            members.update(
                (file, None)
                for file, content in files
                if (identifier := definition.identifier(content)) and selecting.facts(identifier, content).tags & tags
            )
        else:
            return [], "a step of it has neither template nor tags"
    for member in members:
        if unguarded.is_refused(member.read_bytes(), allowed):
            return [], f"it may run {member.relative_to(root)}, whose protocol can't be kept from denied addresses"
    return sorted(members), ""


def _steps(steps: object, depth: int) -> Iterator[dict[str, Any]]:
    """All steps of a workflow, those below matchers and other steps too."""
    for step in steps if isinstance(steps, list) and depth < _MAX_DEPTH else ():
        if isinstance(step, dict):
            yield step
            yield from _steps(step.get("subtemplates"), depth + 1)
            matchers = step.get("matchers")
            for matcher in matchers if isinstance(matchers, list) else ():
                if isinstance(matcher, dict):
                    yield from _steps(matcher.get("subtemplates"), depth + 1)
