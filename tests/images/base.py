"""A base image from the machine's own Debian package sources, for where there is no image registry.

It stands in for the official Python images: an interpreter with its whole standard library, certificates, a
shell, tini, and nothing else, not even a package manager's database. Packages are extracted rather than installed,
which takes seconds instead of minutes; what their installation scripts would have done, and we need, is done
here.
"""

import functools
import hashlib
import platform
import tempfile
from pathlib import Path

from tests.console import step
from tests.images.store import Store, ask, run

PACKAGES = "base-files,ca-certificates,dash,python3,tini"
OPTIONS = (
    "--variant=extract",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    # What the installation of ca-certificates does: the bundle that both Go and Python's ssl look for.
    "--extract-hook=cat $1/usr/share/ca-certificates/mozilla/* > $1/etc/ssl/certs/ca-certificates.crt",
)
DOCKERFILE = "FROM scratch\nADD base.tar /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n"


def reference(*more: str) -> str:
    """The base's name, which says what it is made from; this neither builds anything nor needs the network.

    Raises ImageError where apt isn't there.
    """
    inputs = "\0".join([platform.machine(), _codename(), *_sources(), _packages(more), *OPTIONS, DOCKERFILE])
    return f"localhost/scanplan/base:{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"


def ensure(store: Store, *more: str) -> str:
    """Make the base in `store`, with more packages, unless it is there; return its reference.

    Raises ImageError, with mmdebstrap's words, where a package can't be had.
    """
    wanted = reference(*more)
    if store.has(wanted):
        return wanted
    with (
        step("Making a Debian base image from this machine's package sources (15 s)") as progress,
        tempfile.TemporaryDirectory(dir=store.folder) as folder,
    ):
        context = Path(folder)
        sources = context / "sources.list"
        sources.write_text("\n".join(_sources()) + "\n")
        base = context / "base.tar"
        run(
            ["mmdebstrap", *OPTIONS, f"--include={_packages(more)}", _codename(), base, sources],
            lambda line: progress.update(line.removeprefix("I: ")),
        )
        dockerfile = context / "Dockerfile"
        dockerfile.write_text(DOCKERFILE)
        store.build(wanted, dockerfile, context, {}, progress.update)
        store.prune()
    return wanted


def python_version(store: Store) -> str:
    """The minor version of the base's Python, such as `3.11`: compiled wheels are made for one only."""
    program = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    return store.run(reference(), "python3", "-c", program)


def _packages(more: tuple[str, ...]) -> str:
    return ",".join((PACKAGES, *more))


def _codename() -> str:
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


@functools.cache
def _sources() -> list[str]:
    """The Debian release's own package sources, as one-line entries; others have no part in a base."""
    entry = "--format=$(RELEASE) deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    only = ("Created-By: Packages", "Component: main")
    listed = ask(["apt-get", "indextargets", "--no-release-info", entry, *only])
    ours = {_codename() + suffix for suffix in ("", "-updates", "-security")}
    entries = (line.split(" ", 1) for line in listed.splitlines())
    return sorted({source for release, source in entries if release in ours})
