"""The shell blocks of the pages: what a reader copies into a terminal, and what the page's source says of who runs it.

Right before a block may stand `<!-- run by: tests/…::test_… -->`, for a test that runs the same commands with targets of its own,
or `<!-- not run: reason -->`. All others are run by tests/e2e/test_pages.py as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = (
    "README.md",
    "docs/install.md",
    "docs/cli.md",
    "docs/user-guide.md",
    "docs/operations.md",
    "docs/migration.md",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/how-to/*.md")),
)
SHELLS = {"sh", "console"}
_BLOCK = re.compile(r"(?:^<!-- (run by|not run): ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    run_by: str = ""
    """The test that runs it, where its page says so."""
    not_run: str = ""
    """Why no test runs it, where its page says so."""

    @property
    def is_run_as_it_is(self) -> bool:
        return self.language in SHELLS and not self.run_by and not self.not_run

    def commands(self) -> Iterator[str]:
        """Each as one line or more; in a `console` block those after a prompt, in an `sh` block all."""
        text = self.text.replace("\\\n", "\\\0")
        for line in text.splitlines():
            command = line.removeprefix("$ ").replace("\0", "\n")
            if command and (self.language == "sh" or line.startswith("$ ")):
                yield command


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page, in their order."""
    found = []
    for kind, words, language, text in _BLOCK.findall((ROOT / page).read_text()):
        found.append(Block(language, text, words * (kind == "run by"), words * (kind == "not run")))
    return found
