"""A plan's `selection` chooses what Nuclei's own filters choose.

The stand-in lists no templates, so this is about the real one. In one thing they differ: a template that states no severity
counts as unknown here, also where unknown ones are excluded.
"""

from __future__ import annotations

import pathlib
import subprocess
from typing import Any

import pytest

from scanplan.api.documents.task import TemplateFilter
from scanplan.api.documents.words import Protocol, Severity
from scanplan.api.errors import NucleiBinaryError
from scanplan.runner.nuclei.choosing import templates
from scanplan.runner.nuclei.choosing.selecting import Choice

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


@pytest.mark.parametrize(("flags", "include", "exclude"), FILTERS, ids=[" ".join(row[0]) for row in FILTERS])
def test_a_selection_is_nucleis_own(
    scanner: pathlib.Path, tmp_path: pathlib.Path, flags: list[str], include: dict[str, Any], exclude: dict[str, Any]
) -> None:
    if not scanner.is_symlink():
        pytest.skip("the stand-in lists no templates")
    root = tmp_path / "library"
    for name, text in LIBRARY.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    argv: list[pathlib.Path | str] = [scanner, "-tl", "-t", root, *(flag.format(root=root) for flag in flags)]
    home = {"HOME": str(tmp_path), "PATH": "", "NUCLEI_TEMPLATES_DIR": str(root)}
    done = subprocess.run(
        [*argv, "-nc", "-duc", "-ni", "-no-stdin"], capture_output=True, text=True, env=home, check=True
    )
    listed = {line.removeprefix(f"{root}/") for line in done.stdout.splitlines() if line.endswith(".yaml")}
    try:
        chosen = templates.select([], (), [root], Choice(TemplateFilter(**include), TemplateFilter(**exclude)))
        ours = {str(path.relative_to(root)) for path in chosen.files}
    except NucleiBinaryError:
        ours = set()
    assert ours == listed
