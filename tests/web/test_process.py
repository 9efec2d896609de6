"""`scanplan api` as the process that people start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest
import urllib3

from tests.client.laboratory import Laboratory
from tests.kubectl import eventually


def test_it_serves_until_it_is_told_to_stop(laboratory: Laboratory) -> None:
    assert laboratory.data
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {**os.environ, "SCANPLAN_API_AUTHENTICATION": "none", "SCANPLAN_API_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "scanplan", "api"], env=variables, stderr=subprocess.PIPE, text=True
    )
    http = urllib3.PoolManager(retries=False, timeout=120)

    def ready() -> bool:
        assert process.poll() is None
        try:
            return http.request("GET", f"http://127.0.0.1:{port}/readyz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    eventually(ready)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "whoever reaches port" in log


@pytest.mark.parametrize("occupied", [True, False])
def test_what_keeps_it_from_starting_is_said_in_a_line(laboratory: Laboratory, occupied: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        variables = {**os.environ, "SCANPLAN_API_PORT": str(taken.getsockname()[1]), "KUBECONFIG": "/nonexistent"}
        if occupied:
            variables["SCANPLAN_API_AUTHENTICATION"] = "none"
        command = [sys.executable, "-m", "scanplan", "api"]
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, check=False, cwd=laboratory.folder
        )
    assert done.returncode == os.EX_UNAVAILABLE
    assert "Traceback" not in done.stderr
    assert ("address already in use" if occupied else "there is no cluster to talk to") in done.stderr
