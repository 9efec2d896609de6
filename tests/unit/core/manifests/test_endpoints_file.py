"""A plan whose endpoints are in a file on its claim: everything that the operator decides without reading it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from scanplan.api import environment, labels
from scanplan.api.documents.report import MergedResult
from scanplan.api.documents.task import Bucket, EndpointsFile
from scanplan.api.documents.words import EndpointsFileReport
from scanplan.api.errors import InputUnavailable, InvalidPlan
from scanplan.core.discovery.selection import Selection
from scanplan.core.manifests import document, jobs, pod
from scanplan.core.planning import sources
from scanplan.core.planning.task import Plan
from scanplan.core.status import statuses
from tests.unit.core.objects import CLAIM, NOW, POLICY, Status, complete, merged, plan, report, task

DIGEST = "ab" * 32
MILLION = 1_000_000


def of_file(path: str = "hosts.txt", sha256: str = DIGEST, endpoints: int = MILLION, **spec: Any) -> Plan:
    """A plan of a file; the usual sharding has one endpoint a shard."""
    file = {"path": path, "sha256": sha256, "endpoints": endpoints}
    return plan(**{"endpoints": [], "endpointsFrom": [{"claimFile": file}], **spec})


def test_nothing_of_the_file_is_asked_for() -> None:
    """Otherwise the operator's memory grows with the lists of its tenants."""
    of = of_file()
    assert sources.needed(of.spec, of.namespace, POLICY.claim_name, POLICY) == (CLAIM,)
    assert task(of).document.endpoints == ()
    assert not task(of).document.confidential


def test_the_key_is_that_of_the_content() -> None:
    """Otherwise a file that was moved is scanned again, or one that was changed is not."""
    key = task(of_file()).key
    assert task(of_file("moved/elsewhere.txt", endpoints=10)).key == key
    assert task(of_file(sha256="cd" * 32)).key != key
    assert task(plan()).key.split(":")[:3] == key.split(":")[:3]


@pytest.mark.parametrize(
    ("endpoints", "most", "shards"), [(1, 250, 1), (251, 250, 2), (MILLION, 10_000, 100), (MILLION, 250, 1_000)]
)
def test_shards_follow_from_what_the_plan_says(endpoints: int, most: int, shards: int) -> None:
    made = task(of_file(endpoints=endpoints, sharding={"maxEndpointsPerShard": most}))
    assert made.document.shards == shards


def test_the_job_knows_how_many_endpoints_there_may_be() -> None:
    """The deadline that is derived must be long enough for all of them."""
    few, many = of_file(endpoints=1_000), of_file()
    manifests = [jobs.build(task(of), of, POLICY) for of in (few, many)]
    deadlines = [manifest["spec"]["activeDeadlineSeconds"] for manifest in manifests]
    assert deadlines[0] < deadlines[1]
    assert [manifest["metadata"]["annotations"][labels.ENDPOINT_COUNT] for manifest in manifests] == ["1000", "1000000"]
    assert all(len(json.dumps(manifest)) < 16 << 10 for manifest in manifests)


@pytest.mark.parametrize(
    ("path", "folder", "name"),
    [
        ("hosts.txt", "endpoints", "hosts.txt"),
        ("acme/2026/hosts.txt", "endpoints/acme/2026", "hosts.txt"),
    ],
)
def test_a_pod_sees_the_files_folder_read_only_and_no_more_of_the_claim(path: str, folder: str, name: str) -> None:
    """Otherwise a scan reads the results of others, or changes the list that others scan."""
    of = of_file(path)
    made = task(of)
    template = pod.build(made, of.spec.pod_template, POLICY, document.pack(made, made.job_name))
    (container,) = template["spec"]["containers"]
    mounts = [mount for mount in container["volumeMounts"] if mount["name"] == "claim"]
    assert mounts == [
        {"name": "claim", "mountPath": environment.RUN_MOUNT, "subPath": "ui_projects/nightly"},
        {"name": "claim", "subPath": folder, "mountPath": "/etc/scanplan/endpoints", "readOnly": True},
    ]
    assert made.document.endpoints_file == EndpointsFile(
        root="/etc/scanplan/endpoints", path=name, sha256=DIGEST, most=MILLION, most_addresses=65_536
    )


def of_image(reference: str = "registry.example/lists@sha256:1", **changes: Any) -> Plan:
    """A plan of a file in an image."""
    file = {"reference": reference, "path": "acme/hosts.txt", "sha256": DIGEST, "endpoints": MILLION, **changes}
    return plan(endpoints=[], endpointsFrom=[{"imageFile": file}])


ALLOWING = replace(POLICY, allowed_images=("registry.example/*",))


def test_a_file_of_an_image_is_mounted_read_only() -> None:
    of = of_image(pullPolicy="Always")
    made = task(of, ALLOWING)
    template = pod.build(made, of.spec.pod_template, ALLOWING, document.pack(made, made.job_name))
    (volume,) = (volume for volume in template["spec"]["volumes"] if volume["name"] == "endpoints")
    assert volume["image"] == {"reference": "registry.example/lists@sha256:1", "pullPolicy": "Always"}
    (mount,) = (mount for mount in template["spec"]["containers"][0]["volumeMounts"] if mount["name"] == "endpoints")
    assert mount == {"name": "endpoints", "mountPath": "/etc/scanplan/endpoints", "readOnly": True}
    assert made.document.endpoints_file == EndpointsFile(
        root="/etc/scanplan/endpoints", path="acme/hosts.txt", sha256=DIGEST, most=MILLION, most_addresses=65_536
    )


def test_the_same_content_is_the_same_scan_wherever_it_is() -> None:
    assert task(of_image(), ALLOWING).key == task(of_file()).key


def test_an_image_must_be_allowed() -> None:
    """Otherwise a tenant has nodes pull, and mount, any image."""
    with pytest.raises(InvalidPlan, match=r"endpointsFrom image 'evil:1' is not on the operator's allow-list"):
        task(of_image("evil:1"), ALLOWING)


def of_object(**changes: Any) -> Plan:
    """A plan of a file on an S3 server."""
    file = {
        "endpoint": "https://s3.example.com/",
        "bucket": "lists",
        "key": "acme/hosts.txt",
        "sha256": DIGEST,
        "endpoints": MILLION,
        **changes,
    }
    return plan(endpoints=[], endpointsFrom=[{"s3File": file}])


LISTED = replace(POLICY, export_hosts=("s3.example.com",))
WITH_SECRET = of_object(credentialsFrom={"secretRef": {"name": "reader"}})
SECRET = sources.Reference(sources.Kind.SECRET, "reader", labels.USE_ENDPOINTS_FILE)


def test_an_object_is_asked_for_by_pods_alone() -> None:
    of = of_object()
    assert sources.needed(of.spec, of.namespace, LISTED.claim_name, LISTED) == (CLAIM,)
    made = task(of, LISTED)
    template = pod.build(made, of.spec.pod_template, LISTED, document.pack(made, made.job_name))
    assert "/etc/scanplan/endpoints" not in json.dumps(template["spec"])
    assert made.document.endpoints_file == EndpointsFile(
        path="acme/hosts.txt",
        bucket=Bucket(endpoint="https://s3.example.com", name="lists", region="us-east-1"),
        sha256=DIGEST,
        most=MILLION,
        most_addresses=65_536,
    )
    assert made.key == task(of_file()).key


def with_secret(use: str) -> dict[sources.Reference | Selection, sources.Input]:
    """The access key, labelled for a use."""
    files = {"AWS_ACCESS_KEY_ID": b"reader", "AWS_SECRET_ACCESS_KEY": b"hunter2"}
    return {
        CLAIM: sources.Input(access_modes=("ReadWriteMany",)),
        SECRET: sources.Input(files=files, labels={labels.USE: use}),
    }


def test_an_access_key_is_mounted_and_in_no_document() -> None:
    assert SECRET in sources.needed(WITH_SECRET.spec, WITH_SECRET.namespace, LISTED.claim_name, LISTED)
    made = task(WITH_SECRET, LISTED, inputs=with_secret(labels.USE_ENDPOINTS_FILE))
    template = pod.build(made, WITH_SECRET.spec.pod_template, LISTED, document.pack(made, made.job_name))
    assert {"name": "endpoints-file", "secret": {"secretName": "reader"}} in template["spec"]["volumes"]
    mount = {"name": "endpoints-file", "mountPath": "/etc/scanplan/endpoints-file", "readOnly": True}
    assert mount in template["spec"]["containers"][0]["volumeMounts"]
    assert made.document.endpoints_file
    assert made.document.endpoints_file.bucket
    assert made.document.endpoints_file.bucket.secret == mount["mountPath"]
    assert "hunter2" not in json.dumps(template)
    assert made.key == task(of_object(), LISTED).key


def test_a_secret_for_another_use_is_not_sent_to_the_server() -> None:
    with pytest.raises(InputUnavailable, match=r"label it scanplan\.dev/use=endpoints-file"):
        task(WITH_SECRET, LISTED, inputs=with_secret(labels.USE_HEADERS))


@pytest.mark.parametrize(
    ("endpoint", "hosts", "why"),
    [
        ("https://s3.example.com", (), "its owner can add it"),
        ("https://elsewhere.example.com", ("s3.example.com",), r"exports\.allowedHosts"),
        ("http://169.254.169.254", ("*",), "metadata address"),
        ("http://0xA9FEA9FE", ("*",), "metadata address"),
        ("http://kubernetes.default.svc", ("*",), "API server"),
        ("http://a.example:99999", ("*",), "no host, or no port"),
    ],
)
def test_a_server_must_be_on_the_owners_list_and_at_no_denied_address(
    endpoint: str, hosts: tuple[str, ...], why: str
) -> None:
    """Otherwise a tenant has pods ask any service that they reach."""
    with pytest.raises(InvalidPlan, match=why):
        task(of_object(endpoint=endpoint), replace(POLICY, export_hosts=hosts))


def test_requests_to_fuzz_need_endpoints_that_can_be_read() -> None:
    requests = {"mode": "openapi", "configMapKeyRef": {"name": "api", "key": "api.json"}}
    with pytest.raises(InvalidPlan, match=r"requestsFrom needs endpoints that the operator can read"):
        task(of_file(scanner={"dast": True, "requestsFrom": requests}))


def ready(status: Status) -> str:
    """What the plan's Ready condition says in words."""
    return next(str(each["message"]) for each in status["conditions"] if each["type"] == "Ready")


def told(**counts: Any) -> MergedResult:
    return merged(endpoints_file=EndpointsFileReport(**counts))


def test_the_status_counts_what_the_pods_have_found_in_the_file() -> None:
    of = of_file()
    result = told(endpoints=970_000, refused=3, duplicates=29_997, examples=("line 7: there is no host",))
    status = statuses.of_finished(of, complete(), [report(0), report(1)], result, None, NOW).document()
    assert status["endpointCount"] == 970_000
    assert status["endpointsFile"] == {
        "refused": 3,
        "duplicates": 29_997,
        "examples": ["line 7: there is no host"],
    }
    message = ready(status)
    assert message.endswith("; 3 lines of the file of endpoints were left out, such as line 7: there is no host")


def test_where_no_line_was_left_out_nothing_is_said() -> None:
    status = statuses.of_finished(of_file(), complete(), [report(0)], told(endpoints=5), None, NOW).document()
    assert status["endpointsFile"] == {"refused": 0, "duplicates": 0, "examples": []}
    assert "left out" not in ready(status)


def test_a_result_without_a_file_says_nothing_of_one() -> None:
    assert "endpointsFile" not in statuses.of_finished(plan(), complete(), [], merged(), None, NOW).document()
