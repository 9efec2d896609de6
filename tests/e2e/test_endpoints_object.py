"""A plan whose endpoints are an object of an S3 server: real pods of a restricted namespace ask a real server, with a Secret."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import s3
from tests.e2e.stage import EXPOSED, ONCE, Stage, templates
from tests.e2e.test_endpoints_file import HOSTS, plan
from tests.e2e.test_secrets import certificate, secret
from tests.fixtures.s3 import BUCKET, SECRET_KEY

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(stage: Stage) -> s3.Server:
    secret(stage, "endpoints-file", s3.CREDENTIALS)
    return s3.start(stage)


def source(server: s3.Server, key: str, content: str) -> dict[str, Any]:
    """The entry in `endpointsFrom` for an object with this content."""
    lists = {"endpoint": server.endpoint, "bucket": BUCKET, "key": key}
    file = {"sha256": hashlib.sha256(content.encode()).hexdigest(), "endpoints": 10}
    return {"s3File": {**lists, **file, "credentialsFrom": {"secretRef": {"name": "own-endpoints-file"}}}}


def test_each_shard_scans_its_part_of_an_object_and_the_status_counts_it(stage: Stage, server: s3.Server) -> None:
    stage.web_application(*HOSTS[1:])
    endpoints = [stage.endpoint(host) for host in HOSTS]
    content = "\n".join(["# all of them", *endpoints, endpoints[0], "ftp://c.example", "http://169.254.169.254/latest"])
    server.put("lists/hosts.txt", content)
    plan(stage, "of-an-object", source(server, "lists/hosts.txt", content), sharding={"maxEndpointsPerShard": 5})
    status = stage.ends("of-an-object", "Completed")
    assert status["shards"]["succeeded"] == 2
    assert status["endpointCount"] == status["endpointsScanned"] == 3
    assert (status["endpointsFile"]["refused"], status["endpointsFile"]["duplicates"]) == (2, 1)
    assert templates(stage.findings(status)) == sorted([*EXPOSED] * 3)
    assert len([path for path in stage.shard_findings(status["artifacts"]["path"]) if stage.read(path)]) == 2
    for host in HOSTS:
        assert set(stage.requests(host).values()) == {1}, f"{host} was asked for something twice"
    assert SECRET_KEY not in str([status, stage.jobs("of-an-object"), stage.pods("of-an-object")])


def test_an_object_that_is_missing_or_another_one_ends_the_scan_with_what_to_do(
    stage: Stage, server: s3.Server
) -> None:
    """A scan that asks the server again and again, or one of another list, helps nobody."""
    server.put("changed.txt", "a.example\n")
    plan(stage, "changed-object", source(server, "changed.txt", "b.example\n"))
    plan(stage, "no-object", source(server, "nowhere.txt", ""))
    for name, reason, told in (
        ("changed-object", "InputsChanged", "write the other digest into the plan"),
        ("no-object", "InputUnavailable", "answered 404"),
    ):
        status = stage.ends(name, "Failed")
        assert (status["error"]["reason"], status["attempts"]) == (reason, 1)
        assert told in status["error"]["message"]


def test_a_server_whose_certificate_is_of_an_unknown_authority_gets_no_request(stage: Stage, tmp_path: Path) -> None:
    """Lost otherwise: the list, to who stands between; and the way to mend it."""
    private = s3.start(stage, certificate(tmp_path))
    plan(stage, "untrusted", source(private, "hosts.txt", ""), retry=ONCE)
    error = stage.ends("untrusted", "Failed")["error"]
    assert error["reason"] == "NetworkUnavailable"
    assert "the receiver's certificate can't be trusted: self-signed certificate" in error["message"]
