"""Template variables: which a plan may set, and which would read the scanner's files or aim elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scanplan.api.errors import InvalidPlan, NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.nuclei import scanner_options, variables
from scanplan.core.planning.task import Plan
from scanplan.runner.nuclei.launch import variables_file
from scanplan.runner.nuclei.launch.command import Workspace
from tests.unit.core.objects import plan


@pytest.mark.parametrize("name", ["BaseURL", "baseurl", "Hostname", "HOST", "Path", "interactsh-url", "FQDN"])
def test_names_that_nuclei_sets_for_each_target_are_refused(name: str) -> None:
    """A template would ask something else than the plan's endpoints."""
    with pytest.raises(InvalidPlan, match="take another name"):
        variables.check({name: "x"})


@pytest.mark.parametrize(
    "value",
    [
        "/proc/self/environ",
        "//proc/1/environ",
        "/./proc/1/environ",
        "/dev/fd/3",
        "/sys/kernel/x",
        "/run/secrets/token",
        "/var/run/secrets/token",
        "..",
        "../headers.txt",
        "a/../../headers.txt",
        "/tmp/../proc/1/environ",
    ],
)
def test_files_that_come_and_go_are_refused_and_the_value_not_told(value: str) -> None:
    with pytest.raises(InvalidPlan) as told:
        variables.check({"name": value})
    assert value not in told.value.message or value == ".."


@pytest.mark.parametrize(
    "value",
    [
        "guest",
        "",
        "/admin",
        "a=b",
        "/processes",
        "https://app.example.com/x",
        "a..b",
        "/devices",
        "{{rand_int(1)}}",
        "a,b # c",
    ],
)
def test_other_values_are_taken_and_written_whole(value: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    variables_file.write({"name": value, "other": "1"}, workspace)
    assert workspace.variables.read_text() == f"name={value}\nother=1\n"


@pytest.mark.parametrize("value", ["headers.txt", "home", "./headers.txt", "home/deep.txt"])
def test_a_file_of_the_scanner_is_never_sent(value: str, tmp_path: Path) -> None:
    """Nuclei takes a value that is the path of a file for a list of payloads: the plan's secret headers are in one."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/deep.txt").write_text("x")
    (tmp_path / "headers.txt").write_text("Authorization: secret\n")
    for each in (value, str(tmp_path / value)):
        with pytest.raises(NucleiBinaryError, match="names a file") as told:
            variables_file.write({"name": each}, Workspace(tmp_path))
        assert told.value.reason is Reason.INVALID_OPTIONS
    assert not (tmp_path / "variables.txt").exists()


def test_a_value_longer_than_any_path_is_taken(tmp_path: Path) -> None:
    variables_file.write({"name": "x" * 4096}, Workspace(tmp_path))


@pytest.mark.parametrize(
    "fields",
    [
        {"selection": {"automatic": True, "workflows": ["w/"]}},
        *({"selection": {"automatic": True}, "scanner": {power: True}} for power in ("dast", "headless", "code")),
    ],
)
def test_an_automatic_scan_goes_with_nothing_that_changes_the_run(fields: dict[str, Any]) -> None:
    made: Plan = plan(**fields)
    with pytest.raises(InvalidPlan, match="goes with neither workflows nor"):
        scanner_options.check(made.spec.scanner, made.spec.selection)


def test_two_ways_to_follow_redirects_are_refused() -> None:
    made: Plan = plan(scanner={"followRedirects": True, "followHostRedirects": True})
    with pytest.raises(InvalidPlan, match="leave one of the two out"):
        scanner_options.check(made.spec.scanner, made.spec.selection)
