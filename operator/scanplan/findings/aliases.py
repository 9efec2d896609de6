"""Templates that were renamed, so that a finding keeps its identity under the new name.

A template says so itself: ``info.metadata.aliases`` lists the ids that it had before, oldest first, as a list or as text with
commas. `RENAMED` lists renames of the public nuclei-templates that keep the check as it was.
"""

from __future__ import annotations

from collections.abc import Iterator

RENAMED = {
    "CVE-2018-10818": "lg-nas-rce",
    "CVE-2018-16341": "nuxeo-ssti-rce",
    "CVE-2021-26292": "afterlogic-path-disclosure",
    "CVE-2022-29299": "solarview-compact-time-begin-xss",
    "CVE-2022-29301": "solarview-compact-pow-xss",
    "CVE-2022-38322": "temenos-transact-xss",
    "CVE-2023-24367": "temenos-t24-xss",
    "CVE-2024-0713": "monitorr-file-upload",
    "CVE-2024-12760": "bentoml-open-redirect",
    "CVE-2024-57050": "tp-link-wr840n-auth-bypass",
    "CVE-2025-2825": "CVE-2025-31161",
    "CVE-2025-34085": "simple-file-list-rce",
}
"""New id by old id (nuclei-templates pull requests 11941 and 16889)."""
_MOST = 20
"""Aliases of one template that are read."""


def canonical(template: str, declared: object = None) -> str:
    """The id that stands for a template under all of its names.

    Args:
        template: its id.
        declared: ``info.metadata.aliases`` of the template, of any type.
    """
    first = next(_names(declared), template) if declared else template
    return RENAMED.get(first, first)


def _names(declared: object) -> Iterator[str]:
    listed = declared.split(",") if isinstance(declared, str) else declared if isinstance(declared, list) else ()
    for name in listed[:_MOST]:
        if isinstance(name, str) and name.strip():
            yield name.strip()
