"""Template profiles: what they choose, and what they may not set."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanplan.api.documents.task import TemplateFilter
from scanplan.api.documents.words import Protocol, Severity
from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.choosing import profiles
from scanplan.runner.nuclei.choosing.profiles import Profile

RECOMMENDED = """# as the community's are written
severity:
  - critical
  - HIGH
type: [http, TCP]
exclude-tags: tech,dos
exclude-id: [CVE-1]
et: http/cves/2001/
exclude-matchers: ["a:B c"]
headless: true
"""


def source(folder: Path, **files: str) -> list[Path]:
    (folder / "profiles").mkdir()
    for name, text in files.items():
        (folder / "profiles" / f"{name}.yml").write_text(text)
    return [folder / "other", folder]


def test_a_profile_says_what_nuclei_reads_in_it(tmp_path: Path) -> None:
    assert profiles.read("recommended", source(tmp_path, recommended=RECOMMENDED)) == Profile(
        severities=(Severity.CRITICAL, Severity.HIGH),
        include=TemplateFilter(protocols=(Protocol.HTTP, Protocol.TCP)),
        exclude=TemplateFilter(tags=("dos", "tech"), ids=("cve-1",), paths=("http/cves/2001/",), matchers=("a:B c",)),
        asks_for=("headless",),
    )


def test_what_the_plan_says_itself_wins(tmp_path: Path) -> None:
    read = profiles.read("recommended", source(tmp_path, recommended=RECOMMENDED))
    own = Profile(("http/",), (Severity.LOW,), TemplateFilter(tags=("cve",)), TemplateFilter(tags=("fuzz",)))
    assert profiles.under(own, read) == Profile(
        templates=("http/",),
        severities=(Severity.LOW,),
        include=TemplateFilter(tags=("cve",), protocols=(Protocol.HTTP, Protocol.TCP)),
        exclude=TemplateFilter(tags=("fuzz",), ids=("cve-1",), paths=("http/cves/2001/",), matchers=("a:B c",)),
        asks_for=("headless",),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("list: targets.txt", "sets list, which choose no templates"),
        ("proxy: http://p.example\ntags: [a]", "sets proxy"),
        ("var: [a=b]", "sets var"),
        ("template-condition: [a]", "sets template-condition"),
        ("type: [ftp]", "has a word that Nuclei doesn't know"),
        ("- a", "is no YAML"),
        ("{", "is no YAML"),
    ],
)
def test_a_profile_sets_nothing_else(tmp_path: Path, text: str, words: str) -> None:
    """Lost otherwise: the owner's bounds, since Nuclei would take any flag from a profile."""
    with pytest.raises(NucleiBinaryError, match=words) as refused:
        profiles.read("own", source(tmp_path, own=text))
    assert refused.value.reason is Reason.INVALID_OPTIONS


def test_a_profile_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(NucleiBinaryError, match="have: kev, recommended"):
        profiles.read("recomended", source(tmp_path, recommended="tags: [a]", kev="tags: [kev]"))
