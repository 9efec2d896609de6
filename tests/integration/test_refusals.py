"""Plans that can't run: refused by the CRD with a message that says what to do, or Stalled with a reason; never a crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.operators import StartOperator
from tests.integration.apiserver import PLANS, ApiServer, Refused
from tests.integration.scene import Scene, condition, hosts, scanplan
from tests.kubectl import Kubectl, KubectlError

pytestmark = pytest.mark.integration

OF_FILE: dict[str, Any] = {"claimFile": {"path": "hosts.txt", "sha256": "ab" * 32, "endpoints": 10}}


OF_OBJECT: dict[str, Any] = {
    "s3File": {
        "endpoint": "https://s3.example.com",
        "bucket": "lists",
        "key": "hosts.txt",
        "sha256": "ab" * 32,
        "endpoints": 10,
    }
}


def of_object(**changes: Any) -> dict[str, Any]:
    """A plan whose endpoints are an object, changed in what a row is about."""
    return {"endpoints": [], "endpointsFrom": [{"s3File": {**OF_OBJECT["s3File"], **changes}}]}


def of_file(**changes: Any) -> dict[str, Any]:
    """A plan whose endpoints are in a file, changed in what a row is about."""
    return {"endpoints": [], "endpointsFrom": [{"claimFile": {**OF_FILE["claimFile"], **changes}}]}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no endpoints": ({"endpoints": []}, "there is nothing to scan: set endpoints, or endpointsFrom"),
    "an empty endpoint": ({"endpoints": [""]}, "should be at least 1 chars long"),
    "two endpoints in one": ({"endpoints": ["a.example,b.example"]}, "spec.endpoints[0] in body should match"),
    "an endpoint with a newline": ({"endpoints": ["a.example\nb.example"]}, "spec.endpoints[0] in body should match"),
    "an endpoint that is too long": ({"endpoints": [f"https://a.example/{'x' * 2048}"]}, "Too long"),
    "more endpoints than fit": ({"endpoints": hosts(1001)}, "spec.endpoints: Too many: 1001: must have at most 1000"),
    "endpoints that are no list": ({"endpoints": "a.example"}, "must be of type array"),
    "a file beside other endpoints": (
        {"endpointsFrom": [OF_FILE]},
        "a claimFile, imageFile or s3File holds all endpoints of its plan",
    ),
    "two files": (
        {"endpoints": [], "endpointsFrom": [OF_FILE, OF_FILE]},
        "a claimFile, imageFile or s3File holds all endpoints of its plan",
    ),
    "an object beside a file": (
        {"endpoints": [], "endpointsFrom": [OF_FILE, OF_OBJECT]},
        "a claimFile, imageFile or s3File holds all endpoints of its plan",
    ),
    "an object above its bucket": (of_object(key="../other/hosts.txt"), "s3File.key in body should match"),
    "an object of a server with a login": (
        of_object(endpoint="https://user:word@s3.example.com"),
        "s3File.endpoint in body should match",
    ),
    "a file above its folder": (of_file(path="../ui_projects/other/run.json"), "claimFile.path in body should match"),
    "a file anywhere": (of_file(path="/etc/passwd"), "claimFile.path in body should match"),
    "a hidden file": (of_file(path="acme/.hosts"), "claimFile.path in body should match"),
    "a file without its digest": (of_file(sha256="latest"), "claimFile.sha256 in body should match"),
    "a file of too many endpoints": (of_file(endpoints=1_000_001), "should be less than or equal to 1000000"),
    "a file of unknown length": (
        {"endpoints": [], "endpointsFrom": [{"claimFile": {"path": "a", "sha256": "ab" * 32}}]},
        "claimFile.endpoints: Required value",
    ),
    "no templates": (
        {"templates": []},
        "there is nothing to scan with: set templates, or include, profile or workflows of selection",
    ),
    "a tag with a comma": (
        {"selection": {"include": {"tags": ["a,b"]}}},
        "spec.selection.include.tags[0] in body should match",
    ),
    "an unknown protocol": ({"selection": {"exclude": {"protocols": ["ftp"]}}}, 'Unsupported value: "ftp"'),
    "a regular expression for ids": (
        {"selection": {"include": {"ids": ["CVE-(1|2)"]}}},
        "spec.selection.include.ids[0] in body should match",
    ),
    "a template above its folder": ({"templates": ["../../etc/passwd"]}, "spec.templates[0] in body should match"),
    "an absolute template": ({"templates": ["/etc/passwd"]}, "spec.templates[0] in body should match"),
    "a template that is a flag": ({"templates": ["-config"]}, "spec.templates[0] in body should match"),
    "an unknown severity": ({"severityLevels": ["grave"]}, 'Unsupported value: "grave"'),
    "a severity twice": ({"severityLevels": ["high", "high"]}, "Duplicate value"),
    "a priority below the range": ({"priority": -1}, "should be greater than or equal to 0"),
    "a priority above the range": ({"priority": 11}, "should be less than or equal to 10"),
    "a priority that is a word": ({"priority": "high"}, "must be of type integer"),
    "no shard at all": ({"sharding": {"maxEndpointsPerShard": 0}}, "should be greater than or equal to 1"),
    "no parallelism": ({"sharding": {"parallelism": 0}}, "should be greater than or equal to 1"),
    "a timeout too short": ({"timeoutSeconds": 1}, "should be greater than or equal to 10"),
    "a deadline below the timeout": (
        {"timeoutSeconds": 600, "deadlineSeconds": 60},
        "deadlineSeconds (the whole scan) must not be shorter than timeoutSeconds (one attempt of one shard)",
    ),
    "a TTL that hides the result": ({"ttlSecondsAfterFinished": 0}, "should be greater than or equal to 300"),
    "retries without end": ({"retry": {"temporary": 21}}, "should be less than or equal to 20"),
    "a run that climbs out of its folder": ({"runId": "../other"}, "spec.runId in body should match"),
    "a run that is a hidden folder": ({"runId": ".hidden"}, "spec.runId in body should match"),
    "a project with the key's separator": ({"projectId": "a:b"}, "spec.projectId in body should match"),
    "a variable that names the target": (
        {"scanner": {"variables": [{"name": "BaseURL", "value": "http://elsewhere.example"}]}},
        "take other names",
    ),
    "an automatic scan with workflows": (
        {"selection": {"automatic": True, "workflows": ["workflows/"]}},
        "selection.automatic goes with neither workflows nor",
    ),
    "an automatic scan that fuzzes": (
        {"selection": {"automatic": True}, "scanner": {"dast": True}},
        "selection.automatic goes with neither workflows nor",
    ),
    "two ways to follow redirects": (
        {"scanner": {"followRedirects": True, "followHostRedirects": True}},
        "leave one of the two out",
    ),
    "a variable of two lines": (
        {"scanner": {"variables": [{"name": "user", "value": "a\nb=c"}]}},
        "spec.scanner.variables[0].value in body should match",
    ),
    "an address for TLS to ask for": (
        {"scanner": {"sni": "a.example:443"}},
        "spec.scanner.sni in body should match",
    ),
    "a proxy with credentials": (
        {"scanner": {"proxy": "http://user:secret@proxy.example:3128"}},
        "spec.scanner.proxy in body should match",
    ),
    "two proxies": (
        {"scanner": {"proxy": "http://a.example,http://b.example"}},
        "spec.scanner.proxy in body should match",
    ),
    "no requests at all": ({"scanner": {"maxRequestsPerSecond": 0}}, "should be greater than or equal to 1"),
    "no requests to a host": ({"scanner": {"maxRequestsPerSecondPerHost": 0}}, "should be greater than or equal to 1"),
    "a reserved label": (
        {"podTemplate": {"labels": {"scanplan.dev/task": "x"}}},
        "labels of scanplan.dev, batch.kubernetes.io and",
    ),
    "a label that the Job controller sets": (
        {"podTemplate": {"labels": {"batch.kubernetes.io/job-name": "x"}}},
        "labels of scanplan.dev, batch.kubernetes.io and",
    ),
    "a reserved annotation": (
        {"podTemplate": {"annotations": {"container.apparmor.security.beta.kubernetes.io/scanner": "unconfined"}}},
        "annotations of scanplan.dev, batch.kubernetes.io and",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_crd_refuses(case: str, api: ApiServer, administrator: Kubectl) -> None:
    """Lost otherwise: a mistake that is seen when it is made, by whoever makes it."""
    del administrator  # it serves the CRD
    spec, message = REFUSED[case]
    with pytest.raises(Refused) as refusal:
        api.create(f"{PLANS.format('default')}?dryRun=All", scanplan("plan", **spec))
    assert refusal.value.status == 422
    assert message in str(refusal.value)


def test_kubectl_says_why(scene: Scene) -> None:
    """Lost otherwise: the message on the user's own terminal, and a typed word that is silently dropped."""
    with pytest.raises(KubectlError, match=r"deadlineSeconds .* must not be shorter than timeoutSeconds"):
        scene.apply(deadlineSeconds=60)
    with pytest.raises(KubectlError, match="field not declared in schema"):
        scene.apply(endpoint=["a.example"])


def test_the_command_names_the_field_that_was_meant(scene: Scene, tmp_path: Path) -> None:
    """The API server says which field it does not know, and not which one it has."""
    (tmp_path / "plan.yaml").write_text(json.dumps(scanplan("plan", selection={"tagz": ["cve"]})))
    command = [sys.executable, "-m", "scanplan", "submit", "-f", str(tmp_path / "plan.yaml"), "-n", scene.namespace]
    environment = {**os.environ, "KUBECONFIG": str(scene.kubectl.kubeconfig), "COLUMNS": "200"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        65,
        "error: plan: unknown field spec.selection.tagz, did you mean include.tags?",
    )


REQUESTS = {"mode": "openapi", "configMapKeyRef": {"name": "kube-root-ca.crt", "key": "ca.crt"}}
STALLED: dict[str, tuple[dict[str, Any], str, str]] = {
    "an endpoint without a host": ({"endpoints": ["http://"]}, "InvalidEndpoint", "there is no host"),
    "a range too large": ({"endpoints": ["10.0.0.0/8"]}, "InvalidEndpoint", "more than 65,536 addresses"),
    "a range with host bits": ({"endpoints": ["198.51.100.7/24"]}, "InvalidEndpoint", "bits after the prefix"),
    "another protocol": ({"endpoints": ["ftp://a.example"]}, "InvalidEndpoint", "scheme must be http or https"),
    "a password in the URL": ({"endpoints": ["http://me:secret@a.example"]}, "InvalidEndpoint", "user information"),
    "the metadata service": ({"endpoints": ["http://169.254.169.254"]}, "TargetDenied", "169.254.0.0/16"),
    "loopback in disguise": ({"endpoints": ["http://0x7f000001:80"]}, "TargetDenied", "127.0.0.0/8"),
    "the API server": ({"endpoints": ["kubernetes.default.svc"]}, "TargetDenied", "may not be scanned"),
    "requests to fuzz for a file": (
        of_file() | {"scanner": {"dast": True, "requestsFrom": REQUESTS}},
        "InvalidSpec",
        "scanner.requestsFrom needs endpoints that the operator can read",
    ),
    "an image of endpoints that is not allowed": (
        {"endpoints": [], "endpointsFrom": [{"imageFile": {"reference": "evil:1", **OF_FILE["claimFile"]}}]},
        "InvalidSpec",
        "SCANPLAN_ALLOWED_IMAGES",
    ),
    "an object of a server that is not listed": (of_object(), "InvalidSpec", "exports.allowedHosts"),
    "endpoints from nowhere": (
        {"endpointsFrom": [{"configMapKeyRef": {"name": "nowhere", "key": "endpoints"}}]},
        "InputUnavailable",
        "nowhere",
    ),
    "a claim that is not there": ({"artifacts": {"claimName": "nowhere"}}, "InputUnavailable", "nowhere"),
    "an image that is not allowed": ({"scanner": {"image": "evil:1"}}, "InvalidSpec", "SCANPLAN_ALLOWED_IMAGES"),
    "an account that is not allowed": (
        {"podTemplate": {"serviceAccountName": "admin"}},
        "InvalidSpec",
        "SCANPLAN_ALLOWED_SERVICE_ACCOUNTS",
    ),
    "a priority that is not allowed": (
        {"podTemplate": {"priorityClassName": "system-node-critical"}},
        "InvalidSpec",
        "SCANPLAN_ALLOWED_PRIORITY_CLASSES",
    ),
    "a toleration that is not allowed": (
        {"podTemplate": {"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]}},
        "InvalidSpec",
        "SCANPLAN_ALLOWED_TOLERATIONS",
    ),
    "an annotation that is not allowed": (
        {"podTemplate": {"annotations": {"iam.amazonaws.com/role": "admin"}}},
        "InvalidSpec",
        "SCANPLAN_ALLOWED_POD_METADATA",
    ),
    "affinity to others' pods": (
        {"podTemplate": {"affinity": {"podAntiAffinity": {"x": [{"namespaceSelector": {}}]}}}},
        "InvalidSpec",
        "other namespaces",
    ),
    "affinity that is none": ({"podTemplate": {"affinity": {"nodeAffinity": 1}}}, "JobRejected", "Kubernetes refuses"),
    "a quantity that is none": (
        {"podTemplate": {"resources": {"limits": {"memory": "lots"}}}},
        "JobRejected",
        "Kubernetes refuses",
    ),
    "a label that is none": ({"podTemplate": {"labels": {"a b": "c"}}}, "JobRejected", "Kubernetes refuses"),
    "a toleration that is none": (
        {"podTemplate": {"tolerations": [{"operator": "Exists", "value": "x"}]}},
        "JobRejected",
        "Kubernetes refuses",
    ),
}


def test_what_only_the_operator_can_see_is_stalled(alone: Scene, start_operator: StartOperator) -> None:
    """Lost otherwise: a reason on the plan, and an operator that goes on for everybody else whatever one plan says."""
    operator = start_operator(SCANPLAN_ALLOWED_TOLERATIONS="[*]:[*]", SCANPLAN_ALLOWED_POD_METADATA="a b")
    names = {case: f"bad-{number}" for number, case in enumerate(STALLED)}
    for case, (spec, _, _) in STALLED.items():
        alone.apply(names[case], **spec)
    for case, (_, reason, message) in STALLED.items():
        status = alone.phase("Failed", names[case], reason)
        assert status["error"]["reason"] == reason, case
        assert message in status["error"]["message"], case
        assert condition(status, "Stalled")["status"] == "True", case
        assert condition(status, "Ready")["status"] == "False", case
        assert "jobRef" not in status, case
    assert alone.jobs() == []
    alone.apply("good")
    alone.complete("good")
    assert operator.alive
    assert "Traceback" not in operator.text()


def test_a_corrected_plan_runs(scene: Scene) -> None:
    """Lost otherwise: the way out of Stalled, which is to edit the plan."""
    scene.apply(endpoints=["http://127.0.0.1"])
    scene.phase("Failed", reason="TargetDenied")
    scene.apply(endpoints=["http://a.example"])
    status = scene.complete()
    assert status["observedGeneration"] == 2
    assert "error" not in status
