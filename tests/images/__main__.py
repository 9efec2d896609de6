"""`python -m tests.images`: build the images, or forget all that was kept to build them quickly."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from tests.images import NAMES, ON_DEMAND, ImageError, build
from tests.images.push import VALUES, push
from tests.images.store import Store


def main() -> int:
    """Return a sysexits.h code: 0, 64 for a wrong command line, 69 when an image can't be built."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.images",
        description="Build the container images without a container engine or an image registry.",
        epilog="Environment: NUCLEI_BIN, a real nuclei for Linux, put into the scanner image instead of the "
        "stand-in; XDG_CACHE_HOME (default ~/.cache), in whose scanplan/images/ everything is kept that "
        "makes the next build quick.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    builds = commands.add_parser("build", help="build OCI archives; print each one's reference and file")
    builds.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default), {', '.join(ON_DEMAND)}"
    )
    builds.add_argument("--output", type=Path, default=Path("build/images"), help="default: %(default)s")
    pushes = commands.add_parser("push", help="push operator, scanner and worker; print their digests; write values")
    pushes.add_argument(
        "registry", metavar="REGISTRY", help="host, perhaps with port and path, such as registry.example.com/scanplan"
    )
    pushes.add_argument(
        "--platforms", default="", help="such as linux/amd64,linux/arm64; by default as many as can be built"
    )
    pushes.add_argument("--values", type=Path, default=VALUES, help="default: %(default)s")
    pushes.add_argument(
        "--stand-in", action="store_true", help="push the tests' stand-in for Nuclei; it finds nothing real"
    )
    commands.add_parser("clean", help="delete the cache: the Debian base, the wheels and buildah's layers")
    arguments = parser.parse_args()

    if arguments.command == "clean":
        Store.default().delete()
        return os.EX_OK
    if arguments.command == "push":
        return _push(arguments)
    if unknown := set(arguments.names) - {*NAMES, *ON_DEMAND}:
        print(
            f"No such image: {', '.join(sorted(unknown))}. There are {', '.join((*NAMES, *ON_DEMAND))}.",
            file=sys.stderr,
        )
        return os.EX_USAGE
    try:
        archives = build(arguments.names or NAMES, output=arguments.output)
    except ImageError as error:
        print(error, file=sys.stderr)
        return os.EX_UNAVAILABLE
    width = min(shutil.get_terminal_size().columns, 60)
    for archive in archives.values():
        print(f"{archive.reference:{width}} {archive.path} ({archive.path.stat().st_size / 1e6:.0f} MB)")
    return os.EX_OK


def _push(arguments: argparse.Namespace) -> int:
    try:
        pushed = push(arguments.registry, arguments.platforms, arguments.stand_in, arguments.values)
    except ImageError as error:
        print(error, file=sys.stderr)
        return os.EX_UNAVAILABLE
    for image in pushed.values():
        print(image)
    print(f"helm install scanplan charts/scanplan-operator -n scanplan-system --create-namespace -f {arguments.values}")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
