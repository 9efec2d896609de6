"""`python -m tests.unit.suite.forked EXIT_CODE`: says what it was given, and ends with this code; "wait" waits to be ended."""

import json
import os
import signal
import sys

if __name__ == "__main__":
    given = [sys.argv[1:], dict(os.environ), "colorsys" in sys.modules, sys.stdin.read()]
    print(json.dumps(given), flush=True)
    print("this is an error", file=sys.stderr)
    if sys.argv[1] == "wait":
        signal.pause()
    sys.exit(int(sys.argv[1]))
