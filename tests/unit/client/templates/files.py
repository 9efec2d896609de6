"""Sources of templates that tests make."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = """id: {id}
info:
  name: A template
  author: tests
  severity: {severity}
  tags: cve,{id}
http:
  - method: GET
    path: ["{{{{BaseURL}}}}/{id}"]
    matchers: [{{type: status, status: [200]}}]
"""


def template(id: str, severity: str = "high") -> str:  # noqa: A002 - as in a template
    return TEMPLATE.format(id=id, severity=severity)


def folder(root: Path) -> Path:
    """Two templates and what lies beside them in a release."""
    for name, text in {
        "http/cves/one.yaml": template("one"),
        "dns/two.yaml": template("two", "low"),
        "helpers/words.txt": "a\nb\n",
        "profiles/default.yml": "severity: [high]\n",
        "LICENSE.md": "MIT\n",
        ".github/workflow.yml": template("hidden"),
        ".nuclei-ignore": "tags: [dos]\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
