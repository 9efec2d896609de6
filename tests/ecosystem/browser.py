"""A real Chromium for tests, driven over its DevTools protocol, which sees what a page tries: requests, dialogs, refusals.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import websocket

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
AXE = Path(sys.prefix, "axe/node_modules/axe-core/axe.min.js")
"""Deque's checker of accessibility, as `make test-ecosystem` has installed it."""
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
PATIENCE = 60.0
"""Seconds that anything may take on a busy machine."""


def program() -> str | None:
    """A Chromium of this machine."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Page:
    """One tab. Everything that the page tries is in the lists, in its order."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=PATIENCE, suppress_origin=True)
        self._sent = 0
        self._loaded = False
        self.requests: dict[str, str] = {}
        """Addresses that the page asked for, without those that its own policy stopped."""
        self.dialogs: list[str] = []
        self.messages: list[str] = []
        """What the console got: refusals of the page's policy among them."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, and its result."""
        self._sent += 1
        self._socket.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while True:
            message = self._receive()
            if message.get("id") == self._sent:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def open(self, path: Path) -> None:
        """Load a file, and wait for it; what earlier pages tried is forgotten."""
        for tried in (self.requests, self.dialogs, self.messages):
            tried.clear()
        self._loaded = False
        self.call("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._receive()

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def press(self, key: str) -> None:
        """A key of `KEYS`, down and up."""
        text = {"Enter": "\r", " ": " "}.get(key)
        named = {"key": key, "code": key.replace(" ", "Space"), "windowsVirtualKeyCode": KEYS[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **named, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def tab_to(self, selector: str, most: int = 60) -> None:
        """Press Tab until an element that matches has the focus; wherever it is on the way, it must be seen."""
        for _ in range(most):
            self.press("Tab")
            ring = self.run("getComputedStyle(document.activeElement).outline")
            where = self.run("document.activeElement.outerHTML.slice(0, 100)")
            assert "solid 2px" in ring or where.startswith("<body"), f"no focus to be seen: {ring} of {where}"
            if self.run(f"document.activeElement.matches({json.dumps(selector)})"):
                return
        raise AssertionError(f"{selector} can't be reached by the keyboard")

    def violations(self) -> list[str]:
        """What axe finds wrong with the page as it is now, by its standard rules (WCAG 2.x A and AA, best practices)."""
        self.run(f"{AXE.read_text()}; 0")
        told = "axe.run().then((told) => told.violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html)}`))"
        found: list[str] = self.run(told)
        return found

    def emulate(self, *, dark: bool = False, media: str = "", width: int = 1280, height: int = 900) -> None:
        """Another screen, or paper."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """What is seen, or all of the page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it prints."""
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"]))

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv())
        parameters = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests[parameters["requestId"]] = parameters["request"]["url"]
            case "Network.loadingFailed" if parameters.get("blockedReason") == "csp":
                self.requests.pop(parameters["requestId"], None)
            case "Page.javascriptDialogOpening":
                self.dialogs.append(parameters["message"])
                self._sent += 1
                self._socket.send(
                    json.dumps({"id": self._sent, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}})
                )
            case "Log.entryAdded":
                self.messages.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.messages.append(str(parameters["exceptionDetails"]))
        return message


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A headless Chromium with one tab, ended with the block."""
    found = program()
    assert found, f"none of {', '.join(PROGRAMS)} is installed"
    command = [
        found,
        "--headless=new",
        "--no-sandbox",  # root has none; the pages are our own
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with contextlib.closing(Page(_address(profile / "DevToolsActivePort", process))) as page:
                yield page
        finally:
            process.terminate()


def _address(file: Path, process: subprocess.Popen[bytes]) -> str:
    """The WebSocket address of the one tab."""
    end = time.monotonic() + PATIENCE
    while not (file.exists() and file.read_text().count("\n")):
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        assert time.monotonic() < end, "chromium doesn't listen"
        time.sleep(0.1)
    port = file.read_text().split("\n", 1)[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as answer:
        tabs = json.load(answer)
    address: str = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
    return address
