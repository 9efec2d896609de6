"""What a message says, in words: a title, facts, and lines about new findings. Every format is made from it.

Titles and facts hold names that the API server has checked, numbers and our own words. `Line`s and the message of a failure
hold texts of templates and scanned hosts. Each format has to keep these from meaning anything.
"""

from __future__ import annotations

from typing import NamedTuple

from scanplan.api.documents.words import Severity
from scanplan.api.v1alpha1.notification import NewFinding, Notice
from scanplan.api.v1alpha1.scannotifier import EventType
from scanplan.core.notify.notices import TEST


class Fact(NamedTuple):
    """A name and a value, both harmless."""

    name: str
    value: str


class Line(NamedTuple):
    """A new finding in words; all but its severity may be hostile."""

    severity: str
    name: str
    where: str
    template: str


def title(notice: Notice) -> str:
    """One line that says what has happened, and where."""
    if notice.event == TEST:
        return f"Test message of a ScanNotifier in {notice.namespace}"
    place = f"{notice.namespace}/{notice.plan}"
    match notice.event:
        case EventType.FAILED:
            return f"Scan {place} failed: {notice.reason}"
        case EventType.NEW_FINDINGS:
            recovered = ", recovered" if notice.recovered else ""
            return f"{_new(notice.new_total)} in {place}{recovered}"
        case EventType.RECOVERED:
            return f"Scan {place} recovered"
        case _:
            return f"Scan {place} completed"


def facts(notice: Notice) -> list[Fact]:
    """What is told besides, without what is not known."""
    told = [Fact("Namespace", notice.namespace)]
    if notice.event != TEST:
        told += [
            Fact("Plan", notice.plan),
            Fact("Schedule", notice.schedule),
            Fact("Project", notice.project),
            Fact("Run", notice.run),
            Fact("Result", _result(notice)),
            Fact("Duration", notice.duration),
            Fact("Endpoints", "" if notice.endpoints is None else str(notice.endpoints)),
            Fact("Findings", _counts(notice.findings)),
            Fact(f"New, {notice.min_severity} and above", "" if notice.new is None else _counts(notice.new)),
            Fact("Resolved", _number(notice.resolved)),
            Fact("Reopened", _number(notice.reopened)),
            Fact("Under an exception", _number(notice.suppressed)),
        ]
    told.append(Fact("Time", notice.time))
    told += [Fact(clean(name), clean(value)) for name, value in sorted((notice.metadata or {}).items())]
    return [fact for fact in told if fact.value.strip()]


def lines(notice: Notice) -> list[Line]:
    """The new findings that are named, the most severe first."""
    return [_line(each) for each in notice.examples]


def more(notice: Notice) -> str:
    """How many new findings are not named; empty: all are."""
    left = notice.new_total - len(notice.examples)
    return f"and {left} more" if notice.examples and left > 0 else ""


def failure(notice: Notice) -> str:
    """Why a scan failed; may be hostile."""
    return clean(notice.message).strip() if notice.event == EventType.FAILED else ""


def clean(text: str) -> str:
    """The text in one line: control characters, and those that turn the direction of writing, become spaces."""
    return "".join(character if character.isprintable() else " " for character in text)


def links(notice: Notice) -> list[Fact]:
    """Where to read on, by our own words."""
    found = [Fact("Report", notice.report_url), Fact("All scans", notice.page_url)]
    return [link for link in found if link.value]


def _line(finding: NewFinding) -> Line:
    severity = Severity.of(finding.severity).value
    name, template = clean(finding.name).strip(), clean(finding.template).strip()
    return Line(severity, name or "without a name", clean(finding.where).strip(), template or "without an id")


def _new(count: int) -> str:
    return f"{count} new finding{'' if count == 1 else 's'}"


def _result(notice: Notice) -> str:
    words = notice.phase if notice.complete or not notice.findings else f"{notice.phase}, partial result"
    return f"{words}, recovered" if notice.recovered else words


def _counts(counts: dict[str, int] | None) -> str:
    if counts is None:
        return ""
    ordered = [f"{counts[severity]} {severity.value}" for severity in Severity if counts.get(severity)]
    return ", ".join(ordered) or "none"


def _number(count: int | None) -> str:
    return str(count) if count else ""
