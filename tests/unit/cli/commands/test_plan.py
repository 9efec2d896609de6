"""`scanplan plan` foretells what a scan does; a wrong forecast is a surprise at night."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from scanplan.cli.main import app


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    for name, tags, severity in (("one", "cve", "high"), ("two", "cve,dos", "low"), ("three", "tech", "info")):
        path = folder / f"http/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"id: {name}\ninfo:\n  name: x\n  severity: {severity}\n  tags: {tags}\n"
            'http:\n  - method: GET\n    path: ["{{BaseURL}}/a", "{{BaseURL}}/b"]\n'
        )
    return folder


def forecast(folder: Path, library: Path, *options: str, **spec: Any) -> tuple[int, str]:
    plan = folder / "plan.yaml"
    fields = {"endpoints": [f"https://h{number}.example" for number in range(10)], "templates": ["http/"]} | spec
    fields = {name: value for name, value in fields.items() if value is not None}
    manifest = {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanPlan", "metadata": {"name": "n"}, "spec": fields}
    plan.write_text(yaml.safe_dump(manifest))
    done = CliRunner().invoke(app, ["plan", "-f", str(plan), "--templates", str(library), *options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_it_counts_what_runs_and_what_does_not(tmp_path: Path, library: Path) -> None:
    code, output = forecast(
        tmp_path,
        library,
        "-o",
        "json",
        templates=None,
        selection={"include": {"tags": ["CVE"]}, "exclude": {"tags": ["dos"]}},
        sharding={"maxEndpointsPerShard": 2, "parallelism": 2},
        scanner={"rateLimit": 1},
    )
    assert code == 0, output
    (told,) = json.loads(output)
    assert told.pop("shards") >= 5
    assert told.pop("deadlineSeconds") > told.pop("seconds") >= 12
    assert told == {
        "name": "n",
        "endpoints": 10,
        "parallelism": 2,
        "templates": ["http/one.yaml"],
        "templatesLeftOut": {"none of the included tags": 1, "an excluded tag": 1},
        "requests": 20,
    }


def test_people_read_a_few_lines(tmp_path: Path, library: Path) -> None:
    code, output = forecast(tmp_path, library, severityLevels=["high"])
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == [
        "n",
        "endpoints",
        "templates",
        "left",
        "requests",
        "time",
        "deadline",
    ]
    assert "2 with another severity" in output


def test_a_template_profile_is_shown_as_what_it_chooses(tmp_path: Path, library: Path) -> None:
    (library / "profiles").mkdir()
    (library / "profiles/own.yml").write_text("exclude-tags: [dos]\nexclude-matchers: ['one:x']\nheadless: true\n")
    code, output = forecast(tmp_path, library, templates=None, selection={"profile": "own"})
    assert code == 0, output
    lines = [" ".join(line.split()) for line in output.splitlines()]
    wanted = {
        "templates 2",
        "left out 1 with an excluded tag",
        "left out findings of one:x",
        "not set headless of the profile",
    }
    assert wanted <= set(lines)
    code, output = forecast(tmp_path, library, templates=None, selection={"profile": "owm"})
    assert (code, "The template sources have: own" in output) == (65, True), output


def test_what_only_a_scan_can_count_is_told(tmp_path: Path, library: Path) -> None:
    (library / "http/fuzz.yaml").write_text(
        'id: fuzz\ninfo: {name: x, severity: info}\nhttp: [{method: GET, path: ["{{BaseURL}}"], fuzzing: [{part: query}]}]\n'
    )
    code, output = forecast(tmp_path, library, scanner={"dast": True})
    assert (code, "uncounted  1 fuzzing templates" in output) == (0, True), output
    assert "uncounted" not in forecast(tmp_path, library)[1]


def test_what_needs_a_switch_that_is_off_is_told(tmp_path: Path, library: Path) -> None:
    """Lost otherwise: that a scan of a folder runs no browser, which its report tells only afterwards."""
    for name, body in (
        ("b", "headless: [{steps: []}]"),
        ("c", "code: [{engine: [sh]}]"),
        ("d", "http: [{fuzzing: [{}]}]"),
    ):
        (library / f"http/{name}.yaml").write_text(f"id: {name}\ninfo: {{name: x, severity: info}}\n{body}\n")
    code, output = forecast(tmp_path, library, "-o", "json", scanner={"code": True})
    assert code == 0, output
    (told,) = json.loads(output)
    assert told["templatesLeftOut"] == {
        "a need for scanner.headless, which is off": 1,
        "a need for scanner.dast, which is off": 1,
    }
    assert "http/c.yaml" in told["templates"]
    assert "http/b.yaml" not in told["templates"]


def test_a_workflow_is_shown_with_the_requests_of_all_that_it_may_run(tmp_path: Path, library: Path) -> None:
    (library / "workflows").mkdir()
    (library / "workflows/w.yaml").write_text(
        "id: w\ninfo: {name: x, severity: info}\nworkflows: [{template: http/one.yaml, subtemplates: [{tags: tech}]}]\n"
    )
    code, output = forecast(tmp_path, library, "-o", "json", templates=None, selection={"workflows": ["workflows/"]})
    assert code == 0, output
    (told,) = json.loads(output)
    assert (told["templates"], told["requests"]) == (["workflows/w.yaml"], 40)


def test_an_automatic_scan_is_shown_with_the_most_that_it_can_be(tmp_path: Path, library: Path) -> None:
    """Lost otherwise: a plan that says what will run, where nobody can know."""
    code, output = forecast(tmp_path, library, "--estimate", "-o", "json", selection={"automatic": True})
    assert code == 0, output
    (told,) = json.loads(output)
    assert (told["automatic"], told["requests"]) == (True, 10 * (3 * 2 + 2 + 1))
    assert told["estimate"]["steps"] == 1
    _, output = forecast(tmp_path, library, selection={"automatic": True})
    assert "chosen     while it scans" in output
    assert "requests   at most 90" in output


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({"include": {"tags": ["cve"]}}, "No template is left that looks for technologies"),
        ({"workflows": ["workflows/"]}, "goes with neither workflows nor"),
    ],
)
def test_an_automatic_scan_that_can_not_be_is_refused(
    tmp_path: Path, library: Path, selection: dict[str, Any], words: str
) -> None:
    code, output = forecast(tmp_path, library, selection={"automatic": True, **selection})
    assert (code, words in " ".join(output.split())) == (65, True), output


def test_the_hours_in_which_it_may_run_are_told(tmp_path: Path, library: Path) -> None:
    """Lost otherwise: a forecast of two hours for a scan that takes until tomorrow."""
    windows = [{"days": ["Mon-Fri"], "from": "22:00", "to": "06:00", "timeZone": "Europe/Berlin"}]
    code, output = forecast(tmp_path, library, windows=windows)
    assert code == 0
    assert "window     Mon-Fri 22:00 to 06:00 in Europe/Berlin" in output
    _, output = forecast(tmp_path, library, "-o", "json", windows=windows)
    assert json.loads(output)[0]["windows"] == ["Mon-Fri 22:00 to 06:00 in Europe/Berlin"]


def test_endpoints_that_only_the_cluster_knows_are_given(tmp_path: Path, library: Path) -> None:
    source = {"endpoints": None, "endpointsFrom": [{"configMapKeyRef": {"name": "hosts", "key": "endpoints"}}]}
    code, output = forecast(tmp_path, library, **source)
    assert (code, "--endpoints FILE" in output) == (64, True), output
    (tmp_path / "hosts").write_text("# ours\na.example\n\nb.example\n")
    code, output = forecast(tmp_path, library, "--endpoints", str(tmp_path / "hosts"), "-o", "json", **source)
    assert (code, json.loads(output)[0]["endpoints"]) == (0, 2)


def test_endpoints_of_a_file_are_as_many_as_the_plan_says(tmp_path: Path, library: Path) -> None:
    """Lost otherwise: the pods and hours of a scan of a million, before it is made."""
    file = {"path": "hosts.txt", "sha256": "ab" * 32, "endpoints": 1_000_000}
    source = {"endpoints": None, "endpointsFrom": [{"claimFile": file}], "sharding": {"maxEndpointsPerShard": 2_000}}
    code, output = forecast(tmp_path, library, "-o", "json", **source)
    told = json.loads(output)[0]
    assert (code, told["endpoints"], told["shards"]) == (0, 1_000_000, 500)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"template": ["x"]}, "spec.template"),
        ({"selection": {"include": {"tag": ["x"]}}}, "spec.selection.include.tag"),
        ({"templates": ["http/none.yaml"]}, "Templates not found: http/none.yaml"),
        ({"selection": {"include": {"tags": ["none"]}}}, "left out are 3 with none of the included tags"),
        ({"endpoints": ["ftp://a.example"]}, "ftp"),
        ({"timeoutSeconds": 1}, "spec.timeoutSeconds"),
    ],
)
def test_a_plan_that_could_not_run_is_refused_with_its_cause(
    tmp_path: Path, library: Path, spec: dict[str, Any], words: str
) -> None:
    code, output = forecast(tmp_path, library, **spec)
    assert (code, words in " ".join(output.split())) == (65, True), output


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    code, output = forecast(tmp_path, tmp_path / "none")
    assert (code, "is no folder" in output) == (66, True)
