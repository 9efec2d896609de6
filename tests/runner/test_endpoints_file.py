"""Scans whose endpoints are in a file: the real runner takes its part of it, and tells what it has left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanplan.api.documents.task import Bucket, EndpointsFile
from scanplan.api.documents.words import EndpointsFileReport
from scanplan.api.exit_codes import ExitCode
from tests.fixtures.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, s3_server
from tests.fixtures.scans import WebApplication

from .conftest import Bench, identity

SHARDS = 4
"""The two hosts are in the first and in the last of them."""


@pytest.fixture
def file(bench: Bench, webapp: WebApplication, tmp_path: Path) -> Path:
    """A file with two hosts, and lines of all that may be wrong; the bench's plan has nothing else."""
    hosts = (webapp.url, f"http://localhost:{webapp.port}")
    lines = ["# two hosts", *hosts, hosts[0].upper().replace("HTTP", "http"), "ftp://c.example", "169.254.169.254"]
    path = tmp_path / "hosts.txt"
    path.write_text("\n".join(lines))
    options: dict[str, Any] = {
        "endpoints_file": EndpointsFile(
            root=str(path.parent),
            path=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            most=100,
            most_addresses=0,
        ),
        "shards": SHARDS,
        "templates": ("http/exposures/",),
        "denied_targets": ("169.254.0.0/16",),
    }
    bench.endpoints, bench.options = (), options
    return path


def test_each_host_is_scanned_once_and_the_counts_are_told(bench: Bench, file: Path, webapp: WebApplication) -> None:
    attempts = [bench.attempt(index) for index in range(SHARDS)]
    assert [attempt.code for attempt in attempts] == [ExitCode.OK] * SHARDS
    told = attempts[-1].report
    assert told is not None
    assert told.merged is not None
    assert told.merged.complete
    assert told.merged.endpoints_scanned == 2
    assert told.merged.endpoints_file == EndpointsFileReport(
        endpoints=2,
        refused=2,
        duplicates=1,
        examples=told.merged.endpoints_file.examples if told.merged.endpoints_file else (),
    )
    assert sorted(finding["host"] for finding in bench.findings()) == ["127.0.0.1"] * 3 + ["localhost"] * 3
    assert len({identity(finding) for finding in bench.findings()}) == 6
    asked = webapp.requests()
    file.unlink()
    again = bench.attempt(SHARDS - 1)
    assert again.code == ExitCode.OK
    assert again.report is not None
    assert again.report.replayed
    assert again.report.merged == told.merged
    assert webapp.requests() == asked


def test_another_file_than_the_plan_means_ends_the_scan_for_good(
    bench: Bench, file: Path, webapp: WebApplication
) -> None:
    before = webapp.requests()
    file.write_text("http://elsewhere.example\n")
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "InputsChanged")
    assert webapp.requests() == before
    file.unlink()
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "InputUnavailable")


def test_a_collector_merges_without_the_file(bench: Bench, file: Path) -> None:
    """Otherwise what a scan has found is lost with a list that somebody has removed since."""
    for index in range(SHARDS - 1):
        bench.attempt(index)
    file.unlink()
    document = bench.options
    bench.options = {}
    collected = bench.attempt(0, "collect")
    bench.options = document
    assert collected.report is not None
    assert collected.report.merged is not None
    assert not collected.report.merged.complete
    assert collected.report.merged.shards == SHARDS - 1
    assert len(bench.findings()) == collected.report.merged.findings.total > 0


@pytest.fixture
def server(bench: Bench, file: Path, tmp_path: Path) -> Iterator[S3Server]:
    """An S3 server that has the file; the bench's plan names it there, and has its access key."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "AWS_ACCESS_KEY_ID").write_text(ACCESS_KEY)
    (secret / "AWS_SECRET_ACCESS_KEY").write_text(SECRET_KEY)
    with s3_server(tmp_path / "buckets") as found:
        lists = found.folder / BUCKET / "lists"
        lists.mkdir()
        file.rename(lists / "hosts of 2026.txt")
        bench.options["endpoints_file"] = msgspec.structs.replace(
            bench.options["endpoints_file"],
            root="",
            path="lists/hosts of 2026.txt",
            bucket=Bucket(endpoint=found.endpoint, name=BUCKET, region="us-east-1", secret=str(secret)),
        )
        yield found


def test_an_object_of_a_real_server_is_scanned_as_a_file_is(bench: Bench, server: S3Server) -> None:
    attempts = [bench.attempt(index) for index in range(SHARDS)]
    assert [attempt.code for attempt in attempts] == [ExitCode.OK] * SHARDS
    assert server.objects()
    told = attempts[-1].report
    assert told is not None
    assert told.merged is not None
    assert told.merged.endpoints_file is not None
    assert (told.merged.endpoints_file.endpoints, told.merged.endpoints_file.refused) == (2, 2)
    assert sorted(finding["host"] for finding in bench.findings()) == ["127.0.0.1"] * 3 + ["localhost"] * 3


def test_what_a_real_server_refuses_ends_the_scan_and_names_no_secret(
    bench: Bench, server: S3Server, tmp_path: Path
) -> None:
    key, (content,) = bench.options["endpoints_file"].path, server.objects().values()
    (server.folder / BUCKET / key).write_bytes(content + b"http://elsewhere.example")
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "InputsChanged")
    (server.folder / BUCKET / key).unlink()
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "InputUnavailable")
    assert attempt.report
    assert attempt.report.error
    assert "answered 404" in attempt.report.error.message
    (tmp_path / "secret/AWS_SECRET_ACCESS_KEY").write_text("hunter3-is-wrong")
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "InputUnavailable")
    assert attempt.report
    assert attempt.report.error
    assert "answered 403" in attempt.report.error.message
    assert "hunter" not in attempt.report.error.message


def test_a_server_that_is_down_is_tried_again(bench: Bench, file: Path) -> None:
    wanted = msgspec.structs.replace(
        bench.options["endpoints_file"],
        root="",
        path=file.name,
        bucket=Bucket(endpoint="http://127.0.0.1:9", name=BUCKET, region="us-east-1"),
    )
    bench.options["endpoints_file"] = wanted
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.TEMPORARY, "NetworkUnavailable")
