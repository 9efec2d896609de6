"""What templates need that is off unless a plan switches it on: fuzzing, browsers, programs.

Nuclei has one flag for each, and it changes the whole run: with `-dast` nothing but fuzzing templates is loaded, with `-code`
self-contained templates are. So templates that need one are run apart from the others. Where it is off, Nuclei names the template
and the flag, and the scan tells it as not run.
"""

from __future__ import annotations

from typing import Any

import msgspec

from scanplan.api.documents.task import ScannerOptions
from scanplan.core.planning.protocols import HEADLESS
from scanplan.runner.nuclei.choosing import definition
from scanplan.runner.nuclei.choosing.templates import Selection, Template

DAST, CODE = "dast", "code"
FLAGS = {DAST: ("-dast",), CODE: ("-code",), HEADLESS: ("-headless", "-sc")}
"""`-sc`: the image's own browser; Nuclei would fetch one otherwise."""
_HINTS = {DAST: b"fuzzing", CODE: b"code", HEADLESS: b"headless"}
_ELSEWHERE = "it names its targets itself, and these pass no target guard"


def arranged(selection: Selection, options: ScannerOptions) -> Selection:
    """The selection with the needs of its templates, those with the same needs together.

    Raises:
        OSError: a template can't be read.
    """
    on = frozenset(
        need
        for need, switched in ((DAST, options.dast), (CODE, options.code), (HEADLESS, options.headless))
        if switched
    )
    if not on:
        return selection
    left_out = list(selection.left_out)
    templates = []
    for template in selection.templates:
        needs, problem = _of(template, on)
        if problem:
            left_out.append((template, problem))
        else:
            templates.append(msgspec.structs.replace(template, needs=(*template.needs, *needs)))
    templates.sort(key=lambda template: template.needs)
    return msgspec.structs.replace(selection, templates=tuple(templates), left_out=tuple(left_out))


def _of(template: Template, on: frozenset[str]) -> tuple[tuple[str, ...], str]:
    """What of it a template needs, and why it is left out."""
    if template.members:
        return (), ""
    content = template.path.read_bytes()
    if not any(_HINTS[need] in content for need in on):
        return (), ""
    document = definition.parse(content) or {}
    needs = {DAST: _fuzzes(document), CODE: bool(document.get("code")), HEADLESS: bool(document.get("headless"))}
    found = tuple(sorted(need for need in on if needs[need]))
    if CODE in found and document.get("self-contained") and set(_protocols(document)) != {"code"}:
        return (), _ELSEWHERE
    return found, ""


def _fuzzes(document: dict[str, Any]) -> bool:
    requests = [each for name in ("http", "requests", "headless") for each in document.get(name) or ()]
    return any(isinstance(each, dict) and each.get("fuzzing") for each in requests)


def _protocols(document: dict[str, Any]) -> list[str]:
    return [name for name in definition.PROTOCOLS if document.get(name)]
