"""Hook of mkdocs: what a page says of files that are no page is kept, as a path in the repository instead of a dead link."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """The text of a page, with links that leave docs/ as text."""
    depth = len(PurePosixPath(page.file.src_uri).parent.parts)

    def outside(match: re.Match[str]) -> str:
        text, target = match.groups()
        if target.count("../") <= depth:
            return match[0]
        path = target.replace("../", "")
        return f"`{path}`" if text.strip("`") == path else f"{text} (`{path}`)"

    return _LINK.sub(outside, markdown)
