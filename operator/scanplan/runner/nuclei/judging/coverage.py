"""Which templates were run, and why the others were not.

A template counts as run if one of its requests was sent, if it has found something, or if the trace log has nothing of its
protocol. Nuclei sends one request for all templates that share it (a cluster), and the trace log names only one of them. The others
are found by that request.
"""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from scanplan.api.documents.report import TemplateNotRun
from scanplan.api.documents.words import Severity
from scanplan.runner.nuclei.choosing import definition
from scanplan.runner.nuclei.choosing.templates import Selection, Template
from scanplan.runner.nuclei.judging.evidence import Evidence
from scanplan.runner.nuclei.judging.statistics import ScannerLog

_REASON_CHARACTERS = 240
_TOLD = (
    ("unresolved variables found: ", "it needs variables that nobody sets: "),
    (
        "invalid token provided for interactsh",
        "the out-of-band server did not take the token (scanner.interactsh.tokenFrom)",
    ),
    ("could not register to servers", "the out-of-band server could not be reached (scanner.interactsh)"),
    ("interactsh client not initialized", "it needs an out-of-band server (scanner.interactsh), and there is none"),
    ("cannot use IP address as DNS input", "DNS templates need names, and the endpoints are IP addresses"),
)
_UNSIGNED = "it has no valid signature, and the plan verifies them (scanner.verifySignatures)"
_UNSAID = "Nuclei left it out without saying why"
_UNTRACED = ("whois", "code")
"""Protocols of which the trace log has nothing: run, unless the log names an error."""


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the templates."""

    loaded: int = 0
    run: int = 0
    not_run: tuple[TemplateNotRun, ...] = ()
    refused: tuple[TemplateNotRun, ...] = ()
    """Those of `not_run` that the plan names and Nuclei did not load."""
    not_chosen: int = 0
    """Templates that an automatic scan did not use: not chosen, or not signed. Nuclei does not say which."""
    pairs: int = 0
    """Number of pairs of template and endpoint that count as run."""
    ran: Mapping[str, int] = {}
    """By template, under all of its names: a bit for each endpoint where all of its requests had an answer, as far as the
    trace log tells."""


def of(
    selection: Selection,
    logs: Sequence[ScannerLog],
    evidence: Evidence,
    matched: Collection[str],
    severities: Iterable[Severity],
    *,
    signed_only: Callable[[Path], bool] = lambda _: False,
    automatic: bool = False,
) -> Coverage:
    """What became of the templates of a scan, from what Nuclei said and sent in one or several runs.

    Args:
        matched: ids of templates that found something, which says that they were sent, too.
        signed_only: whether Nuclei was to leave out the templates of a source that have no valid signature. It names none of
            these.
        automatic: Nuclei chose among the templates. Its log names neither those it did not choose nor unsigned ones.
    """
    loaded_ids = {identifier for log in logs for identifier in log.loaded}
    why_not_loaded = {path: why for log in reversed(logs) for path, why in log.not_loaded.items()}
    loaded: list[Template] = []
    not_run: list[TemplateNotRun] = []
    refused: list[TemplateNotRun] = []
    not_chosen = 0
    for template in selection.templates:
        if template.id in loaded_ids:
            loaded.append(template)
        elif (
            why := _why_not_loaded(
                template, why_not_loaded, frozenset(severities), signed_only=signed_only(template.root)
            )
        ) is not None:
            if automatic and why in (_UNSAID, _UNSIGNED):
                not_chosen += 1
                continue
            not_run.append(_not_run(template, why))
            if template.named:
                refused.append(not_run[-1])
    for double, first in selection.doubles:
        not_run.append(
            _not_run(double, f"{first.path.relative_to(first.root)} has the same id, {double.id}, and comes first")
        )
        if double.named and first.named:
            refused.append(not_run[-1])
    not_run.extend(_not_run(template, why) for template, why in selection.left_out)
    sent, ran, silent = _sent(loaded, logs, evidence, matched, clustered=not automatic)
    not_run.extend(_not_run(template, why) for template, why in silent)
    return Coverage(
        loaded=len(loaded) + not_chosen or max((log.templates_loaded or 0 for log in logs), default=0),
        run=len(sent),
        not_run=tuple(sorted(not_run, key=lambda item: item.template)),
        refused=tuple(refused),
        not_chosen=not_chosen,
        pairs=sum(mask.bit_count() for mask in sent),
        ran=ran,
    )


def _why_not_loaded(
    template: Template, told: dict[str, str], severities: frozenset[Severity], *, signed_only: bool
) -> str | None:
    """Why a template was not loaded, as far as Nuclei or the file tells; None: only its severity was not wanted."""
    if (why := told.get(str(template.path))) is not None:
        return why
    document = definition.parse(template.path.read_bytes())
    if document is None:
        return "it can't be read as YAML"
    if definition.kind(document) == "workflow":
        return "it is a workflow: name it in selection.workflows"
    if severities and definition.stated_severity(document) not in severities:
        return None
    if signed_only:
        return _UNSIGNED
    return _UNSAID


def _sent(
    loaded: Sequence[Template],
    logs: Sequence[ScannerLog],
    evidence: Evidence,
    matched: Collection[str],
    *,
    clustered: bool,
) -> tuple[list[int], dict[str, int], list[tuple[Template, str]]]:
    """What was sent, and what was not.

    Returns:
        A mask of endpoints (a bit each) for every template that was sent; by the names of such a template, a mask of the endpoints
        that answered all of its requests; and the templates that were not sent, each with the cause.
    """
    masks: dict[str, int] = {}
    answered: dict[str, int] = {}
    quiet: list[Template] = []
    for template in loaded:
        mask = _of_template(evidence.sent, template)
        if mask:
            masks[template.id] = mask
            answered[template.id] = mask & ~_of_template(evidence.unanswered, template)
        else:
            quiet.append(template)
    told = {name: why for log in reversed(logs) for name, why in log.not_sent.items()}
    silent: list[tuple[Template, str]] = []
    clusters = _clusters(quiet, [template for template in loaded if template.id in masks]) if clustered else {}
    for template in quiet:
        cluster = clusters.get(template.id)
        mask = masks.get(cluster.first, 0) if cluster else 0
        if cluster and mask:
            masks[template.id] = mask
            answered[template.id] = answered.get(cluster.first, 0)
            continue
        why = told.get(template.id) or (told.get(cluster.id) if cluster else None)
        document = definition.parse(template.path.read_bytes()) if why is None else None
        if template.id in matched or (document and any(document.get(name) for name in _UNTRACED)):
            masks[template.id] = (1 << len(evidence.addresses.endpoints)) - 1
            continue
        silent.append(
            (
                template,
                _plainly(why) if why else "no request of it was sent: probably it does not apply to these endpoints",
            )
        )
    ran = {name: answered[each.id] for each in loaded if each.id in answered for name in (each.id, each.stands_for)}
    return list(masks.values()), ran, silent


def _of_template(masks: Mapping[str, int], template: Template) -> int:
    """The bits of a template, which Nuclei names by its path or by its id; of a workflow, those of what it may run."""
    found = masks.get(template.id, 0)
    for path in (template.path, *template.members):
        found |= masks.get(str(path), 0)
    return found


class _Cluster(msgspec.Struct, frozen=True):
    first: str
    """The id of the template that was sent; empty where none was."""
    id: str
    """The name that Nuclei gives to the cluster in its log."""


def _clusters(quiet: Sequence[Template], sent: Sequence[Template]) -> dict[str, _Cluster]:
    """The clusters of the templates that have no request of their own in the trace, by their ids."""
    members: dict[str, list[str]] = collections.defaultdict(list)
    for template in quiet:
        document = definition.parse(template.path.read_bytes())
        if document and (key := definition.request_key(document)):
            members[key].append(template.id)
    if not members:
        return {}
    first: dict[str, str] = {}
    for template in sent:
        document = definition.parse(template.path.read_bytes())
        if document and (key := definition.request_key(document)) in members:
            first.setdefault(str(key), template.id)
    found: dict[str, _Cluster] = {}
    for key, ids in members.items():
        name = "cluster-" + hashlib.sha256(",".join(sorted(ids)).encode()).hexdigest()
        found.update(dict.fromkeys(ids, _Cluster(first.get(key, ""), name)))
    return found


def _plainly(why: str) -> str:
    for word, plain in _TOLD:
        if word in why:
            return plain + why.partition(word)[2] if word.endswith(": ") else plain
    return why


def _not_run(template: Template, why: str) -> TemplateNotRun:
    return TemplateNotRun(template=str(template.path.relative_to(template.root)), reason=why[:_REASON_CHARACTERS])


def listed(items: Sequence[TemplateNotRun], limit: int = 5) -> str:
    """The first of them, each with its cause."""
    more = f"; and {len(items) - limit} more" if len(items) > limit else ""
    return "; ".join(f"{item.template} ({item.reason})" for item in items[:limit]) + more
