"""From recipes to archives, doing only what has to be done.

An image's digest is taken over its Dockerfile, its input files and the digests of the images below it, all
known before anything is built. Where the archive of that digest is there, nothing happens; otherwise the
inputs are copied into an empty folder, which is all that buildah sees.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.console import step
from tests.images import base, wheels
from tests.images.recipes import ROOT, Recipe, recipe
from tests.images.store import ImageError, Store

IGNORED = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True)
class Archive:
    """An image in a file.

    `path` is an OCI archive, for `ctr images import`, `kind load image-archive` or `skopeo copy`. `reference`
    is the image's name in it, which pods use with imagePullPolicy Never or IfNotPresent; other content has
    another name.
    """

    name: str
    reference: str
    path: Path


def build(names: Iterable[str], output: Path = ROOT / "build" / "images") -> dict[str, Archive]:
    """Build images, and return their archives by name.

    `names` are some of NAMES. What an archive in `output` already holds is not built again; archives of
    former content are deleted. Several processes may do this at once. Raises ImageError, whose message says
    what to do.
    """
    store = Store.default()
    output.mkdir(parents=True, exist_ok=True)
    return {name: _build(store, recipe(name), output.resolve()) for name in names}


def _build(store: Store, image: Recipe, output: Path) -> Archive:
    reference = _reference(image)
    archive = Archive(image.name, reference, output / f"{image.name}-{reference.rpartition(':')[2]}.tar")
    if archive.path.exists():
        return archive
    with store.locked():
        if not archive.path.exists():
            _ensure(store, image)
            with step(f"Writing {archive.path.name}"):
                store.export(reference, archive.path)
            for former in output.glob(f"{image.name}-*.tar"):
                if former != archive.path:
                    former.unlink()
    return archive


def _ensure(store: Store, image: Recipe) -> None:
    """Build an image in the store, and first those that it stands on, unless they are there."""
    if store.has(_reference(image)):
        return
    arguments = {}
    for argument, below in image.images.items():
        _ensure(store, below)
        arguments[argument] = _reference(below)
    if image.lock:
        arguments["PYTHON_IMAGE"] = base.reference()
        if not store.has(base.reference()):
            base.build(store)
    with (
        tempfile.TemporaryDirectory(dir=store.folder) as folder,
        step(f"Building the {image.name} image") as progress,
    ):
        context = Path(folder)
        if image.lock:
            progress.update("wheels")
            fetched = wheels.fetch(store, image.lock, base.python_version(store), progress.update)
            shutil.copytree(fetched, context / "build" / "wheels")
        for path, source in image.inputs.items():
            copy = partial(shutil.copytree, ignore=IGNORED) if source.is_dir() else shutil.copy2
            (context / path).parent.mkdir(parents=True, exist_ok=True)
            copy(source, context / path)
        store.build(_reference(image), image.dockerfile, context, arguments, progress.update)


def _reference(image: Recipe) -> str:
    """An image's name, which ends with the digest of all that it is made from."""
    digest = hashlib.sha256(image.dockerfile.read_bytes())
    for argument, below in image.images.items():
        digest.update(f"\0{argument}={_reference(below)}".encode())
    if image.lock:
        digest.update(f"\0PYTHON_IMAGE={base.reference()}".encode())
    for path, source in image.inputs.items():
        for file in _files(source):
            digest.update(f"\0{path}/{file.relative_to(source)}\0{file.stat().st_mode & 0o777:o}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return f"localhost/scanplan/{image.name}:{digest.hexdigest()[:12]}"


def _files(source: Path) -> Iterator[Path]:
    if not source.exists():
        raise ImageError(f"{source} is missing, which goes into an image")
    if source.is_file():
        yield source
    else:
        yield from sorted(
            path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )
