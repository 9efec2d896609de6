"""``python -m tests.docs.built build/site``: the built site asks nobody else for anything, and none of its links is dead."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
    ("object", "data"),
}
_NOT_LOADED = {"canonical", "next", "prev", "alternate"}


class Page(HTMLParser):
    """What a page loads, where it leads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if name := values.get("id") or (values.get("name") if tag == "a" else None):
            self.anchors.add(name)
        for attribute, value in values.items():
            if value and (tag, attribute) in _LOADED and values.get("rel") not in _NOT_LOADED:
                self.loaded.append(value)
        if tag == "a" and (href := values.get("href")):
            self.links.append(href)


def problems(site: Path) -> list[str]:
    """A line for each request to elsewhere and for each dead link or anchor; empty where all is well."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    found = []
    for path, page in pages.items():
        where = path.relative_to(site.resolve())
        for url in [*page.loaded, *page.links]:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                if url in page.loaded and parts.scheme != "data":
                    found.append(f"{where} loads {url}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                found.append(f"{where} leads to {url}, which isn't there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{where} leads to {url}, which has no such place")
    return found if pages else [f"{site} has no page"]


if __name__ == "__main__":
    lines = problems(Path(sys.argv[1]))
    print("\n".join(lines), file=sys.stderr)
    sys.exit(1 if lines else 0)
