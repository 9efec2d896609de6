"""Installing, upgrading and uninstalling by Helm on a real cluster, whose namespaces enforce the restricted Pod Security Standard.

NetworkPolicies are accepted here and not enforced: that is in tests/e2e/test_network_policies.py.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
import yaml

from tests import deploy
from tests.chart.chart import CHART, NAMESPACE, Values, render
from tests.chart.installation import (
    CLAIM,
    CRD,
    PATIENCE,
    Installer,
    allowed,
    completed,
    jobs,
    plan,
    remains,
    shell,
    sweep,
)
from tests.cluster import LocalCluster
from tests.docs.blocks import blocks
from tests.ecosystem import programs as ecosystem
from tests.integration import audit
from tests.kubectl import Kubectl, eventually

pytestmark = pytest.mark.e2e

AGE = """
import os, sys, time
two_days_ago = time.time() - 2 * 86400
for parent, folders, files in os.walk(sys.argv[1]):
    for name in (*folders, *files):
        os.utime(os.path.join(parent, name), (two_days_ago, two_days_ago), follow_symlinks=False)
"""


@pytest.mark.parametrize(
    ("values", "arguments"),
    [({}, ["--wait", "--timeout=3m"]), ({"watchNamespaces": ["red"], "artifacts": {"create": True}}, [])],
    ids=["defaults", "one namespace, claim by the chart"],
)
def test_the_notes_lead_from_nothing_to_findings(clean: Installer, values: Values, arguments: list[str]) -> None:
    clean("install", *arguments, values=values)
    told = shell(clean.script(NAMESPACE), clean.kubectl)
    findings = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert {"env-file", "git-config"} <= {finding["template-id"] for finding in findings}


def test_the_page_installs_upgrades_and_removes_all_of_it(clean: Installer) -> None:
    """With a plan in between, whose findings stay until the page removes them too; nothing of ours is left."""
    kubectl = clean.kubectl.in_namespace(NAMESPACE)
    kubectl("create", "namespace", "green")
    mine = "::test_the_page_installs_upgrades_and_removes_all_of_it"
    for command in [block.text for block in blocks("docs/install.md") if block.run_by.endswith(mine)]:
        if command.startswith("helm uninstall"):
            kubectl.apply(*deploy.scan_namespace(NAMESPACE), plan("scan"))
            completed(kubectl, "scan")
        shell(clean.of_these_images(command), clean.kubectl)
    eventually(lambda: not remains(kubectl), within=PATIENCE)
    eventually(lambda: not kubectl("get", "jobs,pods,pvc,leases", "-o", "name"), within=PATIENCE)
    assert kubectl.in_namespace("green").get("pvc", "scanplan-artifacts")
    kubectl("delete", "namespace", "green")


def test_plans_findings_and_definition_survive_an_upgrade_and_a_reinstallation(
    clean: Installer, tmp_path: Path
) -> None:
    """And nothing of it is scanned again."""
    former = tmp_path / "former"
    shutil.copytree(CHART, former)
    crd = former / "files" / f"{CRD}.yaml"
    definition = yaml.safe_load(crd.read_text())
    definition["spec"]["names"]["shortNames"] = ["former"]
    crd.write_text(yaml.safe_dump(definition))
    kubectl = clean.kubectl.in_namespace(NAMESPACE)

    clean("install", values=CLAIM, chart=former)
    kubectl.apply(plan("before"))
    first = completed(kubectl, "before")
    (job,) = jobs(kubectl)

    clean("upgrade", values={**CLAIM, "log": {"format": "text", "verbose": True}})
    assert kubectl.get("crd", CRD)["spec"]["names"]["shortNames"] == ["sp"]

    clean.uninstall()
    eventually(lambda: not remains(kubectl), within=PATIENCE)
    assert kubectl.get("pvc", "scanplan-artifacts")["status"]["phase"] == "Bound"
    kubectl.apply(plan("while-away"))

    clean("install", values=CLAIM)
    completed(kubectl, "while-away")
    again = kubectl.get("scanplan", "before")
    assert again["metadata"]["uid"] == first["metadata"]["uid"]
    assert again["status"] == first["status"]
    assert job in jobs(kubectl)
    assert len(jobs(kubectl)) == 2


def test_two_operators_do_the_work_of_one_and_can_be_one_again(clean: Installer) -> None:
    kubectl = clean.kubectl.in_namespace(NAMESPACE)
    operators = ("get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "name")
    clean("install", values={**CLAIM, "replicas": 2})

    def leading() -> list[tuple[str, str]]:
        """The pod that has the lease, and its name there; not an earlier installation's, whose lease may outlive it."""
        holder = kubectl("get", "lease/scanplan-operator", "-o=jsonpath={.spec.holderIdentity}")
        return [(pod, holder) for pod in kubectl(*operators).split() if holder.startswith(pod.removeprefix("pod/"))]

    ((pod, leader),) = eventually(leading)
    kubectl.apply(plan("first"))
    completed(kubectl, "first")
    kubectl("delete", pod, "--grace-period=0", "--force")
    kubectl.apply(plan("second"))
    completed(kubectl, "second")
    assert kubectl("get", "lease/scanplan-operator", "-o=jsonpath={.spec.holderIdentity}") != leader

    clean("upgrade", values=CLAIM)
    kubectl.apply(plan("third"))
    completed(kubectl, "third")
    assert len(jobs(kubectl)) == 3
    eventually(lambda: len(kubectl(*operators).split()) == 1, within=PATIENCE)


def test_an_update_never_has_two_operators_at_work(clean: Installer, running: LocalCluster) -> None:
    """Plans come all the while; each has one Job, and all that the new pod writes comes after all that the old one wrote."""
    kubectl = clean.kubectl.in_namespace(NAMESPACE)
    clean("install", values=CLAIM)
    already = len(list(audit.requests(running.audit_log)))
    names = [f"plan-{number}" for number in range(6)]
    kubectl.apply(plan(names[0]))
    kubectl("wait", f"scanplan/{names[0]}", "--for=jsonpath={.status.phase}=Running", "--timeout=180s")
    kubectl("rollout", "restart", "deployment/scanplan-operator")
    for name in names[1:-1]:
        kubectl.apply(plan(name))
    kubectl("rollout", "status", "deployment/scanplan-operator", "--timeout=180s")
    kubectl.apply(plan(names[-1]))  # the old pod may have done all others before the new one was there
    for name in names:
        completed(kubectl, name)
    assert len(jobs(kubectl)) == len(names)
    requests = list(audit.requests(running.audit_log))[already:]
    writers = [request.pod for request in requests if request.is_write and request.resource != "leases"]
    turns = [pod for pod, _ in itertools.groupby(writers)]
    assert len(turns) == 2, f"{turns} took turns"


ASK = """
import json, sys, urllib.error, urllib.request
address, token = json.load(sys.stdin)
request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
try:
    answer = urllib.request.urlopen(request, timeout=150)
except urllib.error.HTTPError as error:
    answer = error
except urllib.error.URLError:
    answer = None
print(json.dumps([answer.status, answer.read().decode()] if answer else [0, ""]))
"""


@dataclass(frozen=True)
class Asker:
    """A pod of another namespace that asks a Service by its name, the API's where no other is named."""

    kubectl: Kubectl

    def __call__(self, path: str, token: str = "", service: str = "api:8081") -> tuple[int, str]:
        """Status and body; the status is 0 where nobody answers."""
        name, port = service.split(":")
        address = f"http://scanplan-operator-{name}.{NAMESPACE}:{port}{path}"
        command = ("exec", "-i", "asker", "--", "python3", "-c", ASK)
        status, body = json.loads(self.kubectl(*command, stdin=json.dumps([address, token])))
        return status, body


@pytest.fixture
def ask(clean: Installer) -> Iterator[Asker]:
    kubectl = clean.kubectl.in_namespace("red")
    scanner = clean.images["scanner"]["image"]
    pod = deploy.reader("asker", "red", f"{scanner['repository']}:{scanner['tag']}", "none", "")
    (container,) = pod["spec"]["containers"]
    container["command"] = ["python3", "-c", "import signal; signal.signal(15, lambda *_: exit()); signal.pause()"]
    del container["volumeMounts"], pod["spec"]["volumes"]
    kubectl.apply(pod)
    kubectl("wait", "--for=condition=Ready", "pod/asker", "--timeout=120s")
    yield Asker(kubectl)
    kubectl("delete", "pod/asker")


@pytest.fixture
def tokens(clean: Installer) -> Iterator[dict[str, str]]:
    """Of a person that may read artifacts, of one that may only see plans, and of one that may neither."""
    kubectl = clean.kubectl.in_namespace(NAMESPACE)
    rights = {"analyst": [CRD, f"{CRD}/artifacts"], "viewer": [CRD], "stranger": ["configmaps"]}
    for name, resources in rights.items():
        kubectl.account(name)
        kubectl.allow(name, name, "get,list", *resources)
    yield {name: kubectl.token(name, "scanplan-api") for name in rights}
    for name in rights:
        kubectl("delete", f"serviceaccount/{name}", f"role/{name}", f"rolebinding/{name}")


def test_the_api_answers_those_who_may_read_until_it_is_turned_off(
    clean: Installer, tokens: dict[str, str], ask: Asker
) -> None:
    kubectl = clean.kubectl.in_namespace(NAMESPACE)
    clean("install", values={**CLAIM, "api": {"enabled": True, "readerPods": True}})
    kubectl.apply(plan("scan"))
    published = {file["name"]: file["sha256"] for file in completed(kubectl, "scan")["status"]["artifacts"]["files"]}
    status, findings = (f"/api/v1/tasks/scan/{what}" for what in ("status", "artifacts/nuclei_output.ndjson"))

    assert ask(status)[0] == 401
    assert ask(status, tokens["stranger"])[0] == 403
    code, state = ask(status, tokens["viewer"])
    assert (code, json.loads(state)["status"]) == (200, "completed")
    assert ask(findings, tokens["viewer"])[0] == 403
    code, content = ask(findings, tokens["analyst"])
    assert code == 200, content
    assert hashlib.sha256(content.encode()).hexdigest() == published["nuclei_output.ndjson"]
    code, numbers = ask("/metrics")
    assert code == 200
    assert "scanplan_api_requests_total" in numbers
    code, numbers = ask("/metrics", service="metrics:9464")
    assert code == 200
    assert 'scanplan_operator_plans{phase="Completed"} 1.0' in numbers
    readers = ("get", "pods", "-l", "app.kubernetes.io/component=reader", "-o", "name")
    eventually(lambda: not kubectl(*readers), within=PATIENCE)

    clean("upgrade", values=CLAIM)
    eventually(lambda: ask(status, tokens["viewer"])[0] == 0, within=PATIENCE)
    assert not kubectl.find("service", "scanplan-operator-api")
    for account in ("scanplan-operator", "scanplan-operator-api"):
        identity = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
        for what in (("pods", "--subresource=exec"), ("subjectaccessreviews.authorization.k8s.io",)):
            assert not allowed(kubectl, identity, "create", *what)

    clean.uninstall()
    eventually(lambda: not remains(kubectl), within=PATIENCE)


def test_results_are_in_the_redis_that_a_secret_names(clean: Installer, results: redis.Redis) -> None:
    kubectl = clean.kubectl.in_namespace(NAMESPACE)
    host = results.get_connection_kwargs()["host"]
    kubectl("create", "secret", "generic", "results", f"--from-literal=url=redis://{host}:6379/0")
    shared = {"existingSecret": {"name": "results"}, "clusterName": "east", "sharedTasks": True}
    clean("install", values={**CLAIM, "redis": shared})
    kubectl.apply(plan("scan"))
    task = completed(kubectl, "scan")["status"]["taskKey"]
    result = eventually(lambda: results.get(f"east:{NAMESPACE}:task_result:scan"), within=PATIENCE)
    assert json.loads(result or "")["status"] == "completed"
    assert results.get(f"east:{NAMESPACE}:task_key:{task}") == b"scan"
    kubectl("delete", "secret/results")


def test_retention_removes_what_is_old_and_leaves_the_rest(clean: Installer) -> None:
    kubectl = clean.kubectl.in_namespace(NAMESPACE)
    clean("install", values={**CLAIM, "retention": {"enabled": True, "maxAge": "12h"}})
    for name in ("old", "young"):
        kubectl.apply(plan(name))
    for name in ("old", "young"):
        completed(kubectl, name)
    scanner = clean.images["scanner"]["image"]
    aged = deploy.reader("age", NAMESPACE, f"{scanner['repository']}:{scanner['tag']}", "scanplan-artifacts", "")
    aged["spec"]["containers"][0]["command"] = ["python3", "-c", AGE, "/claim/ui_projects/old"]
    aged["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = False
    aged["spec"]["volumes"][0]["persistentVolumeClaim"]["readOnly"] = False
    kubectl.apply(aged)
    kubectl("wait", "pod/age", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")

    kubectl("create", "job", "now", "--from=cronjob/scanplan-operator-retention")
    kubectl("wait", "job/now", "--for=condition=Complete", "--timeout=120s")
    removed = [json.loads(line) for line in kubectl("logs", "job/now").splitlines() if line.startswith("{")]
    assert [(run["runId"], run["because"], run["dryRun"]) for run in removed] == [("old", "age", False)]
    kubectl("delete", "pod/age", "job/now")


def test_without_an_operator_nothing_hangs(clean: Installer) -> None:
    """Plans, their running Jobs, the definition and the claims go, in a cluster that no longer runs us."""
    kubectl = clean.kubectl.in_namespace(NAMESPACE)
    clean("install", values=CLAIM)
    kubectl.apply(plan("running"))
    eventually(lambda: jobs(kubectl), within=PATIENCE)
    clean.uninstall()
    sweep(clean.kubectl)


def test_an_operator_of_one_namespace_runs_its_plans_and_can_see_no_others(clean: Installer) -> None:
    clean("install", values={**CLAIM, "watchNamespaces": ["red"], "scanNamespaces": ["red", "blue"]})
    red, blue = (clean.kubectl.in_namespace(name) for name in ("red", "blue"))
    blue.apply(plan("unseen"))
    red.apply(plan("seen"))
    completed(red, "seen")
    assert blue.get("scanplan", "unseen")["status"]["observedGeneration"] == -1
    operator = f"--as=system:serviceaccount:{NAMESPACE}:scanplan-operator"
    assert allowed(red, operator, "list", "scanplans")
    for verb, what in (("list", "scanplans"), ("create", "jobs"), ("get", "configmaps"), ("get", "secrets")):
        assert not allowed(blue, operator, verb, what)
    assert not allowed(red, operator, "get", "secrets")


def test_people_may_do_with_plans_what_they_may_do_with_the_rest_of_their_namespace(clean: Installer) -> None:
    clean("install")
    red, blue = (clean.kubectl.in_namespace(name) for name in ("red", "blue"))
    for role in ("view", "edit", "admin"):
        red("create", "rolebinding", f"test-{role}", f"--clusterrole={role}", f"--user={role}")
    eventually(lambda: allowed(red, "--as=view", "list", "scanplans"))
    eventually(lambda: allowed(red, "--as=edit", "create", "scanplans"))
    for verb, view, edit in (
        ("get", True, True),
        ("create", False, True),
        ("patch", False, True),
        ("delete", False, True),
    ):
        assert allowed(red, "--as=view", verb, "scanplans") == view
        for role in ("edit", "admin"):
            assert allowed(red, f"--as={role}", verb, "scanplans") == edit
        assert not allowed(blue, "--as=admin", verb, "scanplans")
    for role in ("view", "edit", "admin"):
        assert allowed(red, f"--as={role}", "get", "scanplans", "--subresource=status")
        assert not allowed(red, f"--as={role}", "patch", "scanplans", "--subresource=status")
        assert not allowed(red, f"--as={role}", "get", "scanplans", "--subresource=artifacts")


MONITORING = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
MONITORS = ("servicemonitors", "podmonitors", "prometheusrules")


@pytest.fixture(scope="module")
def monitored(installer: Installer) -> Installer:
    """The cluster with what the Prometheus operator defines, but without that operator."""
    folder = ecosystem.sources(MONITORING) / "example" / "prometheus-operator-crd"
    for kind in MONITORS:
        installer.kubectl("apply", "--server-side", "-f", str(folder / f"monitoring.coreos.com_{kind}.yaml"))
    for kind in MONITORS:
        installer.kubectl.wait_until_served(f"{kind}.monitoring.coreos.com")
    return installer


POLICIES = {"enabled": True, "apiServer": ["10.96.0.1/32", "192.0.2.7/32", "2001:db8::7/128"]}
POLICED: Values = {"networkPolicy": POLICIES, "scanNamespaces": [NAMESPACE]}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"watchNamespaces": ["red", "blue"], "rbac": {"secrets": {"red": ["targets"]}}},
        {**POLICED, "podDisruptionBudget": {"enabled": True}, "rbac": {"kueue": True}},
        {**POLICED, "replicas": 2, "retention": {"enabled": True, "keepRuns": 100}},
        {**POLICED, "networkPolicy": {**POLICIES, "targets": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}},
        {
            "networkPolicy": POLICIES,
            "scanNamespaces": ["red", "blue"],
            "artifacts": {"create": True, "storageClassName": ""},
        },
        {
            "api": {"enabled": True, "readerPods": True, "service": {"type": "NodePort", "annotations": {"a": "b"}}},
            "redis": {"existingSecret": {"name": "results"}, "sharedTasks": True},
            "scanNamespaces": ["red"],
            "networkPolicy": {
                **POLICIES,
                "api": [{"namespaceSelector": {}}],
                "metrics": [{"namespaceSelector": {}}],
                "redis": [{"ipBlock": {"cidr": "203.0.113.9/32"}}],
            },
            "metrics": {"dashboard": {"enabled": True}},
        },
        {
            "worker": {
                "enabled": True,
                "replicas": 3,
                "image": {"digest": f"sha256:{'a' * 64}"},
                "affinity": {"podAntiAffinity": {}},
                "tolerations": [{"key": "dedicated", "operator": "Exists"}],
                "extraVolumes": [{"name": "templates", "configMap": {"name": "templates"}}],
                "extraVolumeMounts": [{"name": "templates", "mountPath": "/templates"}],
            },
            "redis": {"existingSecret": {"name": "queue"}},
            "watchNamespaces": ["red"],
            "artifacts": {"create": True},
            "retention": {"enabled": True, "keepRuns": 9},
            "networkPolicy": {**POLICIES, "redis": [{"ipBlock": {"cidr": "203.0.113.9/32"}}]},
        },
        {"api": {"enabled": True, "readerPods": True}, "watchNamespaces": ["red"]},
        {
            "metrics": {
                "service": {"annotations": {"prometheus.io/scrape": "true"}},
                "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
                "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
            },
        },
        {
            "api": {"enabled": True},
            "metrics": {
                "podMonitor": {"enabled": True, "interval": "1m"},
                "prometheusRule": {"enabled": True, "guide": "https://docs.example.com/monitoring.html"},
            },
        },
        {"leaderElection": {"enabled": False}},
        {
            "image": {"digest": f"sha256:{'a' * 64}"},
            "imagePullSecrets": [{"name": "registry"}],
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
            ],
            "priorityClassName": "system-cluster-critical",
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
            "extraEnvFrom": [{"configMapRef": {"name": "more", "optional": True}}],
            "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
            "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca"}],
            "serviceAccount": {"annotations": {"example.com/role": "scans"}},
            "commonLabels": {"team": "security"},
            "commonAnnotations": {"example.com/owner": "security"},
        },
    ],
    ids=[
        "defaults",
        "some namespaces",
        "policies",
        "retention",
        "own targets",
        "scan namespaces",
        "api and redis",
        "workers",
        "api of some namespaces",
        "scraped by service",
        "scraped by pod",
        "no lease",
        "platform",
    ],
)
def test_the_api_server_accepts_every_object(monitored: Installer, values: Values) -> None:
    """With unknown fields refused, as a GitOps tool would have it."""
    manifests = yaml.safe_dump_all(render(values).values())
    arguments = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")
    monitored.kubectl("apply", *arguments, "-f", "-", stdin=manifests)
