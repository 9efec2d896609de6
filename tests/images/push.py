"""`python -m tests.images push REGISTRY`: the three images into a registry, and the values that name them by digest.

With Docker's buildx they are built from the official bases, for those architectures that its builder can run. Else buildah pushes
what `make images` builds from this machine's packages: for its own architecture, and only with a real Nuclei. An architecture
that is asked for and can't be built is an error: a node of it would find no image.
"""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import scanplan
from tests.console import step
from tests.images.builder import build
from tests.images.recipes import ROOT, templates_arguments
from tests.images.store import ImageError, Store, ask, run

NAMES = ("operator", "scanner", "worker")
VALUES = ROOT / "build" / "values.yaml"
PLATFORMS = ("linux/amd64", "linux/arm64")
"""Where nobody asks for others: as many of these as the builder can."""
_MACHINES = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
_REGISTRY = re.compile(r"([A-Za-z0-9][-A-Za-z0-9.]*|\[[0-9a-f:]+\])(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def push(registry: str, platforms: str = "", stand_in: bool = False, values: Path = VALUES) -> dict[str, str]:
    """Push the images, write the values, and return each image by its digest.

    Args:
        registry: host, perhaps with a port and a path: `registry.example.com/scanplan`.
        platforms: such as `linux/amd64,linux/arm64`; empty: those of `PLATFORMS` that can be built here.
        stand_in: push the tests' stand-in for Nuclei, which finds nothing real.

    Raises:
        ImageError: an image can't be built or pushed; the message says what to do.
    """
    if not _REGISTRY.fullmatch(registry):
        raise ImageError(f"{registry!r} is no registry: REGISTRY is its host and perhaps a path, without https://")
    able = _buildx_platforms()
    if able:
        digests = _by_buildx(registry, chosen(platforms, able, "Docker's builder"))
    else:
        own = _MACHINES.get(platform.machine(), f"linux/{platform.machine()}")
        chosen(platforms, [own], "buildah, which takes this machine's packages,")
        digests = _by_buildah(registry, stand_in)
    for name, digest in digests.items():
        if not _DIGEST.fullmatch(digest):
            raise ImageError(f"the registry named no digest for {name}: {digest!r}")
    values.parent.mkdir(parents=True, exist_ok=True)
    values.write_text(json.dumps(values_of(registry, digests), indent=2) + "\n")
    return {name: f"{registry}/{name}@{digest}" for name, digest in digests.items()}


def values_of(registry: str, digests: Mapping[str, str]) -> dict[str, object]:
    """The chart's values that name these images. JSON is YAML too."""
    images = {name: {"repository": f"{registry}/{name}", "digest": digest} for name, digest in digests.items()}
    return {
        "image": images["operator"],
        "scanner": {"image": images["scanner"]},
        "worker": {"image": images["worker"]},
    }


def is_plain(registry: str) -> bool:
    """Whether it is spoken to without TLS, as container engines do: on this machine only."""
    host = registry.partition("/")[0].rpartition(":")[0] or registry.partition("/")[0]
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def chosen(platforms: str, able: Sequence[str], builder: str) -> str:
    """The platforms to build for: those that are asked for, else as many as the builder can.

    Raises:
        ImageError: one that is asked for can't be built, or none can.
    """
    asked = [each.strip() for each in platforms.split(",") if each.strip()]
    if missing := [each for each in asked if each not in able]:
        raise ImageError(
            f"{builder} can't build for {', '.join(missing)}, only for {', '.join(able)}. Use Docker's buildx with an emulator "
            "(binfmt_misc) or a builder node of that architecture, or leave it out of PLATFORMS."
        )
    found = asked or [each for each in PLATFORMS if each in able]
    if not found:
        raise ImageError(f"{builder} can build for {', '.join(able)} alone: name those that you need in PLATFORMS.")
    return ",".join(found)


def _buildx_platforms() -> list[str]:
    """What Docker's builder can run, by itself or emulated; none: there is no buildx."""
    if not shutil.which("docker"):
        return []
    try:
        told = ask(["docker", "buildx", "inspect", "--bootstrap"])
    except ImageError:
        return []
    lines = [line.partition(":")[2] for line in told.splitlines() if line.strip().startswith("Platforms:")]
    return [name.strip().rstrip("*") for line in lines for name in line.split(",") if name.strip()]


def _by_buildx(registry: str, platforms: str) -> dict[str, str]:
    digests = {}
    for name in NAMES:
        title = f"Building and pushing {registry}/{name} for {platforms}"
        with tempfile.TemporaryDirectory() as folder, step(title) as progress:
            told = Path(folder) / "metadata.json"
            command = [
                *("docker", "buildx", "build", "--push", f"--platform={platforms}", f"--target={name}"),
                *(f"--build-arg={argument}={value}" for argument, value in templates_arguments().items()),
                *(f"--build-arg=VERSION={scanplan.__version__}", f"--tag={registry}/{name}:{scanplan.__version__}"),
                *(f"--metadata-file={told}", f"--file={ROOT / 'images' / 'Dockerfile'}", str(ROOT)),
            ]
            run(command, progress.update)
            digests[name] = str(json.loads(told.read_text())["containerimage.digest"])
    return digests


def _by_buildah(registry: str, stand_in: bool) -> dict[str, str]:
    if not os.environ.get("NUCLEI_BIN") and not stand_in:
        raise ImageError(
            "Without Docker's buildx, the scanner gets the Nuclei that NUCLEI_BIN names, a program for Linux. It is not set, "
            "and the tests' stand-in for Nuclei finds nothing real."
        )
    digests = {}
    store = Store.default()
    for name, archive in build(NAMES).items():
        with step(f"Pushing {registry}/{name}"):
            digests[name] = store.push(
                archive.path, f"{registry}/{name}:{scanplan.__version__}", tls=not is_plain(registry)
            )
    return digests
