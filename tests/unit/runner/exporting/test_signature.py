"""Signatures of requests to S3, by the examples that AWS has published.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scanplan.runner.exporting.signature import Credentials, sign

CREDENTIALS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2013, 5, 24, tzinfo=UTC)
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("method", "path", "headers", "digest", "signature"),
    [
        (
            "GET",
            "/test.txt",
            {"range": "bytes=0-9"},
            EMPTY,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
    ],
)
def test_the_published_examples(method: str, path: str, headers: dict[str, str], digest: str, signature: str) -> None:
    url = f"https://examplebucket.s3.amazonaws.com{path}"
    signed = sign(method, url, headers, digest, CREDENTIALS, "us-east-1", NOW)
    assert signed["authorization"].endswith(f"Signature={signature}")
    assert "/20130524/us-east-1/s3/aws4_request" in signed["authorization"]


def test_a_session_token_is_signed_and_no_secret_is_in_a_representation() -> None:
    credentials = Credentials("key", "hunter2", "session")
    signed = sign("GET", "http://127.0.0.1:9000/b/k", {}, EMPTY, credentials, "us-east-1", NOW)
    assert signed["x-amz-security-token"] == "session"
    assert "x-amz-security-token" in signed["authorization"]
    assert "hunter2" not in repr(credentials) + str(signed)
