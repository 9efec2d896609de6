"""Wheels for a lock file and a Python, fetched once and kept.

They are fetched by this environment's pip with its own settings, so that a machine's package index, proxy and
certificates are its owner's affair, and never that of a build inside an image.
"""

import hashlib
import importlib.util
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.images.store import ImageError, Store, run

_MARKER = re.compile(r" ;[^\\\n]*(?= \\)")
"""`; python_full_version < '3.11.3'` and the like: pip would ask them of the Python that it runs in. All wheels are fetched
instead, and the image's own pip asks."""
# The Dockerfile names both files. A pip comes along because the base of our own making has none.
PIP_SETTINGS = "[global]\nno-index = true\nfind-links = /wheels\ndisable-pip-version-check = true\n"


def fetch(store: Store, lock: Path, python: str, report: Callable[[str], None]) -> Path:
    """Return a folder with the wheels that `lock` names, for that Python and this machine's architecture.

    `python` is a minor version such as `3.11`. Raises ImageError when a wheel can't be had or hasn't a locked
    hash.
    """
    wanted = _MARKER.sub("", lock.read_text())
    key = hashlib.sha256(f"{python}\0{sys.version_info[:2]}\0{wanted}".encode()).hexdigest()[:12]
    folder = store.folder / "wheels" / f"{lock.stem}-{key}"
    if folder.exists():
        return folder
    for outdated in folder.parent.glob(f"{lock.stem}-*"):
        shutil.rmtree(outdated)
        store.prune()
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    requirements = unfinished / "requirements.txt"
    requirements.write_text(wanted)
    run(
        [
            sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps",
            "--require-hashes", "--only-binary=:all:", "--python-version", python,
            "--dest", unfinished, "--requirement", requirements,
        ],
        report,
    )  # fmt: skip
    requirements.unlink()
    (unfinished / "pip.conf").write_text(PIP_SETTINGS)
    _pack_pip(unfinished / "pip")
    unfinished.rename(folder)
    return folder


def _pack_pip(archive: Path) -> None:
    """Write this environment's pip as `archive`.zip, from which any Python 3 can import it."""
    pip = importlib.util.find_spec("pip")
    if pip is None or pip.origin is None:
        raise ImageError(f"{sys.executable} has no pip, which fetches the wheels for the images: make its venv anew")
    packages = Path(pip.origin).parent.parent
    shutil.make_archive(str(archive), "zip", packages, "pip")
