"""What goes into each image: its Dockerfile, the files that it may copy, and its build arguments.

The table is the whole truth about an image's inputs, for its digest and for the folder that buildah sees; a
Dockerfile that copies anything else fails to build.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import doubles
from tests.images.store import ImageError

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
NAMES = ("operator", "scanner", "worker", "webapp")
SCANNERS_OWN = tuple(f"images/scanner/{folder}" for folder in ("templates", "nuclei-config", "nuclei-state"))


@dataclass(frozen=True)
class Recipe:
    """How to build one image.

    `inputs` maps a path in the build context to the file or folder that is there. `target` is a stage of the Dockerfile; None
    is the last. `lock` is the input whose wheels are put into build/wheels; such an image gets the Debian base as its
    PYTHON_IMAGE. `images` maps further build arguments to the recipes whose images are their values.
    """

    name: str
    dockerfile: Path
    inputs: Mapping[str, Path]
    target: str | None = None
    lock: str | None = None
    images: Mapping[str, "Recipe"] = field(default_factory=dict)


def recipe(name: str) -> Recipe:
    """The recipe of one of NAMES, whose test doubles are compiled first; raises ImageError if not."""
    match name:
        case "operator":
            return _python_image(name, "requirements/operator.txt")
        case "scanner":
            return _python_image(name, "requirements/runner.txt", *SCANNERS_OWN, images={"NUCLEI_IMAGE": _nuclei()})
        case "worker":
            return _python_image(name, "requirements/worker.txt", *SCANNERS_OWN, images={"NUCLEI_IMAGE": _nuclei()})
        case "webapp":
            return Recipe(name, HERE / "webapp.Dockerfile", {"webapp": _doubles().webapp})
        case _:
            raise ValueError(f"no image is called {name}")


def _python_image(name: str, lock: str, *inputs: str, images: Mapping[str, Recipe] | None = None) -> Recipe:
    paths = ("LICENSE", lock, "operator/scanplan", *inputs)
    return Recipe(
        name,
        ROOT / "images" / "Dockerfile",
        {path: ROOT / path for path in paths},
        target=name,
        lock=lock,
        images=images or {},
    )


def _nuclei() -> Recipe:
    """The image that stands in for Nuclei's official one: the binary alone, the stand-in unless NUCLEI_BIN is
    set."""
    real = os.environ.get("NUCLEI_BIN")
    return Recipe("nuclei", HERE / "nuclei.Dockerfile", {"nuclei": Path(real) if real else _doubles().nuclei})


def _doubles() -> doubles.Doubles:
    try:
        return doubles.build()
    except doubles.DoublesError as error:
        raise ImageError(str(error)) from error
