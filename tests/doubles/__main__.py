"""`python -m tests.doubles build`: build the stand-ins and print where they are."""

from __future__ import annotations

import argparse
import sys

import tests.doubles


def main() -> int:
    """Run the command line; 0 when built, 1 with a message on standard error when not."""
    parser = argparse.ArgumentParser(prog="python -m tests.doubles", description=tests.doubles.__doc__)
    parser.add_argument("command", choices=["build"], help="build both programs, unless they are built already")
    parser.parse_args()
    try:
        built = tests.doubles.build()
    except tests.doubles.DoublesError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"nuclei={built.nuclei}\nwebapp={built.webapp}\ndigest={built.digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
