"""Programs that stand in for others in the tests: a scanner that keeps Nuclei's contract, and a site to scan.

Both are Go programs of the module beside this file, built once per state of their sources into a cache outside the
checkout. Neither is ever in a shipped image; what the scanner promises to keep is held by tests/conformance.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from tests.building import alone
from tests.console import step

SOURCES = pathlib.Path(__file__).parent


class DoublesError(Exception):
    """The doubles could not be built; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Doubles:
    """The built programs: static executables, each runnable in an empty image."""

    nuclei: pathlib.Path
    webapp: pathlib.Path
    digest: str
    """SHA-256 prefix (16 hex) over sources and compiler: equal digests are equal programs."""


def build() -> Doubles:
    """Build the doubles, or find them built: seconds the first time, nothing after.

    Several processes may call it at once; one builds, the others wait.

    Raises:
        DoublesError: Go is missing, too old or fails.
    """
    digest = _digest()
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "scanplan/doubles"
    folder = cache / digest
    built = Doubles(nuclei=folder / "nuclei", webapp=folder / "webapp", digest=digest)
    if folder.exists():
        return built
    with alone(cache / "lock", "the stand-ins"):
        if not folder.exists():
            with step("Building the scanner's stand-in and the site to scan"):
                _compile(folder)
    return built


def _compile(folder: pathlib.Path) -> None:
    """Build into a folder beside the wanted one, and rename: a killed build leaves nothing that looks complete."""
    scratch = pathlib.Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        _go("build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(scratch) + os.sep, "./...")
        scratch.chmod(0o755)  # mkdtemp makes it private, and pods and other users run what is in it
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _go(*arguments: str) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0"}
    try:
        done = subprocess.run(
            ["go", *arguments], cwd=SOURCES, env=environment, capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise DoublesError("go is not on PATH: install Go, and put its bin folder there") from None
    except subprocess.CalledProcessError as error:
        raise DoublesError(f"go {arguments[0]} failed:\n{error.stderr.strip()}") from error
    return done.stdout.strip()


def _digest() -> str:
    digest = hashlib.sha256(_go("env", "GOVERSION", "GOARCH", "GOOS").encode())
    for path in sorted([*SOURCES.glob("go.*"), *SOURCES.glob("*/*.go")]):
        digest.update(f"\0{path.relative_to(SOURCES)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
