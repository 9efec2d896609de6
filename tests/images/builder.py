"""From recipes to archives, doing only what has to be done.

An image is named by a digest over its Dockerfile, its input files and the names of the images below it, all known
before anything is built. Where the archive of that name is there, nothing happens; otherwise the inputs are
copied into an empty folder, which is all that buildah sees, and the image gets its name from that copy: what is
edited during a build is in the next one.
"""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.console import step
from tests.images import base, wheels
from tests.images.recipes import ROOT, Recipe, recipe
from tests.images.store import KEPT, ImageError, Store

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

    `names` are some of NAMES. What an archive in `output` already holds is not built again; archives of former
    content are deleted after an hour. Several processes may do this at once. Raises ImageError, whose message says
    what to do.
    """
    store = Store.default()
    output.mkdir(parents=True, exist_ok=True)
    return {name: _build(store, recipe(name), output.resolve()) for name in names}


def _build(store: Store, image: Recipe, output: Path) -> Archive:
    archive = _archive(image, _reference(image, _below(image)), output)
    if archive.path.exists():
        return archive
    with store.locked():
        archive = _archive(image, _ensure(store, image), output)
        if not archive.path.exists():
            with step(f"Writing {archive.path.name}"):
                store.export(archive.reference, archive.path)
        for former in output.glob(f"{image.name}-*.tar"):
            if former != archive.path and former.stat().st_mtime < time.time() - KEPT.total_seconds():
                former.unlink()
    return archive


def _archive(image: Recipe, reference: str, output: Path) -> Archive:
    return Archive(image.name, reference, output / f"{image.name}-{reference.rpartition(':')[2]}.tar")


def _ensure(store: Store, image: Recipe) -> str:
    """Build an image in the store, and first those below it, unless they are there; return its reference."""
    reference = _reference(image, _below(image))
    if store.has(reference):
        return reference
    arguments = {argument: _ensure(store, below) for argument, below in image.images.items()}
    if image.lock:
        arguments["PYTHON_IMAGE"] = base.ensure(store, *image.packages)
    with (
        tempfile.TemporaryDirectory(dir=store.folder) as folder,
        step(f"Building the {image.name} image") as progress,
    ):
        context = Path(folder)
        copied = _copy(image, context)
        if image.lock:
            base.ensure(store)
            python = base.python_version(store)
            fetched = wheels.fetch(store, copied.inputs[image.lock], python, progress.update)
            shutil.copytree(fetched, context / "build" / "wheels")
        reference = _reference(copied, arguments)
        given = {**arguments, **image.arguments}
        store.build(reference, copied.dockerfile, context, given, progress.update, target=image.target)
    return reference


def _copy(image: Recipe, context: Path) -> Recipe:
    """Copy an image's inputs and Dockerfile into the build context; return the recipe for the copies."""
    for path, source in image.inputs.items():
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, context / path, ignore=IGNORED)
        else:
            shutil.copy2(source, context / path)
    dockerfile = context / "Dockerfile"
    shutil.copy2(image.dockerfile, dockerfile)
    return replace(image, dockerfile=dockerfile, inputs={path: context / path for path in image.inputs})


def _below(image: Recipe) -> dict[str, str]:
    """The build arguments: the references of the images that this one stands on, whether they are built or not."""
    arguments = {argument: _reference(below, {}) for argument, below in image.images.items()}
    return {**arguments, "PYTHON_IMAGE": base.reference(*image.packages)} if image.lock else arguments


def _reference(image: Recipe, arguments: dict[str, str]) -> str:
    """An image's name, which ends with the digest of all that it is made from; its target is in the name before that."""
    digest = hashlib.sha256(image.dockerfile.read_bytes())
    for argument in sorted({**arguments, **image.arguments}.items()):
        digest.update("\0{}={}".format(*argument).encode())
    for path, source in image.inputs.items():
        for file in _files(source):
            executable = bool(file.stat().st_mode & 0o100)
            digest.update(f"\0{path}\0{file.relative_to(source)}\0{executable}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return f"localhost/scanplan/{image.name}:{digest.hexdigest()[:12]}"


def _files(source: Path) -> Iterator[Path]:
    if not source.exists():
        raise ImageError(f"{source} is missing, which goes into an image")
    if source.is_file():
        yield source
    else:
        yield from sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
