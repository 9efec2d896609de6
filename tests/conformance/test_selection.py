"""A plan's `selection` chooses what Nuclei's own filters choose.

The stand-in lists no templates, so this is about the real one. In one thing they differ: a template that states no severity
counts as unknown here, also where unknown ones are excluded.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
from typing import Any

import pytest

from scanplan.api.documents.task import TemplateFilter
from scanplan.api.documents.words import Outcome, Protocol, Severity
from scanplan.api.errors import NucleiBinaryError
from scanplan.runner.nuclei.choosing import profiles, templates
from scanplan.runner.nuclei.choosing.profiles import Profile
from scanplan.runner.nuclei.choosing.selecting import Choice
from tests.conformance.desk import Desk, Server

HTTP = 'http:\n  - method: GET\n    path: ["{{BaseURL}}/"]\n    matchers: [{type: status, status: [200]}]\n'
DNS = 'dns:\n  - name: "{{FQDN}}"\n    type: A\n    matchers: [{type: word, words: [x]}]\n'
TCP = 'tcp:\n  - host: ["{{Hostname}}"]\n    inputs: [{data: x}]\n    matchers: [{type: word, words: [x]}]\n'
LIBRARY = {
    "http/one.yaml": f"id: one\ninfo:\n  name: x\n  author: pdTeam,me\n  severity: high\n  tags: cve,RCE\n{HTTP}",
    "http/two.yaml": f"id: two\ninfo:\n  name: x\n  author: [You, me]\n  severity: info\n  tags: [tech, Web]\n{HTTP}",
    "http/three.yaml": f"id: three\ninfo: {{name: x, author: you, severity: LOW, tags: 'a , b'}}\n{HTTP}",
    "http/four.yaml": f"id: four\ninfo:\n  name: x\n  author: me\n{HTTP}",
    "dns/five.yaml": f"id: five\ninfo:\n  name: x\n  author: me\n  severity: critical\n  tags: dns\n{DNS}",
    "tcp/six.yaml": f"id: six\ninfo:\n  name: x\n  author: me\n  severity: medium\n  tags: cve,net\n{TCP}",
}
FILTERS: list[tuple[list[str], dict[str, Any], dict[str, Any]]] = [
    (["-tags", "cve"], {"tags": ("cve",)}, {}),
    (["-tags", "rce,web"], {"tags": ("rce", "web")}, {}),
    (["-tags", "b"], {"tags": ("b",)}, {}),
    (["-tags", "cv"], {"tags": ("cv",)}, {}),
    (["-author", "me"], {"authors": ("me",)}, {}),
    (["-author", "pdteam,you"], {"authors": ("pdteam", "you")}, {}),
    (["-id", "t*"], {"ids": ("t*",)}, {}),
    (["-id", "one,six"], {"ids": ("one", "six")}, {}),
    (["-pt", "dns,tcp"], {"protocols": (Protocol.DNS, Protocol.TCP)}, {}),
    (["-etags", "cve"], {}, {"tags": ("cve",)}),
    (["-eid", "t*,six"], {}, {"ids": ("t*", "six")}),
    (["-ept", "http"], {}, {"protocols": (Protocol.HTTP,)}),
    (["-es", "low,info"], {}, {"severities": (Severity.LOW, Severity.INFO)}),
    (["-et", "{root}/http"], {}, {"paths": ("http",)}),
    (["-et", "{root}/http/one.yaml"], {}, {"paths": ("http/one.yaml",)}),
    (
        ["-tags", "cve", "-author", "me", "-ept", "tcp"],
        {"tags": ("cve",), "authors": ("me",)},
        {"protocols": (Protocol.TCP,)},
    ),
]


def listed(scanner: pathlib.Path, root: pathlib.Path, home: pathlib.Path, flags: list[str]) -> set[str]:
    """What Nuclei would run of the library, which is written to `root`."""
    if not scanner.is_symlink():
        pytest.skip("the stand-in lists no templates")
    for name, text in LIBRARY.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    argv: list[pathlib.Path | str] = [scanner, "-tl", "-t", root, *(flag.format(root=root) for flag in flags)]
    environment = {"HOME": str(home), "PATH": "", "NUCLEI_TEMPLATES_DIR": str(root)}
    done = subprocess.run(
        [*argv, "-nc", "-duc", "-ni", "-no-stdin"], capture_output=True, text=True, env=environment, check=True
    )
    return {line.removeprefix(f"{root}/") for line in done.stdout.splitlines() if line.endswith(".yaml")}


def chosen(root: pathlib.Path, wanted: Profile) -> set[str]:
    """What we would run of the library."""
    try:
        found = templates.select([], wanted.severities, [root], Choice(wanted.include, wanted.exclude))
    except NucleiBinaryError:
        return set()
    return {str(path.relative_to(root)) for path in found.files}


@pytest.mark.parametrize(("flags", "include", "exclude"), FILTERS, ids=[" ".join(row[0]) for row in FILTERS])
def test_a_selection_is_nucleis_own(
    scanner: pathlib.Path, tmp_path: pathlib.Path, flags: list[str], include: dict[str, Any], exclude: dict[str, Any]
) -> None:
    root = tmp_path / "library"
    wanted = Profile(include=TemplateFilter(**include), exclude=TemplateFilter(**exclude))
    theirs = listed(scanner, root, tmp_path, flags)
    assert chosen(root, wanted) == theirs


@pytest.mark.parametrize(
    "text",
    [
        "tags: [cve]\nexclude-type: [tcp]",
        "severity: high,critical\nexclude-id: [three, four]",
        "type: [http]\nexclude-tags: [web]\nexclude-id: [four]",
        "author: [you]\nexclude-severity: [info]",
        "template-id: ['t*']",
    ],
)
def test_a_profile_is_nucleis_own(scanner: pathlib.Path, tmp_path: pathlib.Path, text: str) -> None:
    root = tmp_path / "library"
    (root / "profiles").mkdir(parents=True)
    (root / "profiles/own.yml").write_text(text)
    profile = profiles.read("own", [root])
    theirs = listed(scanner, root, tmp_path, ["-profile", "own"])
    assert chosen(root, profile) == theirs


@pytest.mark.parametrize(
    ("excluded", "found"),
    [
        ((), {"one", "Two words"}),
        (("named:one",), {"Two words"}),
        (("*:Two words",), {"one"}),
        (("named:*",), set()),
        (("another:one", "named:two words"), {"one", "Two words"}),
    ],
    ids=str,
)
def test_findings_of_excluded_matchers_are_left_out(
    desk: Desk, live: Server, excluded: tuple[str, ...], found: set[str]
) -> None:
    matchers = "[{type: word, name: one, words: [hello]}, {type: word, name: Two words, words: [hello]}]"
    desk.put(
        "named.yaml",
        "id: named\ninfo: {name: x, author: t, severity: info}\n"
        f"http: [{{method: GET, path: ['{{{{BaseURL}}}}'], matchers: {matchers}}}]\n",
    )
    desk.options["exclude"] = TemplateFilter(matchers=excluded)
    report, _ = desk.scan(live.url)
    files = (desk.folder / "run").rglob("*.ndjson")
    events = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert {event["matcher-name"] for event in events if "matcher-name" in event} == found
    assert report.outcome is Outcome.COMPLETE
