"""A plugin of pytest: SIGTERM ends a session as Ctrl-C does, so that its clusters, programs and folders are removed."""

from __future__ import annotations

import signal

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Let both signals raise KeyboardInterrupt. A shell lets what it starts in the background ignore Ctrl-C otherwise."""
    del config
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.default_int_handler)
