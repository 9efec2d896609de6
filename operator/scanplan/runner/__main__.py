"""Starts the runner. It handles SIGTERM before it imports anything that takes time."""

from scanplan.runner.interruption import Interruption

interruption = Interruption()
interruption.install()

import os  # noqa: E402 - what takes time to import comes after the handler
import sys  # noqa: E402

from scanplan.runner import entrypoint  # noqa: E402

sys.exit(entrypoint.main(sys.argv[1:], os.environ, interruption))
