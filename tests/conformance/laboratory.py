"""A scanner under test, in surroundings of its own: home folder, templates, target lists, and what came of a run.

Nothing of the person's own configuration reaches the scanner, and nothing of it stays behind. Only loopback is
scanned.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

import yaml

QUIET = ("-duc", "-ni", "-nc", "-jsonl", "-or", "-ot", "-dc")
"""Offline, machine-readable, small, and one request for each template: Nuclei would merge equal ones."""

REPOSITORY = pathlib.Path(__file__).parents[2]
STARTER_TEMPLATES = REPOSITORY / "images/scanner/templates"
IGNORE_FILE = REPOSITORY / "images/scanner/nuclei-config/.nuclei-ignore"
PATIENCE = 180.0  # seconds after which a run that should have ended is a failure


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run left: the exit code (negative: the signal that ended it) and both streams."""

    code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def found(self) -> list[str]:
        """Template ids of the findings, sorted."""
        return sorted(event["template-id"] for event in self.events if event["matcher-status"])

    @property
    def statistics(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]

    @property
    def log(self) -> list[str]:
        """Log lines without banner and statistics."""
        return [line for line in self.stderr.splitlines() if line.startswith("[")]

    def loaded(self) -> int:
        """Templates that the log says were loaded; 0 when it doesn't say."""
        told = re.search(r"Templates loaded for current scan: (\d+)", self.stderr)
        return int(told[1]) if told else 0


class Laboratory:
    """Runs one scanner; `folder` is the test's own, `home` the scanner's home in it."""

    def __init__(self, scanner: pathlib.Path, folder: pathlib.Path) -> None:
        self.scanner = scanner
        self.folder = folder
        self.home = folder / "home"
        self.settings = self.home / ".config/nuclei"
        self.settings.mkdir(parents=True)
        (self.settings / ".nuclei-ignore").write_bytes(IGNORE_FILE.read_bytes())
        self.templates = folder / "templates"
        self.templates.mkdir()
        self.read_only: list[pathlib.Path] = []

    def template(self, identity: str, path: str = "/robots.txt", **changes: Any) -> pathlib.Path:
        """Write a template of that id that matches status 200 at a path.

        `changes` replace keys of `info`, and `http` keys of the request; None removes a key.
        """
        request = {
            "method": "GET",
            "path": ["{{BaseURL}}" + path],
            "matchers": [{"type": "status", "status": [200]}],
        } | changes.pop("http", {})
        info = {"name": identity, "author": "tests", "severity": "info"} | changes
        document = {
            "id": identity,
            "info": {key: value for key, value in info.items() if value is not None},
            "http": [request],
        }
        return self.file(f"templates/{identity}.yaml", yaml.safe_dump(document, sort_keys=False))

    def file(self, name: str, content: str) -> pathlib.Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def targets(self, *targets: str) -> pathlib.Path:
        return self.file("targets.txt", "".join(f"{target}\n" for target in targets))

    def freeze(self, folder: pathlib.Path) -> None:
        """Make a folder read-only for the scanner, as a read-only root or a ConfigMap is in a pod."""
        self.read_only.append(folder)

    def start(
        self,
        *arguments: object,
        base: tuple[str, ...] = QUIET,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.PIPE,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        command = [str(self.scanner), *base, *map(str, arguments)]
        if self.read_only:
            mounts = "".join(
                f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && " for folder in self.read_only
            )
            command = ["unshare", "--mount", "sh", "-c", mounts + 'exec "$@"', "sh", *command]
        own = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": tempfile.gettempdir()}
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            cwd=self.folder,
            env={**own, **(environment or {})},
        )

    def run(self, *arguments: object, **surroundings: Any) -> Outcome:
        """Run the scanner to its end."""
        with self.start(*arguments, **surroundings) as process:
            return finish(process)

    def interrupt(self, number: signal.Signals, when: Callable[[], bool], *arguments: object) -> Outcome:
        """Run the scanner, and send it a signal as soon as a condition holds."""
        with self.start(*arguments) as process:
            deadline = time.monotonic() + PATIENCE
            while not when():
                assert process.poll() is None, "the scanner ended before the signal"
                assert time.monotonic() < deadline, "the moment for the signal never came"
                time.sleep(0.01)
            process.send_signal(number)
            return finish(process)


def finish(process: subprocess.Popen[str]) -> Outcome:
    """Collect what a process wrote until its end; kill it when it doesn't end."""
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        raise AssertionError(f"the scanner did not end; it wrote:\n{stderr}") from None
    return Outcome(process.returncode, stdout or "", stderr)
