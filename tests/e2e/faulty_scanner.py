"""The scanner image with templates that fail on purpose (tests/e2e/scanner), for tests alone.

A plan can only name templates that its scanner image holds, so the tests put theirs where a user would put their own:
into an image made from the installed one, which the operator's owner has to allow.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests import images
from tests.console import step
from tests.images.store import Store

FOLDER = Path(__file__).parent / "scanner"
REPOSITORY = "localhost/scanplan/scanner-with-faults"


def build(scanner: images.Archive) -> images.Archive:
    """Add the faults to a scanner image; nothing is built where neither has changed."""
    digest = hashlib.sha256(scanner.reference.encode())
    for file in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        digest.update(f"\0{file.relative_to(FOLDER)}\0".encode() + file.read_bytes())
    tag = digest.hexdigest()[:12]
    reference = f"{REPOSITORY}:{tag}"
    archive = images.Archive("scanner-with-faults", reference, scanner.path.with_name(f"scanner-with-faults-{tag}.tar"))
    if archive.path.exists():
        return archive
    store = Store.default()
    with store.locked(), step("Building the scanner image with faults") as progress:
        base = {"SCANNER_IMAGE": f"oci-archive:{scanner.path}"}
        store.build(reference, FOLDER / "Dockerfile", FOLDER, base, progress.update)
        store.export(reference, archive.path)
    return archive
