"""A template that was not run must be told, and no template may keep the others from being told."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanplan.runner.nuclei.choosing import templates
from scanplan.runner.nuclei.judging import coverage
from scanplan.runner.nuclei.judging.coverage import Coverage
from scanplan.runner.nuclei.judging.evidence import Evidence
from scanplan.runner.nuclei.judging.statistics import ScannerLog

ENDPOINT = "http://a:1"
HEAD = "id: {id}\ninfo: {{name: x, author: x, severity: info}}\n"


def covered(folder: Path, bodies: dict[str, str], *, sent: tuple[str, ...] = (), loaded: bool = True) -> Coverage:
    """What became of templates that Nuclei loaded, or said nothing of; some of them were sent."""
    for name, body in bodies.items():
        (folder / f"{name}.yaml").write_text(HEAD.format(id=name) + body)
    log, evidence = ScannerLog(0.0), Evidence([ENDPOINT])
    log.templates_loaded, log.loaded = len(bodies), set(bodies) if loaded else set()
    for name in sent:
        line = f'{{"template":"{folder / name}.yaml","type":"http","input":"{ENDPOINT}","error":"none"}}'
        evidence.feed(line.encode())
    return coverage.of(templates.select((), (), [folder]), [log], evidence, (), ())


PLAIN = "http: [{method: GET, path: ['{{BaseURL}}/']}]\n"
ODD = {
    "a number as a key": "http: [{method: GET, path: [/], headers: {404: x, Accept: y}}]\n",
    "a word that YAML 1.1 takes for a boolean": "http: [{method: GET, path: [/], headers: {On: x, Accept: y}}]\n",
    "no list": "http: 1\nx: payloads\n",
    "a cycle": "http: &a [{method: *a}]\n",
}


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_an_odd_template_costs_the_others_nothing(tmp_path: Path, body: str, *, loaded: bool) -> None:
    """Lost otherwise: the result of a whole scan."""
    found = covered(tmp_path, {"plain": PLAIN, "odd": body}, sent=("plain",), loaded=loaded)
    assert [each.template for each in found.not_run] == (["odd.yaml"] if loaded else ["odd.yaml", "plain.yaml"])
    assert found.run == (1 if loaded else 0)


def test_templates_with_the_same_request_are_run_by_one(tmp_path: Path) -> None:
    found = covered(tmp_path, {"a": PLAIN, "b": PLAIN, "c": PLAIN.replace("GET", "POST")}, sent=("a",))
    assert (found.run, [each.template for each in found.not_run]) == (2, ["c.yaml"])


CODE = "code: [{engine: [sh], source: 'echo hello', matchers: [{type: word, words: [zzz]}]}]\n"


@pytest.mark.parametrize("body", [CODE, "whois: [{query: x}]\n", f"flow: code(1) && http(1)\n{PLAIN}{CODE}"])
def test_what_leaves_no_trace_counts_as_run(tmp_path: Path, body: str) -> None:
    """Lost otherwise: a plan of such templates alone, as soon as they find nothing."""
    assert covered(tmp_path, {"a": body}).run == 1
