"""What goes into each image: its Dockerfile, the files that it may copy, and its build arguments.

The table is the whole truth about an image's inputs, for its digest and for the folder that buildah sees; a
Dockerfile that copies anything else fails to build.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests import doubles
from tests.images.store import ImageError

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ON_DEMAND = ("scanner-headless",)
"""Images that are built only where they are named: a browser takes its time."""
BROWSER = ("chromium", "coreutils", "grep", "sed")
"""Debian's Chromium, and what its launcher calls."""
NAMES = ("operator", "scanner", "worker", "templates", "webapp")
STARTER_TEMPLATES = "images/scanner/templates"
SCANNERS_OWN = (STARTER_TEMPLATES, "images/scanner/nuclei-config", "images/scanner/nuclei-state")
OF_TEMPLATES = ("TEMPLATES_RELEASE", "TEMPLATES_FROM", "TEMPLATES_SHA256", "TEMPLATES_CHECKSUMS", "TEMPLATES_BROKEN")
"""Build arguments that say which templates the images have; each is taken from the environment variable of its name."""


@dataclass(frozen=True)
class Recipe:
    """How to build one image.

    `inputs` maps a path in the build context to the file or folder that is there. `target` is a stage of the Dockerfile; None
    is the last. `lock` is the input whose wheels are put into build/wheels; such an image gets the Debian base as its
    PYTHON_IMAGE. `images` maps further build arguments to the recipes whose images are their values, and `arguments` to texts.
    """

    name: str
    dockerfile: Path
    inputs: Mapping[str, Path]
    target: str | None = None
    lock: str | None = None
    images: Mapping[str, "Recipe"] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    """Debian packages that the base has besides."""


def recipe(name: str) -> Recipe:
    """The recipe of one of NAMES, whose test doubles are compiled first; raises ImageError if not."""
    match name:
        case "operator":
            return _python_image(name, "requirements/operator.txt", "LICENSE")
        case "scanner":
            return _with_templates(name, "requirements/runner.txt", "LICENSE", *SCANNERS_OWN)
        case "scanner-headless":
            made = _with_templates(name, "requirements/runner.txt", "LICENSE", *SCANNERS_OWN)
            return replace(made, packages=BROWSER)
        case "worker":
            return _with_templates(name, "requirements/worker.txt", "requirements/runner.txt", "LICENSE", *SCANNERS_OWN)
        case "templates":
            return _with_templates(name, "requirements/runner.txt", STARTER_TEMPLATES)
        case "webapp":
            return Recipe(name, HERE / "webapp.Dockerfile", {"webapp": _doubles().webapp})
        case _:
            raise ValueError(f"no image is called {name}")


def templates_arguments() -> dict[str, str]:
    """The build arguments of `OF_TEMPLATES` that are set."""
    return {name: value for name in OF_TEMPLATES if (value := os.environ.get(name))}


def _with_templates(name: str, lock: str, *inputs: str) -> Recipe:
    made = _python_image(name, lock, *inputs)
    return replace(made, images={"NUCLEI_IMAGE": _nuclei()}, arguments=templates_arguments())


def _python_image(name: str, lock: str, *inputs: str) -> Recipe:
    paths = (lock, "operator/scanplan", *inputs)
    return Recipe(name, ROOT / "images" / "Dockerfile", {path: ROOT / path for path in paths}, target=name, lock=lock)


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
