"""The command line of `tests.audit`."""

import argparse
import sys
from pathlib import Path

from tests.audit import Outcome, audit

TOLD = {
    Outcome.CLEAN: "✓ no known vulnerabilities",
    Outcome.FOUND: "✗ known vulnerabilities: update what is named above (`make lock`)",
    Outcome.UNAUDITED: "SKIPPED: nothing was audited. The advisory database can't be downloaded; --database names a copy",
    Outcome.BROKEN: "✗ the scanner failed: nothing is known of what it didn't read",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.audit", description="Look for known vulnerabilities.")
    parser.add_argument(
        "archives", type=Path, nargs="*", metavar="ARCHIVE", help="an image, as `docker save` writes it"
    )
    parser.add_argument("--database", type=Path, help="folder with the advisory database, where there is no network")
    parser.add_argument("--required", action="store_true", help="fail where nothing could be audited")
    arguments = parser.parse_args()
    outcome = audit(arguments.archives, arguments.database)
    print(TOLD[outcome])
    return 0 if outcome is Outcome.UNAUDITED and not arguments.required else outcome.value


if __name__ == "__main__":
    sys.exit(main())
