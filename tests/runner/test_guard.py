"""What may not be scanned, held by the runner before and beside Nuclei."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scanplan.api.documents.words import Outcome
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.shard import run_shard
from tests.fixtures.scans import WebApplication

from .conftest import Bench


def scan(bench: Bench) -> Any:
    return run_shard(bench.document, 0, bench.run, installation=Installation.from_environment(bench.variables(0)))


def test_a_name_with_a_denied_address_beside_an_allowed_one_is_left_out(
    bench: Bench, webapp: WebApplication, names: dict[str, list[str]]
) -> None:
    """Nuclei would dial the allowed address, and other names of the same host as it likes."""
    names["localhost"] = ["127.0.0.1", "169.254.169.254"]
    both = f"http://localhost:{webapp.port}"
    bench.endpoints = (webapp.url, both)
    bench.template("a")
    bench.options = {"denied_targets": ("169.254.0.0/16",)}
    report = scan(bench)
    assert report.outcome is Outcome.COMPLETE
    assert (report.endpoints_scanned, report.endpoints_unreachable) == (1, 1)
    assert any("target guard denies" in warning and both in warning for warning in report.warnings)
    assert [finding["host"] for finding in bench.findings()] == ["127.0.0.1"]


def test_where_all_names_lead_to_denied_addresses_nothing_is_scanned(
    bench: Bench, webapp: WebApplication, names: dict[str, list[str]]
) -> None:
    names["localhost"] = ["127.0.0.1", "169.254.169.254"]
    bench.endpoints = (f"http://localhost:{webapp.port}",)
    bench.options = {"denied_targets": ("169.254.0.0/16",)}
    before = webapp.requests()
    report = scan(bench)
    assert report.error is not None
    assert report.error.reason is Reason.TARGET_DENIED
    assert "169.254.0.0/16" in report.error.message
    assert webapp.requests() == before


def test_denying_one_address_denies_none_that_looks_alike(bench: Bench) -> None:
    """As a pattern, 127.0.0.1 would be found in 27.127.0.0.1 and 127.0.0.11."""
    bench.template("a")
    bench.options = {"denied_targets": ("127.0.0.11", "27.0.0.1", "localhost-of-others")}
    assert bench.attempt().code == ExitCode.OK
    assert len(bench.findings()) == 1


@pytest.mark.parametrize("said", ["v3.10.0", "v3.11.0", "v2.9.15", "v0.0.1"])
def test_a_nuclei_that_the_guard_was_not_tested_with_is_refused(bench: Bench, tmp_path: Path, said: str) -> None:
    """Up to 3.10, pipelined requests and JavaScript go to denied addresses."""
    old = tmp_path / "nuclei"
    old.write_text(
        f'#!/bin/sh\n[ "$1" = -version ] && echo "[INF] Nuclei Engine Version: {said}" >&2 && exit 0\nexit 3\n'
    )
    old.chmod(0o755)
    bench.nuclei = old
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "NucleiBinaryError")
    assert attempt.report is not None
    assert attempt.report.error is not None
    assert said.removeprefix("v") in attempt.report.error.message
    assert "3.11.1 or newer" in attempt.report.error.message


def test_a_template_of_an_unguarded_protocol_is_not_run_and_told(bench: Bench) -> None:
    bench.template("a")
    (bench.folder / "templates/asks.yaml").write_text(
        "id: asks\ninfo: {name: asks, author: tests, severity: info}\nwhois:\n"
        '  - query: "{{Host}}"\n    server: "http://127.0.0.1:9/"\n'
    )
    attempt = bench.attempt()
    assert attempt.code == ExitCode.OK
    assert attempt.report is not None
    assert any("asks.yaml" in warning for warning in attempt.report.warnings)
    bench.options = {"templates": ("asks",), "key": "scan:acme:nightly:0a:0b:0d"}
    named = bench.attempt()
    assert (named.code, named.reason) == (ExitCode.FATAL, "InvalidOptions")
