"""What Nuclei would silently leave out, or run twice, and files that it must not read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scanplan.api.documents.words import Severity
from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.choosing import index, templates


def write(path: Path, name: str, severity: str = "high") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"id: {name}\ninfo:\n  name: {name}\n  author: me\n  severity: {severity}\nhttp: []\n")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "templates"
    write(root / "http/cves/CVE-2026-1.yaml", "CVE-2026-1", "critical")
    write(root / "http/cves/CVE-2026-2.yaml", "CVE-2026-2", "high")
    write(root / "http/info/robots.yml", "robots", "info")
    (root / "http/README.md").write_text("id: no\n")
    (root / "http/profile.yaml").write_text("severity: high\n")
    return root


def names(selection: templates.Selection) -> list[str]:
    return [path.name for path in selection.files]


def test_folders_files_and_ids_can_be_mixed(root: Path) -> None:
    selection = templates.select(["http/cves/", "robots"], (), [root])
    assert names(selection) == ["CVE-2026-1.yaml", "CVE-2026-2.yaml", "robots.yml"]
    assert [path.name for path in selection.named] == ["robots.yml"]


def test_nothing_named_means_everything(root: Path) -> None:
    assert len(templates.select([], (), [root]).files) == 3


def test_an_absolute_path_within_the_sources_is_fine(root: Path) -> None:
    assert names(templates.select([str(root / "http/info")], (), [root])) == ["robots.yml"]


def test_everything_that_is_missing_is_named(root: Path) -> None:
    with pytest.raises(NucleiBinaryError) as caught:
        templates.select(["http/cves/", "http/nothing.yaml", "nobody", "http/empty/"], (), [root])
    assert caught.value.reason is Reason.TEMPLATES_NOT_FOUND
    assert all(name in caught.value.message for name in ("http/nothing.yaml", "nobody", "http/empty/"))


@pytest.mark.parametrize(
    "entry",
    [
        "../secret.yaml",
        "http/../../secret.yaml",
        "/etc/passwd",
        "-w",
        "http/*.yaml",
        "a,b.yaml",
        "a\nb",
        "",
        "'x'",
        "a b",
    ],
)
def test_what_leaves_the_sources_or_is_no_name_is_refused(root: Path, entry: str) -> None:
    write(root.parent / "secret.yaml", "secret")
    with pytest.raises(NucleiBinaryError) as caught:
        templates.select([entry], (), [root])
    assert caught.value.reason is Reason.INVALID_OPTIONS


def test_a_link_out_of_the_sources_is_refused(root: Path) -> None:
    (root / "link.yaml").symlink_to(write(root.parent / "secret.yaml", "secret"))
    with pytest.raises(NucleiBinaryError) as caught:
        templates.select(["link.yaml"], (), [root])
    assert caught.value.reason is Reason.INVALID_OPTIONS


def test_a_mounted_config_map_is_read_once(root: Path, tmp_path: Path) -> None:
    """Its files are links into a hidden folder, which Nuclei would walk as well."""
    mounted = tmp_path / "mounted"
    write(mounted / "..2026_11_24/mine.yaml", "mine")
    (mounted / "..data").symlink_to("..2026_11_24")
    (mounted / "mine.yaml").symlink_to("..data/mine.yaml")
    selection = templates.select(["mine.yaml", "mine", "http/info/"], (), [mounted, root])
    assert selection.files == (mounted / "mine.yaml", root / "http/info/robots.yml")
    assert templates.select([], (), [mounted]).files == (mounted / "mine.yaml",)


def test_severities_filter_and_none_left_is_an_error(root: Path) -> None:
    selection = templates.select(["http/"], [Severity.CRITICAL, Severity.INFO], [root])
    assert names(selection) == ["CVE-2026-1.yaml", "robots.yml"]
    assert selection.filtered == {"another severity": 1}
    with pytest.raises(NucleiBinaryError) as caught:
        templates.select(["http/info"], [Severity.CRITICAL], [root])
    assert caught.value.reason is Reason.NO_TEMPLATES_LOADED
    assert "1 with another severity" in caught.value.message


def test_the_digest_follows_names_and_contents_and_nothing_else(root: Path, tmp_path: Path) -> None:
    digest = templates.select(["http/"], (), [root]).digest
    (root / "http/README.md").write_text("changed")
    assert templates.select(["http/cves/", "http/info/"], (), [root]).digest == digest
    moved = tmp_path / "elsewhere"
    root.rename(moved)
    assert templates.select(["http/"], (), [moved]).digest == digest
    write(moved / "http/info/robots.yml", "robots", "low")
    assert templates.select(["http/"], (), [moved]).digest != digest


def test_what_is_no_plain_file_of_the_source_is_left_out_and_counted(root: Path) -> None:
    """Lost otherwise: the scan, which would read for ever, or fail for a link that leads nowhere."""
    os.mkfifo(root / "http/pipe.yaml")
    (root / "http/zero.yaml").symlink_to("/dev/zero")
    (root / "http/dangling.yaml").symlink_to("nowhere.yaml")
    (root / "http/outside.yaml").symlink_to(write(root.parent / "secret.yaml", "secret"))
    (root / "http/inside.yaml").symlink_to("../other.yaml")
    write(root / "other.yaml", "other")
    os.mkfifo(root / index.NAME)
    selection = templates.select(["http/", "http/info"], (), [root])
    assert names(selection) == ["CVE-2026-1.yaml", "CVE-2026-2.yaml", "robots.yml", "inside.yaml"]
    assert selection.filtered == {"a path that is no plain file of its source": 4}
    for name in ("http/pipe.yaml", "http/dangling.yaml"):
        with pytest.raises(NucleiBinaryError, match="Templates not found"):
            templates.select([name], (), [root])


@pytest.mark.parametrize("name", [b"caf\xe9.yaml", b"a\nb.yaml", b"caf\xe9/a.yaml"])
def test_a_file_that_no_list_can_name_is_left_out_and_counted(root: Path, name: bytes) -> None:
    """Lost otherwise: the whole scan, for the name of one file."""
    write(root / "http" / os.fsdecode(name), "odd")
    selection = templates.select(["http/", "http"], (), [root])
    assert names(selection) == ["CVE-2026-1.yaml", "CVE-2026-2.yaml", "robots.yml"]
    assert selection.filtered == {"a name that is not UTF-8, or has line breaks": 1}
    with pytest.raises(NucleiBinaryError, match="Templates not found: odd"):
        templates.select(["odd"], (), [root])
