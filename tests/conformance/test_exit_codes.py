"""The exit code is the first thing that the runner looks at: 0 and what it hides, 1 and its reasons, 2 and its two kinds."""

from __future__ import annotations

import pytest

from tests.conformance.conftest import Site
from tests.conformance.laboratory import QUIET, Laboratory

NO_TEMPLATES = "[FTL] Could not run nuclei: no templates provided for scan"


def test_a_scan_ends_with_0_and_counts_its_findings(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-t", lab.template("b", "/nothing"))
    assert (done.code, done.found) == (0, ["a"])
    assert any("1 matches found." in line for line in done.log)


def test_a_scan_without_findings_ends_with_0_too(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a", "/nothing"))
    assert (done.code, done.stdout) == (0, "")
    assert any("No results found." in line for line in done.log)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-t", "/missing.yaml"],
        ["-t", "missing/"],
        ["-t", "templates/broken.yaml"],
        ["-t", "templates/info.yaml", "-severity", "critical,high"],
        ["-t", "templates/info.yaml", "-es", "info"],
        ["-t", "templates/info.yaml", "-id", "another"],
        ["-t", "templates/info.yaml", "-tags", "another"],
        ["-t", "templates/dos.yaml"],
    ],
    ids=" ".join,
)
def test_no_template_left_is_code_1(lab: Laboratory, site: Site, arguments: list[str]) -> None:
    lab.template("info")
    lab.template("dos", tags="dos")
    lab.file("templates/broken.yaml", "id: broken\ninfo:\n  name: [open\n")
    done = lab.run("-l", lab.targets(site.url), *arguments)
    assert (done.code, done.stdout, done.log[-1]) == (1, "", NO_TEMPLATES)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-l", "/missing"], "Could not create runner: could not create input provider: could not open targets file:"),
        (["-o", "/missing/out"], "Could not create runner: could not create output file:"),
        (["-v", "-silent"], "Program exiting: both verbose and silent mode specified"),
        (["-fr", "-dr"], "Program exiting: both follow redirects and disable redirects specified"),
        (["-fr", "-fhr"], "Program exiting: both follow host redirects and follow redirects specified"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_start_is_code_1_with_its_reason(
    lab: Laboratory, site: Site, arguments: list[str], reason: str
) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), *arguments)
    assert (done.code, done.stdout) == (1, "")
    assert done.log[-1].startswith("[FTL] " + reason)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-no-such-flag"], "flag provided but not defined: -no-such-flag"),
        (["-c", "many"], 'invalid value "many" for flag -c: parse error'),
        (["-timeout", "1s"], 'invalid value "1s" for flag -timeout: parse error'),
        (["-l"], "flag needs an argument: -l"),
        (["-severity", "awful"], "invalid value \"awful\" for flag -severity: 'awful' is not a valid severity"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_flag_is_code_2_and_speaks_on_stdout(lab: Laboratory, arguments: list[str], message: str) -> None:
    done = lab.run(*arguments)
    assert (done.code, done.stdout.strip(), done.stderr) == (2, message, "")


def test_a_panic_is_code_2_as_well_and_its_stack_is_on_stderr(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-c", "0")
    assert (done.code, done.stdout) == (2, "")
    assert "\npanic: " in done.stderr
    assert "\ngoroutine " in done.stderr


def test_silence_does_not_hide_why_it_failed(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", "/missing.yaml", "-silent")
    assert (done.code, done.stderr.splitlines()) == (1, [NO_TEMPLATES])


def test_flags_take_one_dash_or_two_and_a_value_behind_an_equals_sign(lab: Laboratory, site: Site) -> None:
    done = lab.run(f"--l={lab.targets(site.url)}", "--t", lab.template("a"), "-silent=true")
    assert (done.code, done.found, done.log) == (0, ["a"], [])


def test_a_stray_word_ends_the_flags(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "stray", "-t", lab.template("a"))
    assert done.code == 1, "-t came after the stray word and was not read"


def test_the_version_is_told_on_stderr(lab: Laboratory) -> None:
    done = lab.run("-version", base=("-nc",))
    assert (done.code, done.stdout) == (0, "")
    assert "Nuclei Engine Version: v3." in done.stderr


def test_logs_are_coloured_unless_told_otherwise(lab: Laboratory, site: Site) -> None:
    arguments = ["-l", lab.targets(site.url), "-t", lab.template("a"), "-t", "/missing.yaml"]
    coloured = lab.run(*arguments, base=tuple(flag for flag in QUIET if flag != "-nc"))
    assert "[\x1b[31mERR\x1b[0m] Could not find template '/missing.yaml'" in coloured.stderr
    assert "[\x1b[34mINF\x1b[0m] Templates loaded for current scan: 1" in coloured.stderr
    assert "\x1b" not in lab.run(*arguments).stderr
