"""The kubectl plugin by krew: its own validator on the manifest and the archive, and an installation as people do it."""

from __future__ import annotations

import functools
import http.server
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.local import binaries
from tests.ecosystem import programs

pytestmark = pytest.mark.ecosystem

ROOT = Path(__file__).parents[2]
KREW = binaries.TOOLS / "krew"


class Silent(http.server.SimpleHTTPRequestHandler):
    """A file server that prints no line for each request."""

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002 - the base class's name
        del format, values


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The filled-in manifest, while the archive is served at the address that it names."""
    folder = tmp_path_factory.mktemp("plugin")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(folder)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        build = runpy.run_path(str(ROOT / "examples/plugin/build.py"))["build"]
        yield build("https://scanplan.example", f"http://127.0.0.1:{server.server_port}", folder)
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user's: kubectl and krew on PATH, and krew's folder with its plugins."""
    (tmp_path / "kubectl-krew").symlink_to(programs.path(KREW, "krew"))
    path = [tmp_path / "krew/bin", tmp_path, Path(sys.prefix, "bin"), os.environ["PATH"]]
    return {"KREW_ROOT": str(tmp_path / "krew"), "PATH": os.pathsep.join(map(str, path)), "HOME": str(tmp_path)}


def run(environment: dict[str, str], *argv: str) -> str:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_krews_validator_installs_it(manifest: Path, environment: dict[str, str]) -> None:
    words = run(environment, str(programs.path(KREW, "validate-krew-manifest")), "-manifest", str(manifest))
    assert "all 1 spec.platforms installed fine" in words


def test_what_is_installed_works(manifest: Path, environment: dict[str, str]) -> None:
    run(environment, "kubectl", "krew", "install", f"--manifest={manifest}")
    assert "explain" in run(environment, "kubectl", "scanplan", "--help")
