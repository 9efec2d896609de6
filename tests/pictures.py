"""`python -m tests.pictures`: pictures of the findings view for the documentation, of made-up results, by a real Chromium."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.console import step
from tests.ecosystem import browser
from tests.kubectl import eventually
from tests.web import scene

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def take(url: str, folder: Path) -> None:
    """All pictures, of the view that is served at `url`."""
    projects = f"{url}/findings?namespace={scene.NAMESPACE}"
    with browser.chromium(folder / "profile") as page:
        with step("findings-projects.png"):
            page.emulate(dark=True, height=330)
            _show(page, projects, "projects")
            page.screenshot(IMAGES / "findings-projects.png")
        with step("findings.png"):
            page.emulate(height=900)
            _show(page, f"{projects}&project=shop", "trend")
            page.screenshot(IMAGES / "findings.png")
        with step("finding.png"):
            address = page.run("document.querySelector('#findings tbody th a').href")
            page.emulate(height=1600)
            _show(page, address, "exception")
            page.screenshot(IMAGES / "finding.png")


def _show(page: browser.Page, url: str, until: str) -> None:
    """Load a page, and wait for an element with this id."""
    page.call("Page.navigate", url=url)
    there = f"location.href === {url!r} && document.readyState === 'complete' && !!document.getElementById({until!r})"
    eventually(lambda: page.run(there))


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with scene.shop(Path(folder) / "results") as shop:
            await asyncio.to_thread(take, shop.url, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
