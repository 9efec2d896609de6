"""What the surroundings of a pod do to a scan: configuration folders, read-only file systems, temporary files."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest

from tests.conformance.conftest import Site, needs_root
from tests.conformance.laboratory import IGNORE_FILE, Laboratory


def test_a_configuration_in_the_named_folder_silently_changes_flags(lab: Laboratory, site: Site) -> None:
    lab.file("settings/config.yaml", "severity: critical\n")
    surroundings = {"NUCLEI_CONFIG_DIR": str(lab.folder / "settings")}
    arguments = ["-l", lab.targets(site.url), "-t", lab.template("a")]
    assert lab.run(*arguments).found == ["a"]
    assert lab.run(*arguments, environment=surroundings).code == 1
    done = lab.run(*arguments, "-severity", "info", environment=surroundings)
    assert done.found == ["a"], "a flag on the command line wins"


def test_a_configuration_in_the_user_s_folder_does_so_too(lab: Laboratory, site: Site) -> None:
    lab.file("xdg/nuclei/config.yaml", "etags: web\nseverity: [info, low]\n")
    arguments = ["-l", lab.targets(site.url), "-t", lab.template("a"), "-t", lab.template("b", tags="web")]
    done = lab.run(*arguments, environment={"XDG_CONFIG_HOME": str(lab.folder / "xdg")})
    assert done.found == ["a"]


def test_a_configuration_named_by_a_flag(lab: Laboratory, site: Site) -> None:
    config = lab.file("own.yaml", "id: b\n")
    arguments = ["-l", lab.targets(site.url), "-t", lab.template("a"), "-t", lab.template("b")]
    assert lab.run(*arguments, "-config", config).found == ["b"]
    missing = lab.run(*arguments, "-config", "/missing.yaml")
    assert missing.code == 1
    assert "given config file '/missing.yaml' does not exist" in missing.stderr


def test_a_first_run_fills_the_settings_folder(lab: Laboratory, site: Site) -> None:
    lab.run("-l", lab.targets(site.url), "-t", lab.template("a"))
    made = {path.name for path in lab.settings.iterdir()}
    assert made == {".nuclei-ignore", ".templates-config.json", "config.yaml", "reporting-config.yaml"}


def test_no_folder_for_temporary_files_is_fatal(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), environment={"TMPDIR": "/missing"})
    assert done.code == 1
    assert done.log[-1].startswith("[FTL] Could not initialize protocols: could not create dialer: open /missing:")


@needs_root
def test_a_read_only_folder_for_temporary_files_is_fatal(lab: Laboratory, site: Site) -> None:
    folder = lab.folder / "tmp"
    folder.mkdir()
    lab.freeze(folder)
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), environment={"TMPDIR": str(folder)})
    assert done.code == 1
    assert done.log[-1].startswith(f"[FTL] Could not initialize protocols: could not create dialer: mkdir {folder}/")
    assert done.log[-1].endswith("read-only file system")


@needs_root
def test_a_read_only_home_without_settings_is_fatal(lab: Laboratory, site: Site) -> None:
    lab.freeze(lab.home)
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"))
    assert done.code == 1
    assert (
        done.log[-1]
        == '[FTL] Could not create runner: cause="read-only file system" chain="could not create config file"'
    )


COMPLETE = {
    ".nuclei-ignore": IGNORE_FILE.read_text(),
    ".templates-config.json": '{"nuclei-templates-directory":"/opt/nuclei-templates"}',
    "reporting-config.yaml": "# nothing\n",
}


@needs_root
def test_a_read_only_home_is_fine_with_complete_settings(lab: Laboratory, site: Site) -> None:
    """What the image has to bake in, so that a pod with a read-only root file system can scan."""
    for name, content in COMPLETE.items():
        lab.file(f"settings/{name}", content)
    settings = lab.folder / "settings"
    lab.freeze(settings)
    lab.freeze(lab.home)
    surroundings = {"NUCLEI_CONFIG_DIR": str(settings)}
    arguments = ["-l", lab.targets(site.url), "-t", lab.template("a"), "-t", lab.template("heavy", tags="dos")]
    done = lab.run(*arguments, environment=surroundings)
    assert (done.code, done.found) == (0, ["a"])


@needs_root
@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        (".templates-config.json", "Could not create nuclei config file at "),
        (
            "reporting-config.yaml",
            'Could not create runner: cause="read-only file system" chain="could not create config',
        ),
    ],
)
def test_read_only_settings_that_lack_a_file_are_fatal(lab: Laboratory, site: Site, lacking: str, reason: str) -> None:
    for name in COMPLETE.keys() - {lacking}:
        lab.file(f"settings/{name}", COMPLETE[name])
    settings = lab.folder / "settings"
    lab.freeze(settings)
    surroundings = {"NUCLEI_CONFIG_DIR": str(settings)}
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), environment=surroundings)
    assert done.code == 1
    assert reason in done.log[-1]


def test_the_page_for_who_comes_from_nuclei_has_every_flag(lab: Laboratory, scanner: pathlib.Path) -> None:
    """A flag that it does not have would be one that somebody uses, and looks for in vain."""
    if not scanner.is_symlink():
        pytest.skip("the stand-in has fewer flags")
    said = subprocess.run(
        [scanner, "-h", "-duc"], capture_output=True, text=True, check=False, env={"HOME": str(lab.home)}
    )
    flags = set(re.findall(r"(?m)^ +(-[a-z0-9]+(?:-[a-z0-9]+)*)", said.stdout + said.stderr, re.IGNORECASE))
    assert len(flags) > 150
    page = pathlib.Path("docs/how-to/from-nuclei.md").read_text()
    assert not sorted(flag for flag in flags if f"`{flag}`" not in page)
