"""All files of a result as objects of a bucket, the record of the scan last: who finds it finds the others.

An object that is there with the same checksum is not sent again. Requests are signed over the digest of the content, so the server
refuses what has changed on the way.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from scanplan.api import layout
from scanplan.api.documents.export import Destination, S3Target
from scanplan.api.documents.report import ArtifactFile
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.exporting import secrets, signature
from scanplan.runner.exporting.http import Answer, Body, Client
from scanplan.runner.exporting.result import Result
from scanplan.runner.exporting.trouble import Trouble, refused

MOST_BYTES = 5 << 30
"""Of an object that is sent by one request (S3's own bound)."""
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of a request without body."""
_TYPES = {".ndjson": "application/x-ndjson", ".json": "application/json", ".html": "text/html; charset=utf-8"}


def send(target: S3Target, export: Destination, result: Result, client: Client) -> str:
    """Put what is not there yet; returns what was done.

    Raises:
        Trouble: a file was not taken.
    """
    bucket = _Bucket(target, export, client)
    sent = 0
    for file in _in_order(result.document.files):
        if file.bytes > MOST_BYTES:
            message = f"{file.name} has {file.bytes:,} bytes, more than an S3 server takes at once"
            raise Trouble(Reason.RECEIVER_REFUSED, message)
        body = result.body(file)
        if bucket.has(file):
            continue
        bucket.put(file, body)
        sent += 1
    return f"put {sent} of {len(result.document.files)} objects; the others are there"


def _in_order(files: Sequence[ArtifactFile]) -> list[ArtifactFile]:
    return sorted(files, key=lambda file: file.name == layout.METADATA)


class _Bucket:
    def __init__(self, target: S3Target, export: Destination, client: Client) -> None:
        self._target = target
        self._client = client
        self._credentials = credentials(export.secret)

    def has(self, file: ArtifactFile) -> bool:
        """Whether the object is there with this content. Who may only write learns nothing, and puts it."""
        answer = self._request("HEAD", file, EMPTY, {"x-amz-checksum-mode": "ENABLED"})
        if answer.status in {403, 404}:
            return False
        if not answer.ok:
            raise refused(answer.status, answer.retry_after, f"HEAD of {file.name}")
        return answer.headers.get("x-amz-checksum-sha256") == _checksum(file)

    def put(self, file: ArtifactFile, body: Body) -> None:
        """Put an object."""
        kind = next((kind for end, kind in _TYPES.items() if file.name.endswith(end)), "application/octet-stream")
        headers = {"content-type": kind, "x-amz-checksum-sha256": _checksum(file)}
        answer = self._request("PUT", file, file.sha256, headers, body)
        if not answer.ok:
            raise refused(answer.status, answer.retry_after, f"PUT of {file.name}")

    def _request(
        self, method: str, file: ArtifactFile, digest: str, headers: dict[str, str], body: Body | None = None
    ) -> Answer:
        url = url_of(self._target.endpoint, self._target.bucket, f"{self._target.folder}{file.name}")
        signed = signature.sign(method, url, headers, digest, self._credentials, self._target.region, datetime.now(UTC))
        return self._client.request(method, url, signed, body)


def url_of(endpoint: str, bucket: str, key: str) -> str:
    """The URL of an object. Buckets are addressed by path."""
    return f"{endpoint}{quote(f'/{bucket}/{key}', safe='/-._~')}"


def credentials(folder: str) -> signature.Credentials:
    """The access key of a Secret, as the pod has it.

    Raises:
        Trouble: it is not there, or can be no header.
    """
    return signature.Credentials(
        access_key=secrets.value(folder, "AWS_ACCESS_KEY_ID"),
        secret_key=secrets.value(folder, "AWS_SECRET_ACCESS_KEY"),
        token=secrets.value(folder, "AWS_SESSION_TOKEN", needed=False),
    )


def _checksum(file: ArtifactFile) -> str:
    return base64.b64encode(bytes.fromhex(file.sha256)).decode()
