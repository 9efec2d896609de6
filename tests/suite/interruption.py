"""A plugin of pytest: a session that is killed ends as one that Ctrl-C ends, so its clusters, programs and folders end with it."""

from __future__ import annotations

import signal

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Let both signals raise KeyboardInterrupt, also where the shell started the session in the background."""
    del config
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.default_int_handler)
