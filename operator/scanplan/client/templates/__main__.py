"""``python3 -m scanplan.client.templates``: checked templates and their index as a folder, for the build of an image.

It needs no more than a scan pod has. People use ``scanplan templates build``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from scanplan.client.cluster.failure import Failure
from scanplan.client.templates import content, image, source


def main() -> int:
    """Returns a code of sysexits(3)."""
    parser = argparse.ArgumentParser(prog="python3 -m scanplan.client.templates", description=__doc__)
    parser.add_argument("--release", default="", help="of the community's templates; empty: none")
    parser.add_argument("--from", dest="origin", default="", help="folder, archive or URL; by default the release's")
    parser.add_argument("--sha256", default="", help="of the archive")
    parser.add_argument("--checksums", default="", help="file or URL that names it")
    parser.add_argument("--broken", choices=("refuse", "leave-out"), default="refuse", help="what does not load")
    parser.add_argument("--otherwise", type=Path, required=True, help="folder that is taken without a release")
    parser.add_argument("--into", type=Path, required=True, help="folder that is made")
    given = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            origin = given.origin or (source.of_release(given.release) if given.release else str(given.otherwise))
            opened = source.opened(origin, Path(temporary), sha256=given.sha256, checksums=given.checksums)
            found = content.of(opened.folder)
            if nuclei := shutil.which("nuclei"):
                found = content.validated(found, nuclei)
            for each in found.broken:
                print(f"{each.path}: {each.reason}", file=sys.stderr)
            if found.broken and given.broken == "refuse":
                raise Failure(f"{len(found.broken)} templates do not load", code=os.EX_DATAERR)
            kept = found.without_broken()
            image.folder(kept, given.into)
    except Failure as failure:
        print(f"error: {failure.message}", file=sys.stderr)
        return failure.code
    print(f"{len(kept.entries)} templates from {origin}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
