"""The exporter as a process: what it sends to real servers, what it makes of their answers, and what a repetition changes."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanplan.api import environment, layout
from scanplan.api.documents.export import (
    DefectDojoTarget,
    Destination,
    ExportDocument,
    ExportReport,
    HttpTarget,
    S3Target,
    decode_report,
)
from scanplan.api.documents.report import TERMINATION_MESSAGE_BYTES
from scanplan.api.documents.words import ExportFormat, PlanReference, encode
from scanplan.api.exit_codes import ExitCode
from scanplan.runner.artifacts import run_record
from tests.fixtures.receivers import Answer, HttpReceiver, http_receiver
from tests.fixtures.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, s3_server
from tests.unit.runner.artifacts.merging.test_merge import TWO, merged, published
from tests.unit.runner.documents import finding

TOKEN = "hunter2-is-secret"
OK, FAILED, AGAIN = ExitCode.OK, ExitCode.SHARD_FATAL, ExitCode.TEMPORARY


@dataclass
class Place:
    """A published result, and what an export pod has beside it."""

    folder: Path
    result: Path
    document: ExportDocument

    def start(
        self, export: Destination, secrets: Mapping[str, str] | None = None, denied: tuple[str, ...] = ()
    ) -> subprocess.Popen[str]:
        told = msgspec.structs.replace(self.document, exports=(export,), denied_targets=denied)
        task, kept = self.folder / "task", self.folder / "secret"
        for path in (task, kept):
            path.mkdir(exist_ok=True)
        (task / environment.TASK_FILE).write_bytes(encode(told))
        for name, value in (secrets or {}).items():
            (kept / name).write_text(value)
        return subprocess.Popen(
            [sys.executable, "-m", "scanplan.runner", "export"],
            env={
                **os.environ,
                environment.TASK_DIRECTORY: str(task),
                environment.RESULT_DIRECTORY: str(self.result),
                environment.TERMINATION_LOG: str(self.folder / "log"),
                environment.COMPLETION_INDEX: "0",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(
        self, export: Destination, secrets: Mapping[str, str] | None = None, denied: tuple[str, ...] = ()
    ) -> tuple[int, str]:
        """Exit code and reason of an attempt."""
        process = self.start(export, secrets, denied)
        said, _ = process.communicate()
        report = self.report()
        assert TOKEN not in said + report.message
        return process.returncode, report.reason.value

    def report(self) -> ExportReport:
        content = (self.folder / "log").read_text()
        assert len(content.encode()) <= TERMINATION_MESSAGE_BYTES
        report = decode_report(content)
        assert report
        return report

    def secret(self) -> str:
        return str(self.folder / "secret")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    run = tmp_path / "run"
    run.mkdir()
    task = TWO
    run_record.enter(run, task, 0.0)
    published(run, task, 0, finding("one"), finding("two", severity="critical"))
    published(run, task, 1, finding("three", at="http://b.example/y", host="b.example"))
    files = merged(run, task).files
    return Place(
        tmp_path,
        run_record.task_folder(run, task),
        ExportDocument(
            plan=PlanReference(namespace="team", name="nightly-1"),
            run_id="nightly",
            complete=True,
            files=files,
            exports=(Destination(name="x", key="k", target=HttpTarget(url="http://x", format=ExportFormat.CSV)),),
        ),
    )


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    with s3_server(tmp_path / "buckets") as found:
        yield found


def http(receiver: HttpReceiver, form: ExportFormat = ExportFormat.JSONL, **changes: Any) -> Destination:
    target = HttpTarget(url=receiver.url("/in?team=shop", host=changes.pop("host", "127.0.0.1")), format=form)
    return Destination(**{"name": "archive", "key": "k" * 32, "target": target, **changes})


def bucket(place: Place, server: S3Server, **changes: Any) -> Destination:
    target = S3Target(
        **{
            "endpoint": server.endpoint,
            "bucket": BUCKET,
            "region": "us-east-1",
            "folder": "a/team/nightly/0a/",
            **changes,
        }
    )
    return Destination(name="bucket", key="k", target=target, secret=place.secret())


def dojo(place: Place, receiver: HttpReceiver) -> Destination:
    target = DefectDojoTarget(
        url=receiver.url(""), product="Shop \N{SNOWMAN}", engagement="Nightly", test="ScanPlan team/nightly"
    )
    return Destination(name="dojo", key="k", target=target, secret=place.secret())


# HTTP


def test_findings_go_out_in_each_format(place: Place, receiver: HttpReceiver) -> None:
    for form in ExportFormat:
        assert place.run(http(receiver, form)) == (OK, "Exported")
    json_, jsonl, sarif, csv = receiver.requests
    original = (place.result / layout.FINDINGS).read_bytes()
    assert jsonl.body == original
    assert json.loads(json_.body) == [json.loads(line) for line in original.splitlines()]
    (run,) = json.loads(sarif.body)["runs"]
    assert {result["ruleId"] for result in run["results"]} == {"one", "two", "three"}
    assert len(csv.body.splitlines()) == 4
    kinds = [request.headers["content-type"].partition(";")[0] for request in receiver.requests]
    assert kinds == ["application/json", "application/x-ndjson", "application/sarif+json", "text/csv"]


def test_a_request_says_what_it_brings(place: Place, receiver: HttpReceiver) -> None:
    export = http(receiver, secret=place.secret())
    assert place.run(export, {"authorization": f"Bearer {TOKEN}\n"}) == (OK, "Exported")
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/in?team=shop")
    digest = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
    assert request.headers["content-digest"] == f"sha-256=:{digest}:"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    told = {name: value for name, value in request.headers.items() if name.startswith("scanplan-")}
    assert told == {
        "scanplan-namespace": "team",
        "scanplan-name": "nightly-1",
        "scanplan-run": "nightly",
        "scanplan-complete": "true",
    }


@pytest.mark.parametrize("form", ExportFormat)
def test_a_repetition_has_the_same_key_and_the_same_bytes(
    place: Place, receiver: HttpReceiver, form: ExportFormat
) -> None:
    receiver.answers.append(Answer(500))
    assert place.run(http(receiver, form)) == (AGAIN, "ReceiverRefused")
    assert place.run(http(receiver, form)) == (OK, "Exported")
    first, second = receiver.requests
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_a_scan_without_findings_is_an_empty_list(place: Place, receiver: HttpReceiver, tmp_path: Path) -> None:
    run = tmp_path / "empty"
    run.mkdir()
    run_record.enter(run, TWO, 0.0)
    for shard in (0, 1):
        published(run, TWO, shard)
    empty = merged(run, TWO)
    place.result = run_record.task_folder(run, TWO)
    place.document = msgspec.structs.replace(place.document, files=empty.files)
    for form in ExportFormat:
        assert place.run(http(receiver, form)) == (OK, "Exported")
    json_, jsonl, sarif, csv = receiver.requests
    assert json.loads(json_.body) == []
    assert jsonl.body == b""
    assert json.loads(sarif.body)["runs"][0]["results"] == []
    assert len(csv.body.splitlines()) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(400), FAILED),
        (Answer(401), FAILED),
        (Answer(403), FAILED),
        (Answer(404), FAILED),
        (Answer(302, {"Location": "http://127.0.0.1:1/"}), FAILED),
        (Answer(307, {"Location": "http://127.0.0.1:1/"}), FAILED),
        (Answer(409), AGAIN),
        (Answer(429, {"Retry-After": "1"}), AGAIN),
        (Answer(500), AGAIN),
        (Answer(503), AGAIN),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else "",
)
def test_an_answer_decides_whether_it_is_tried_again(
    place: Place, receiver: HttpReceiver, answer: Answer, code: ExitCode
) -> None:
    receiver.always = answer
    assert place.run(http(receiver)) == (code, "ReceiverRefused")
    assert str(answer.status) in place.report().message
    assert len(receiver.requests) == 1


def test_a_closed_connection_is_tried_again(place: Place, receiver: HttpReceiver) -> None:
    receiver.always = Answer(close=True)
    assert place.run(http(receiver)) == (AGAIN, "ReceiverUnreachable")
    receiver.stop()
    assert place.run(http(receiver)) == (AGAIN, "ReceiverUnreachable")


@pytest.mark.parametrize(
    ("host", "denied"),
    [("127.0.0.1", ("127.0.0.0/8",)), ("localhost", ("127.0.0.0/8", "::1/128")), ("2130706433", ("127.0.0.0/8",))],
)
def test_a_denied_address_is_refused_after_dns(
    place: Place, receiver: HttpReceiver, host: str, denied: tuple[str, ...]
) -> None:
    """Lost otherwise: a name of the allow-list that its owner points to the API server."""
    assert place.run(http(receiver, host=host), denied=denied) == (FAILED, "ReceiverDenied")
    assert not receiver.requests


def test_metadata_services_are_refused_whatever_the_owner_allows(place: Place) -> None:
    target = HttpTarget(url="http://169.254.169.254/latest", format=ExportFormat.JSONL)
    assert place.run(Destination(name="x", key="k", target=target)) == (FAILED, "ReceiverDenied")


@pytest.mark.parametrize(
    ("secrets", "reason"),
    [
        ({}, "SecretUnavailable"),
        ({"authorization": ""}, "ReceiverInvalid"),
        ({"authorization": f"{TOKEN}\r\nX-More: 1"}, "ReceiverInvalid"),
        ({"authorization": f"{TOKEN}\N{SNOWMAN}"}, "ReceiverInvalid"),
    ],
)
def test_a_value_that_can_be_no_header_is_not_sent(
    place: Place, receiver: HttpReceiver, secrets: dict[str, str], reason: str
) -> None:
    assert place.run(http(receiver, secret=place.secret()), secrets) == (FAILED, reason)
    assert not receiver.requests


@pytest.mark.parametrize("change", ["longer", "other", "gone", "link"])
def test_what_was_changed_on_the_claim_is_not_sent(place: Place, receiver: HttpReceiver, change: str) -> None:
    path = place.result / layout.FINDINGS
    content = path.read_bytes()
    path.unlink()
    match change:
        case "longer":
            path.write_bytes(content + b"{}\n")
        case "other":
            path.write_bytes(content.replace(b"one", b"two"))
        case "link":
            (place.folder / "copy").write_bytes(content)
            path.symlink_to(place.folder / "copy")
        case _:
            pass
    for form in ExportFormat:
        assert place.run(http(receiver, form)) == (FAILED, "ArtifactsChanged")
    assert not receiver.requests


def test_a_pod_that_is_told_to_go_costs_no_retry(place: Place, receiver: HttpReceiver) -> None:
    receiver.always = Answer(hang=True)
    process = place.start(http(receiver))
    receiver.hook = lambda _: process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == ExitCode.INTERRUPTED


# S3


def test_all_files_are_in_the_bucket_and_a_repetition_writes_nothing(place: Place, server: S3Server) -> None:
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    assert place.run(bucket(place, server), keys) == (OK, "Exported")
    names = {layout.FINDINGS, layout.HISTORY, layout.METADATA, layout.REPORT}
    expected = {f"a/team/nightly/0a/{name}": (place.result / name).read_bytes() for name in names}
    assert server.objects() == expected
    before = server.written()
    assert place.run(bucket(place, server), keys) == (OK, "Exported")
    assert server.written() == before


def test_an_object_that_was_changed_is_put_again(place: Place, server: S3Server) -> None:
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    assert place.run(bucket(place, server), keys) == (OK, "Exported")
    key = f"a/team/nightly/0a/{layout.METADATA}"
    (server.folder / BUCKET / key).unlink()
    assert place.run(bucket(place, server), keys) == (OK, "Exported")
    assert server.objects()[key] == (place.result / layout.METADATA).read_bytes()


@pytest.mark.parametrize(
    ("change", "keys", "code", "reason"),
    [
        ({}, {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": "other"}, FAILED, "ReceiverRefused"),
        ({}, {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": SECRET_KEY}, FAILED, "ReceiverRefused"),
        ({}, {"AWS_ACCESS_KEY_ID": ACCESS_KEY}, FAILED, "SecretUnavailable"),
        (
            {"bucket": "missing"},
            {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
            FAILED,
            "ReceiverRefused",
        ),
        (
            {"region": "eu-central-1"},
            {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
            FAILED,
            "ReceiverRefused",
        ),
    ],
    ids=["wrong-secret", "nobody", "no-key", "no-bucket", "other-region"],
)
def test_what_a_bucket_refuses_is_not_tried_again(
    place: Place, server: S3Server, change: dict[str, str], keys: dict[str, str], code: ExitCode, reason: str
) -> None:
    assert place.run(bucket(place, server, **change), keys) == (code, reason)
    assert server.objects() == {}


# DefectDojo


def test_defectdojo_gets_the_form_of_a_reimport(place: Place, receiver: HttpReceiver) -> None:
    """No day of the scan: DefectDojo would refuse it around midnight, wherever its own day is not the same yet."""
    receiver.always = Answer(201)
    for _ in range(2):
        assert place.run(dojo(place, receiver), {"token": TOKEN}) == (OK, "Exported")
    first, second = receiver.requests
    assert first.body == second.body
    assert first.path == "/api/v2/reimport-scan/"
    assert first.headers["authorization"] == f"Token {TOKEN}"
    fields = form_of(first.headers["content-type"], first.body)
    assert fields.pop("file") == (place.result / layout.FINDINGS).read_bytes()
    assert {name: value.decode() for name, value in fields.items()} == {
        "scan_type": "Nuclei Scan",
        "product_name": "Shop \N{SNOWMAN}",
        "engagement_name": "Nightly",
        "test_title": "ScanPlan team/nightly",
        "auto_create_context": "true",
        "close_old_findings": "true",
        "minimum_severity": "Info",
        "version": "v3",
    }


@pytest.mark.parametrize(("status", "code"), [(400, FAILED), (403, FAILED), (404, FAILED), (502, AGAIN)])
def test_what_defectdojo_answers(place: Place, receiver: HttpReceiver, status: int, code: ExitCode) -> None:
    receiver.always = Answer(status)
    assert place.run(dojo(place, receiver), {"token": TOKEN}) == (code, "ReceiverRefused")


def form_of(content_type: str, body: bytes) -> dict[str, bytes]:
    """The fields of a form, as Python's own parser reads them."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message: Any = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    fields: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        fields[name] = part.get_payload(decode=True)
        if name == "file":
            assert part.get_filename().endswith(".jsonl"), "DefectDojo takes no file that ends otherwise"
    return fields
