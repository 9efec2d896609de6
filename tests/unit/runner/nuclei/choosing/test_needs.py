"""Templates that need a flag of their own are run apart: that flag changes the whole run."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanplan.api.documents.task import ScannerOptions
from scanplan.runner.nuclei.choosing import needs, templates, unguarded
from scanplan.runner.nuclei.choosing.templates import Selection
from scanplan.runner.work import Work

LIBRARY = {
    "a": "http: [{method: GET, path: ['{{BaseURL}}'], fuzzing: [{part: query}]}]",
    "b": "http: [{method: GET, path: ['{{BaseURL}}/fuzzing-code']}]",
    "c": "code: [{engine: [sh], source: x}]",
    "d": "self-contained: true\nhttp: [{method: GET, path: ['http://elsewhere.example']}]\ncode: [{engine: [sh], source: x}]",
    "e": "requests:\n  - method: GET\n    path: ['{{BaseURL}}']\n    fuzzing:\n      - part: query",
    "f": "self-contained: true\ncode: [{engine: [sh], source: x}]",
}


@pytest.fixture
def selection(tmp_path: Path) -> Selection:
    for name, body in LIBRARY.items():
        (tmp_path / f"{name}.yaml").write_text(f"id: {name}\ninfo: {{name: x, author: t, severity: info}}\n{body}\n")
    return templates.select([], (), [tmp_path])


def ids(selection: Selection) -> list[tuple[str, tuple[str, ...]]]:
    return [(template.id, template.needs) for template in selection.templates]


def test_what_is_off_stays_where_it_was(selection: Selection) -> None:
    """Nuclei then names the template, and the flag that it lacks."""
    assert needs.arranged(selection, ScannerOptions()) is selection


def test_what_is_on_comes_apart(selection: Selection) -> None:
    assert ids(needs.arranged(selection, ScannerOptions(dast=True))) == [
        ("b", ()), ("c", ()), ("d", ()), ("f", ()), ("a", ("dast",)), ("e", ("dast",)),
    ]  # fmt: skip
    arranged = needs.arranged(selection, ScannerOptions(dast=True, code=True))
    assert ids(arranged) == [
        ("b", ()), ("c", ("code",)), ("f", ("code",)), ("a", ("dast",)), ("e", ("dast",)),
    ]  # fmt: skip
    assert [template.id for template, _ in arranged.left_out] == ["d"]


def test_no_step_has_templates_of_different_needs(selection: Selection) -> None:
    arranged = needs.arranged(selection, ScannerOptions(dast=True, code=True))
    work = Work(arranged.templates, 1, 1_000.0)
    steps = []
    while (span := work.next()) is not None:
        steps.append([template.needs for template in arranged.templates[span.first : span.end]])
        work.finish(span)
    assert steps == [[()], [("code",)] * 2, [("dast",)] * 2]


@pytest.mark.usefixtures("selection")
def test_what_is_left_out_for_another_reason_is_still_told(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        "id: w\ninfo: {name: x, author: t, severity: info}\nwhois: [{query: '{{Host}}'}]\n"
    )
    arranged = needs.arranged(templates.select([], (), [tmp_path]), ScannerOptions(code=True))
    left, _ = unguarded.without(arranged, ())
    assert [template.id for template, _ in left.left_out] == ["d", "w"]
