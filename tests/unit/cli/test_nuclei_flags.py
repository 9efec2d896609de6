"""`scanplan submit` with Nuclei's flags: a flag that means another field scans something else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command
from typer.testing import CliRunner

from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.cli.main import app

PAGE = Path("docs/how-to/from-nuclei.md").read_text()
ROWS = re.findall(r"^\| (`-[^|]*) \| (.*) \|$", PAGE, re.MULTILINE)


def plan(*flags: str, code: int = 69) -> dict[str, Any]:
    """The plan that flags mean, as it is shown; there is no cluster to submit it to."""
    done = CliRunner().invoke(app, ["submit", "--kubeconfig", "/nonexistent", *flags])
    assert done.exit_code == code, done.output
    shown: dict[str, Any] = yaml.safe_load(done.output.partition("\nerror:")[0])
    return shown


FLAGS: list[tuple[list[str], str, Any]] = [
    (
        ["-u", "a.example,b.example", "-u", "c.example"],
        "endpoints",
        ["h.example", "a.example", "b.example", "c.example"],
    ),
    (["-tags", "cve,rce", "-tags", "xss"], "selection.include.tags", ["cve", "rce", "xss"]),
    (["-etags", "dos"], "selection.exclude.tags", ["dos"]),
    (["-id", "CVE-2026-*"], "selection.include.ids", ["CVE-2026-*"]),
    (["-eid", "a,b"], "selection.exclude.ids", ["a", "b"]),
    (["-a", "me"], "selection.include.authors", ["me"]),
    (["-pt", "HTTP,dns"], "selection.include.protocols", ["http", "dns"]),
    (["-ept", "tcp"], "selection.exclude.protocols", ["tcp"]),
    (["-s", "critical,high"], "severityLevels", ["critical", "high"]),
    (["-severity", "HIGH"], "severityLevels", ["high"]),
    (["-es", "info"], "selection.exclude.severities", ["info"]),
    (["-et", "http/cves/"], "selection.exclude.paths", ["http/cves/"]),
    (["-em", "a:b,c:*"], "selection.exclude.matchers", ["a:b", "c:*"]),
    (["-w", "workflows/,a.yaml"], "selection.workflows", ["workflows/", "a.yaml"]),
    (["-dast"], "scanner.dast", True),
    (["-headless"], "scanner.headless", True),
    (["-code"], "scanner.code", True),
    (["-as"], "selection.automatic", True),
    (["-tp", "recommended"], "selection.profile", "recommended"),
    (["-rl", "50"], "scanner.rateLimit", 50),
    (["-c", "5"], "scanner.concurrency", 5),
    (["-bs", "6"], "scanner.bulkSize", 6),
    (["-timeout", "7"], "scanner.requestTimeoutSeconds", 7),
    (["-retries", "0"], "scanner.requestRetries", 0),
    (["-H", "X-Team: red: blue"], "scanner.headers", [{"name": "X-Team", "value": "red: blue"}]),
    (["-p", "socks5://p.example:1080"], "scanner.proxy", "socks5://p.example:1080"),
    (["-fr"], "scanner.followRedirects", True),
    (["-fhr"], "scanner.followHostRedirects", True),
    (["-mr", "3"], "scanner.maxRedirects", 3),
    (["-mhe", "5"], "scanner.maxHostErrors", 5),
    (["-rsr", "4096"], "scanner.maxResponseBytes", 4096),
    (["-sni", "app.example.com"], "scanner.sni", "app.example.com"),
    (["-dut"], "scanner.verifySignatures", True),
    (["-V", "user=a=b, c"], "scanner.variables", [{"name": "user", "value": "a=b, c"}]),
    (["-templates", "x/,y.yaml"], "templates", ["http/", "x/", "y.yaml"]),
]


@pytest.mark.parametrize(("given", "path", "value"), FLAGS, ids=[" ".join(row[0]) for row in FLAGS])
def test_a_flag_means_its_field(given: list[str], path: str, value: Any) -> None:
    spec = plan("-e", "h.example", "-t", "http/", *given)["spec"]
    ScanPlanSpec.model_validate(spec)
    for name in path.split("."):
        spec = spec[name]
    assert spec == value


def test_a_list_of_targets_and_only_a_tag(tmp_path: Path) -> None:
    (tmp_path / "targets.txt").write_text("# ours\na.example\n\n https://b.example \n")
    shown = plan("-l", str(tmp_path / "targets.txt"), "-tags", "cve")
    assert shown["spec"] == {
        "endpoints": ["a.example", "https://b.example"],
        "selection": {"include": {"tags": ["cve"]}},
    }
    again = plan("-l", str(tmp_path / "targets.txt"), "-tags", "cve")
    assert again["metadata"] == shown["metadata"]
    assert plan("-l", str(tmp_path / "targets.txt"), "-tags", "rce")["metadata"] != shown["metadata"]


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["-u", "h.example"], 64, "templates (-t, -tags, -id, -w or -tp)"),
        (["-tags", "cve"], 64, "endpoints (-e, -u or -l)"),
        (["-l", "/nonexistent", "-tags", "cve"], 66, "/nonexistent"),
        (["-u", "h", "-t", "x", "-H", "no header"], 64, "Name: value"),
        (["-u", "h", "-t", "x", "-V", "no variable"], 64, "name=value"),
        (["-u", "h", "-t", "x", "-s", "grave"], 64, "there is no such severity"),
        (["-u", "h", "-t", "x", "-file"], 2, "No such option: -file"),
        (["-u", "h", "-t", "x", "-show-browser"], 2, "No such option: -show-browser"),
        (["-u", "h", "-t", "x", "-severityy", "high"], 2, "Did you mean -severity?"),
    ],
)
def test_what_can_not_be_meant_is_refused(flags: list[str], code: int, words: str) -> None:
    done = CliRunner().invoke(app, ["submit", "--kubeconfig", "/nonexistent", *flags])
    assert (done.exit_code, words in " ".join(done.output.split())) == (code, True), done.output


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for field in model.model_fields.values():
        name = f"{prefix}{field.alias}"
        yield name
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for each in candidates:
            if isinstance(each, type) and issubclass(each, BaseModel):
                yield from _paths(each, f"{name}.")


def test_the_page_names_fields_and_flags_that_are_there() -> None:
    known = {f"`{path}`" for path in _paths(ScanPlanSpec)}
    submit = get_command(app).get_command(None, "submit")  # type: ignore[attr-defined]
    taken = {option for parameter in submit.params for option in parameter.opts}
    told = {flag: meaning for flags, meaning in ROWS for flag in re.findall(r"`(-[^`]*)`", flags)}
    for flag in taken & told.keys():
        assert any(path in told[flag] for path in known), f"{flag}: {told[flag]}"
    for meaning in told.values():
        named = re.match(r"(`[a-z][A-Za-z.]*`)", meaning)
        assert named is None or named.group(1) in known or named.group(1).startswith("`status."), meaning
