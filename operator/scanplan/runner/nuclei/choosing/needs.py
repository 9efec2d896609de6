"""Finds the templates that need a switch of the plan: for fuzzing, for a browser, or for programs.

Each switch is a flag of Nuclei that changes the whole run: with `-dast`, only fuzzing templates are loaded; with `-code`,
self-contained templates are loaded too. So templates that need a flag have a run of their own. If the flag is off, Nuclei names
the template and the flag, and the scan reports the template as not run.
"""

from __future__ import annotations

from typing import Any

import msgspec

from scanplan.api.documents.task import ScannerOptions
from scanplan.core.planning.nuclei.protocols import HEADLESS
from scanplan.runner.nuclei.choosing import definition
from scanplan.runner.nuclei.choosing.templates import Selection, Template

DAST, CODE = "dast", "code"
FLAGS = {DAST: ("-dast",), CODE: ("-code",), HEADLESS: ("-headless", "-sc")}
"""`-sc`: the image's own browser; Nuclei would fetch one otherwise."""
_HINTS = {DAST: b"fuzzing", CODE: b"code", HEADLESS: b"headless"}
ELSEWHERE = "it names its targets itself, and these pass no target guard"


def arranged(selection: Selection, options: ScannerOptions) -> Selection:
    """The selection with the needs of its templates, those with the same needs together.

    Raises:
        OSError: a template can't be read.
    """
    on = _switched_on(options)
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


def lacking(template: Template, options: ScannerOptions) -> str:
    """What a template needs that is off, such as ``headless``; empty: nothing. For forecasts: a scan leaves that to Nuclei.

    Raises:
        OSError: the template can't be read.
    """
    needs, _ = _read(template, frozenset(FLAGS) - _switched_on(options))
    return needs[0] if needs else ""


def _switched_on(options: ScannerOptions) -> frozenset[str]:
    switches = {DAST: options.dast, CODE: options.code, HEADLESS: options.headless}
    return frozenset(need for need, on in switches.items() if on)


def _of(template: Template, on: frozenset[str]) -> tuple[tuple[str, ...], str]:
    """What of it a template needs, and why it is left out."""
    needs, document = _read(template, on)
    if CODE in needs and document.get("self-contained") and set(_protocols(document)) != {"code"}:
        return (), ELSEWHERE
    return needs, ""


def _read(template: Template, of: frozenset[str]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Which of some needs a template has, and its content where it has to be parsed for that."""
    if template.members:
        return (), {}
    content = template.path.read_bytes()
    if not any(_HINTS[need] in content for need in of):
        return (), {}
    document = definition.parse(content) or {}
    has = {DAST: _fuzzes(document), CODE: bool(document.get("code")), HEADLESS: bool(document.get("headless"))}
    return tuple(sorted(need for need in of if has[need])), document


def _fuzzes(document: dict[str, Any]) -> bool:
    lists = (document.get(name) for name in ("http", "requests", "headless"))
    requests = [each for found in lists if isinstance(found, list) for each in found]
    return any(isinstance(each, dict) and each.get("fuzzing") for each in requests)


def _protocols(document: dict[str, Any]) -> list[str]:
    return [name for name in definition.PROTOCOLS if document.get(name)]
