"""What a value does, and that none does nothing."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

import scanplan
from scanplan.api import labels
from scanplan.client.cluster import reader
from scanplan.client.redis.publication import PublicationSettings
from scanplan.controller.settings import OperatorSettings
from scanplan.core.manifests import exporting, jobs
from scanplan.core.notify.receivers import DEFAULT_HOSTS
from scanplan.core.planning.targets.denied import TABLE
from scanplan.web.settings import ApiSettings, Authentication
from tests.chart import documents, programs
from tests.chart.chart import (
    CHART,
    NAMESPACE,
    ROOT,
    Objects,
    Values,
    defaults,
    environment,
    key,
    operator_container,
    render,
)
from tests.kubectl import Manifest
from tests.unit.core.objects import POLICY, completed_status, plan, task

API_SERVER = ["10.96.0.1/32", "192.0.2.7/32", "2001:db8::7/128"]
CLUSTER_SCOPED = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace"}
_OF_PODS = ("resources", "podSecurityContext", "securityContext", "nodeSelector")
HANDED_ON = {
    *_OF_PODS,
    *(f"{part}.{name}" for part in ("api", "worker") for name in _OF_PODS),
    "retention.resources",
    "retention.nodeSelector",
    "scanner.resources",
    "metrics.dashboard.labels",
}
SET_BY_KUBERNETES = {"KUBERNETES_SERVICE_HOST", "SCANPLAN_POD_UID"}
FIXED_BY_THE_CHART = {"SCANPLAN_PROBE_PORT", "SCANPLAN_LEASE_NAMESPACE"}
"""Nobody else may take a port in a pod of its own; and the lease is where the operator is."""


@pytest.fixture(scope="module")
def plain() -> Objects:
    """What the chart creates where nothing is said."""
    return render()


def paths(values: Any, prefix: str = "") -> Iterator[str]:
    """The dotted names of all values; what is empty, or is handed on as it is, counts as one."""
    if isinstance(values, dict) and values and prefix not in HANDED_ON:
        for name, value in values.items():
            yield from paths(value, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix


def described(schema: dict[str, Any], path: str) -> bool:
    """Whether the schema knows a value."""
    here = schema
    for name in path.split("."):
        here = here.get("properties", {}).get(name, {})
        if "$ref" in here:
            here = schema["definitions"][here["$ref"].rpartition("/")[2]]
    return bool(here)


# the plain manifests and the code


def test_the_chart_installs_what_the_plain_manifests_install(plain: Objects) -> None:
    """Two ways of installing that differ would be two products."""
    manifests = {
        key(manifest): manifest
        for name in ("rbac.yaml", "leader-election.yaml", "api-server-addresses.yaml", "deployment.yaml")
        for manifest in yaml.safe_load_all((ROOT / "examples/install" / name).read_text())
    }
    role, binding = (f"{kind} scanplan-operator" for kind in ("ClusterRole", "ClusterRoleBinding"))
    lease, lease_binding = (f"{kind} {NAMESPACE}/scanplan-operator-lease" for kind in ("Role", "RoleBinding"))
    addresses, addresses_binding = (f"{kind} default/scanplan-operator-api-server" for kind in ("Role", "RoleBinding"))
    for granted in (role, lease, addresses):
        assert plain[granted]["rules"] == manifests[granted]["rules"]
    for bound in (binding, lease_binding, addresses_binding):
        assert plain[bound]["subjects"] == manifests[bound]["subjects"]
        assert plain[bound]["roleRef"] == manifests[bound]["roleRef"]
    deployment = f"Deployment {NAMESPACE}/scanplan-operator"
    ours, theirs = (copy.deepcopy(objects[deployment]["spec"]) for objects in (plain, manifests))
    assert ours["strategy"] == theirs["strategy"]
    ours_pod, their_pod = ours["template"]["spec"], theirs["template"]["spec"]
    for name in ("serviceAccountName", "securityContext", "enableServiceLinks"):
        assert ours_pod[name] == their_pod.get(name), name
    ours_container, their_container = ours_pod["containers"][0], their_pod["containers"][0]
    for container in (ours_container, their_container):
        del container["env"], container["image"]
        container.pop("imagePullPolicy", None)
    assert ours_container == their_container


@pytest.mark.parametrize("kind", documents.KINDS)
def test_the_crd_is_the_one_of_the_models_and_stays_on_uninstall(plain: Objects, kind: str) -> None:
    crd = copy.deepcopy(plain[f"CustomResourceDefinition {kind.removesuffix('.yaml')}"])
    assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    del crd["metadata"]["labels"]
    assert crd == yaml.safe_load((CHART / "files" / kind).read_text())


def test_where_nothing_is_said_the_operator_has_its_own_defaults(plain: Objects) -> None:
    """A chart with defaults of its own would make the documented ones wrong.

    But for the lease: only an installation knows that its operators share one.
    """
    variables = environment(plain)
    settings = OperatorSettings(**variables)  # type: ignore[arg-type]
    bare = OperatorSettings(SCANPLAN_SCANNER_IMAGE=settings.scanner_image, SCANPLAN_LEADER_ELECTION=True)
    assert settings == bare


def test_every_setting_of_the_operator_is_a_value() -> None:
    known = {str(field.alias) for field in OperatorSettings.model_fields.values()}
    given = environment(render({"policy": {"deniedTargets": ["10.0.0.0/8"]}}))
    assert known - SET_BY_KUBERNETES - FIXED_BY_THE_CHART <= set(given)


def test_the_settings_are_what_the_values_say() -> None:
    values = {
        "watchNamespaces": ["red", "blue"],
        "scanner": {"image": {"digest": f"sha256:{'a' * 64}", "pullPolicy": "Always"}, "concurrency": 9},
        "policy": {
            "allowedImages": ["registry.example.com/scans/*", "b"],
            "allowedClaims": [],
            "allowedServiceAccounts": ["scan-*"],
            "deniedTargets": ["10.0.0.0/8", "corp.example.com"],
        },
        "artifacts": {"claimName": "findings"},
        "workers": 3,
    }
    settings = OperatorSettings(**environment(render(values)))  # type: ignore[arg-type]
    assert settings.namespaces == ("red", "blue")
    assert settings.scanner_image == f"scanplan/scanner@sha256:{'a' * 64}"
    assert settings.image_pull_policy == "Always"
    assert settings.worker_concurrency == 9
    assert settings.allowed_images == ("registry.example.com/scans/*", "b")
    assert settings.allowed_claims == ()
    assert settings.allowed_service_accounts == ("scan-*",)
    assert settings.denied_targets == ("10.0.0.0/8", "corp.example.com")
    assert settings.claim_name == "findings"
    assert settings.workers == 3


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == scanplan.__version__
    assert operator_container(render())["image"] == f"scanplan/operator:{scanplan.__version__}"


# names

EVERYTHING: Values = {
    "crds": {"enabled": False},
    "networkPolicy": {
        "enabled": True,
        "apiServer": API_SERVER,
        "api": [{"namespaceSelector": {}}],
        "redis": [{"namespaceSelector": {}}],
        "metrics": [{"namespaceSelector": {}}],
    },
    "replicas": 2,
    "podDisruptionBudget": {"enabled": True},
    "artifacts": {"create": True},
    "api": {"enabled": True, "readerPods": True, "replicas": 2},
    "redis": {"existingSecret": {"name": "results"}},
    "worker": {"enabled": True},
    "retention": {"enabled": True, "maxAge": "30d"},
    "metrics": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    "discovery": {"ingresses": True},
    "rbac": {"kueue": True, "secrets": {"red": ["targets"]}},
    "notifiers": {"secrets": {"red": ["slack"]}},
    "exports": {"secrets": {"red": ["s3"]}},
    "scanNamespaces": ["red"],
}
"""All that the chart makes, but for the definitions, and a PodMonitor, which excludes the other monitor."""
LONGEST = {"CronJob": 52, "Service": 63}
"""Characters of names. Other objects have 253."""


def maps_of(objects: Any, key: str) -> Iterator[dict[str, Any]]:
    """All maps under a key, at any depth."""
    if isinstance(objects, dict):
        for name, value in objects.items():
            if name == key:
                yield value
            yield from maps_of(value, key)
    elif isinstance(objects, list):
        for each in objects:
            yield from maps_of(each, key)


@pytest.mark.parametrize("release", ["a" * 53, "a" * 41 + "--" + "b" * 10, "a" * 25])
def test_every_name_that_helm_takes_for_a_release_gives_names_that_kubernetes_takes(release: str) -> None:
    """Lost otherwise: a release that fails in the middle of its installation."""
    objects = render(EVERYTHING, release=release)
    for each in objects.values():
        assert len(each["metadata"]["name"]) <= LONGEST.get(each["kind"], 253), key(each)
        for key_ in ("labels", "matchLabels"):
            for found in maps_of(each, key_):
                assert max(map(len, found.values())) <= 63, key(each)


NAMED = {"name", "namespace", "key", "claimName", "serviceAccountName", "image", "schedule", "app.kubernetes.io/name"}
"""Keys of texts that an owner, or the release, chooses."""


def not_texts(manifest: Any, place: str = "") -> Iterator[str]:
    """Where a manifest has a number, or something else that is no text, in place of a name or a label's value."""
    if isinstance(manifest, dict):
        for name, value in manifest.items():
            if name in NAMED and not isinstance(value, str | dict):
                yield f"{place}.{name}: {value!r}"
            if name in {"labels", "annotations", "matchLabels", "nodeSelector"}:
                yield from (
                    f"{place}.{name}.{key}: {each!r}" for key, each in value.items() if not isinstance(each, str)
                )
            yield from not_texts(value, f"{place}.{name}")
    elif isinstance(manifest, list):
        for number, each in enumerate(manifest):
            yield from not_texts(each, f"{place}[{number}]")


def test_names_of_digits_alone_stay_texts() -> None:
    """Lost otherwise: a namespace, claim or Secret that is called 123, whose objects no API server takes."""
    digits = "456"
    values: Values = {
        **EVERYTHING,
        "fullnameOverride": "scans",
        "nameOverride": digits,
        "serviceAccount": {"create": False, "name": digits},
        "artifacts": {"create": True, "claimName": digits},
        "redis": {"existingSecret": {"name": digits, "key": digits}},
        "api": {**EVERYTHING["api"], "serviceAccount": {"create": False, "name": digits}},
        "imagePullSecrets": [{"name": digits}],
        "priorityClassName": digits,
        "image": {"repository": digits, "tag": "30"},
        "worker": {"enabled": True, "image": {"repository": digits, "tag": "30"}},
        "commonLabels": {"team": digits},
        "commonAnnotations": {"team": digits},
        "podLabels": {"team": digits},
        "watchNamespaces": [digits],
        "scanNamespaces": [digits],
        "rbac": {"secrets": {digits: [digits]}},
        "notifiers": {"secrets": {digits: [digits]}},
        "exports": {"secrets": {digits: [digits]}},
    }
    without_services: Values = {
        "crds": {"enabled": False},
        "fullnameOverride": digits,
        "metrics": {"enabled": False, "dashboard": {"enabled": True}},
        "podDisruptionBudget": {"enabled": True},
        "retention": EVERYTHING["retention"],
    }
    for each in (values, without_services):
        assert list(not_texts(list(render(each, release="123", namespace="789").values()))) == []


# values and their schema


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert [path for path in paths(defaults()) if not described(schema, path)] == []
    assert set(schema["properties"]) - {"global"} == set(defaults())


def test_every_value_is_explained() -> None:
    rows = {
        line.split("`")[1]: line for line in (CHART / "README.md").read_text().splitlines() if line.startswith("| `")
    }
    assert set(rows) >= {path for path in paths(defaults()) if not path.startswith("networkPolicy.dns")}
    assert [name for name, row in rows.items() if row.split("|")[-2].strip() == ""] == []


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"workerss": 2}, "'workerss' not allowed"),
        ({"image": {"digets": "sha256:1"}}, "'digets' not allowed"),
        ({"image": {"digest": "1.2.3"}}, "/image/digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"scanner": {"concurrency": 0}}, "/scanner/concurrency"),
        ({"scanner": {"concurrency": "many"}}, "/scanner/concurrency"),
        ({"watchNamespaces": "red"}, "/watchNamespaces"),
        ({"watchNamespaces": ["red,blue"]}, "/watchNamespaces/0"),
        ({"policy": {"allowedImages": ["a,b"]}}, "/policy/allowedImages/0"),
        ({"artifacts": {"size": "10 GB"}}, "/artifacts/size"),
        ({"artifacts": {"accessModes": ["RWX"]}}, "/artifacts/accessModes/0"),
        ({"resources": {"limit": {"cpu": 1}}}, "'limit' not allowed"),
        ({"tolerations": [{"key": "a", "efect": "NoSchedule"}]}, "'efect' not allowed"),
        ({"extraEnv": [{"value": "nameless"}]}, "/extraEnv/0"),
        ({"networkPolicy": {"denied": ["10.0.0.1"]}}, "/networkPolicy/denied/0"),
        ({"rbac": {"secrets": {"red": []}}}, "/rbac/secrets/red"),
        ({"networkPolicy": {"enabled": True}}, "networkPolicy.apiServer is empty"),
        ({"networkPolicy": {"enabled": True, "apiServer": ["10.96.0.1/32"]}}, "plans of all namespaces are watched"),
        ({"replicas": 2, "leaderElection": {"enabled": False}}, "all of them would work"),
        ({"retention": {"enabled": True}}, "retention has no limit"),
        ({"retention": {"maxAge": "a month"}}, "/retention/maxAge"),
        ({"api": {"authentication": "none"}}, "'authentication' not allowed"),
        ({"api": {"readerPods": True}}, "api.readerPods is for the API, which is off"),
        ({"metrics": {"enabled": False, "serviceMonitor": {"enabled": True}}}, "set metrics.enabled"),
        ({"metrics": {"enabled": False, "podMonitor": {"enabled": True}}}, "set metrics.enabled"),
        ({"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}}, "would count twice"),
        (
            {
                "metrics": {"podMonitor": {"enabled": True}},
                "networkPolicy": {"enabled": True, "apiServer": ["10.96.0.1/32"]},
            },
            "networkPolicy.metrics is empty",
        ),
        ({"metrics": {"port": 8080}}, "/metrics/port"),
        ({"metrics": {"port": 80}}, "/metrics/port"),
        ({"metrics": {"prometheusRule": {"guide": "wiki/alerts"}}}, "/metrics/prometheusRule/guide"),
        ({"metrics": {"podMonitor": {"interval": "often"}}}, "/metrics/podMonitor/interval"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_told_before_anything_is_installed(values: Values, complaint: str) -> None:
    """An empty list of Secrets is among them because Kubernetes would read it as all Secrets."""
    with pytest.raises(programs.ProgramError) as told:
        render(values)
    assert complaint in str(told.value)


def test_the_chart_can_be_part_of_another_one() -> None:
    """Helm hands its parts a value of its own."""
    assert render({"global": {"imageRegistry": "registry.example.com"}}) == render()


# rights


@pytest.mark.parametrize("watched", [["red"], ["red", "blue"]])
def test_with_some_namespaces_watched_nothing_reaches_beyond_them(watched: list[str]) -> None:
    """A team that may only administer its namespaces can install the operator, and the operator can see no others."""
    rbac = {"aggregate": False, "apiServerAddresses": False}
    values: Values = {"watchNamespaces": watched, "crds": {"enabled": False}, "rbac": rbac}
    objects = render(values)
    assert [name for name in objects if name.split()[0] in CLUSTER_SCOPED] == []
    roles = {name for name in objects if name.startswith("Role ")}
    lease = f"Role {NAMESPACE}/scanplan-operator-lease"
    assert roles == {lease, *(f"Role {namespace}/scanplan-operator" for namespace in watched)}
    whole = render()["ClusterRole scanplan-operator"]["rules"]
    for namespace in watched:
        assert objects[f"Role {namespace}/scanplan-operator"]["rules"] == whole
        assert objects[f"RoleBinding {namespace}/scanplan-operator"]["subjects"] == [
            {"kind": "ServiceAccount", "name": "scanplan-operator", "namespace": NAMESPACE}
        ]


def test_with_a_selector_the_operator_also_reads_namespaces(plain: Objects) -> None:
    """And without one it does not: their labels and annotations are no business of its."""
    objects = render({"watchNamespaceSelector": "team in (red, blue)"})
    new = objects.keys() - plain.keys()
    assert new == {"ClusterRole scanplan-operator-namespaces", "ClusterRoleBinding scanplan-operator-namespaces"}
    rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]}]
    assert objects["ClusterRole scanplan-operator-namespaces"]["rules"] == rules
    assert environment(objects)["SCANPLAN_NAMESPACE_SELECTOR"] == "team in (red, blue)"
    with pytest.raises(programs.ProgramError, match="watchNamespaces and watchNamespaceSelector are both set"):
        render({"watchNamespaceSelector": "team=red", "watchNamespaces": ["red"]})


def reach(objects: Objects, resource: str, verb: str) -> set[str]:
    """The roles by which the operator may do something to a kind of object."""
    return {
        name
        for name, role in objects.items()
        if name.startswith(("Role ", "ClusterRole "))
        for rule in role["rules"]
        if resource in rule["resources"] and verb in rule["verbs"]
    }


def test_where_scans_are_listed_nothing_else_is_read_in_other_namespaces() -> None:
    """ConfigMaps hold what nobody meant for an operator, and an exec into a pod is as good as its account."""
    whole = "ClusterRole scanplan-operator"
    readers = {"api": {"enabled": True, "readerPods": True}}
    wide = render(readers)
    assert reach(wide, "configmaps", "get") == {whole}
    assert reach(wide, "pods/exec", "create") == {f"{whole}-api-readers"}
    listed = render({**readers, "scanNamespaces": ["red", "blue"]})
    names = [f"Role {namespace}/scanplan-operator" for namespace in ("red", "blue")]
    assert reach(listed, "configmaps", "get") == {f"{name}-inputs" for name in names}
    assert reach(listed, "pods/exec", "create") == {f"{name}-api-readers" for name in names}
    assert {f"RoleBinding {name.removeprefix('Role ')}-inputs" for name in names} <= listed.keys()
    for objects in (wide, listed):  # the rest is as wide as the watch
        assert reach(objects, "configmaps", "create") == {whole}
        assert reach(objects, "jobs", "create") == {whole}
    watched = render({**readers, "watchNamespaces": ["red"], "scanNamespaces": ["blue"]})
    assert reach(watched, "configmaps", "get") == {"Role red/scanplan-operator"}
    assert reach(watched, "pods/exec", "create") == {"Role red/scanplan-operator-api-readers"}


@pytest.mark.parametrize("replicas", [1, 2])
def test_operators_work_with_the_lease_that_they_may_take(replicas: int) -> None:
    """Without the right to it none would ever work; without an identity of the pod, a restart would wait for its own lease."""
    objects = render({"replicas": replicas, "watchNamespaces": ["red"]})
    assert OperatorSettings(**environment(objects)).leader_election  # type: ignore[arg-type]
    assert objects[f"Deployment {NAMESPACE}/scanplan-operator"]["spec"]["strategy"] == {"type": "RollingUpdate"}
    assert f"RoleBinding {NAMESPACE}/scanplan-operator-lease" in objects
    (uid,) = (each for each in operator_container(objects)["env"] if each["name"] == "SCANPLAN_POD_UID")
    assert uid["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.uid"}}


def test_without_a_lease_the_operator_may_touch_none_and_waits_for_the_end_of_the_last_one() -> None:
    objects = render({"leaderElection": {"enabled": False}})
    assert not OperatorSettings(**environment(objects)).leader_election  # type: ignore[arg-type]
    assert objects[f"Deployment {NAMESPACE}/scanplan-operator"]["spec"]["strategy"] == {"type": "Recreate"}
    assert not [name for name in objects if "lease" in name]


def test_two_releases_share_no_object_and_both_know_where_the_api_servers_are() -> None:
    """Lost otherwise: a second release that Helm refuses, or whose plans may scan the API servers."""
    page = (ROOT / "docs/install.md").read_text()
    (advice,) = re.findall(r"^Two releases in one cluster must .*?\n\n", page, re.DOTALL | re.MULTILINE)
    second: Values = {"watchNamespaces": ["blue"]}
    for part, value in re.findall(r"`(\w+)\.(\w+)=false`", advice):
        second.setdefault(part, {})[value] = False
    assert second["crds"] == {"enabled": False}
    releases = {"scanplan": render({"watchNamespaces": ["red"]}), "second": render(second, release="second")}
    assert not releases["scanplan"].keys() & releases["second"].keys()
    for objects in releases.values():
        assert len(reach(objects, "endpointslices", "get")) == 1


def test_two_releases_in_one_namespace_have_a_lease_each() -> None:
    """With one between them, the plans of one release would have no operator."""
    objects = render({"fullnameOverride": "second"})
    (container,) = objects[f"Deployment {NAMESPACE}/second"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "SCANPLAN_LEASE_NAME", "value": "second"} in container["env"]
    named = [
        rule["resourceNames"] for rule in objects[f"Role {NAMESPACE}/second-lease"]["rules"] if "resourceNames" in rule
    ]
    assert named == [["second"]]


@pytest.mark.parametrize("watched", [[], ["red"]])
def test_with_kueue_the_operator_may_do_what_the_plain_manifest_lets_it_do(watched: list[str]) -> None:
    documents = list(yaml.safe_load_all((ROOT / "examples/install/kueue.yaml").read_text()))
    (role,) = (each for each in documents if each["kind"] == "ClusterRole")
    objects = render({"watchNamespaces": watched, "rbac": {"kueue": True}})
    kind = "Role red/" if watched else "ClusterRole "
    assert objects[f"{kind}scanplan-operator-kueue"]["rules"] == role["rules"]
    assert not [name for name in render({"watchNamespaces": watched}) if "kueue" in name]


def test_without_schedules_the_operator_may_make_no_plan_and_there_is_no_definition(plain: Objects) -> None:
    """Lost otherwise: a release whose operator makes only what people have written."""
    objects = render({"schedules": {"enabled": False}})
    assert not OperatorSettings(**environment(objects)).schedules  # type: ignore[arg-type]
    definition = "CustomResourceDefinition scanschedules.scanplan.dev"
    assert definition in plain
    assert definition not in objects
    role = "ClusterRole scanplan-operator"
    verbs = {
        resource: set(rule["verbs"])
        for rule in objects[role]["rules"]
        for resource in rule["resources"]
        if resource.startswith("scan")
    }
    assert (verbs["scanplans"], verbs["scanplans/status"]) == ({"get", "list", "watch"}, {"patch"})
    assert not [resource for resource in verbs if resource.startswith("scanschedules")]
    others = [rule for rule in plain[role]["rules"] if not rule["resources"][0].startswith("scan")]
    assert [rule for rule in objects[role]["rules"] if not rule["resources"][0].startswith("scan")] == others


def test_without_notifiers_the_operator_hears_of_none_and_reads_none_of_their_secrets(plain: Objects) -> None:
    """Lost otherwise: a release that sends nothing to anybody, for owners who want that."""
    objects = render({"notifiers": {"enabled": False, "secrets": {"red": ["slack"]}}})
    assert not OperatorSettings(**environment(objects)).notifiers  # type: ignore[arg-type]
    definition = "CustomResourceDefinition scannotifiers.scanplan.dev"
    assert definition in plain
    assert definition not in objects
    rules = [rule for name, each in objects.items() if name.startswith("Role ") for rule in each["rules"]]
    rules += objects["ClusterRole scanplan-operator"]["rules"]
    assert not [rule for rule in rules for resource in rule["resources"] if resource.startswith("scannotifiers")]
    assert not [name for name in objects if name.endswith("-notifiers")]


def test_notifiers_read_the_secrets_that_are_named_and_make_none(plain: Objects) -> None:
    objects = render({"notifiers": {"secrets": {"red": ["slack", "hook"]}}})
    (rule,) = objects["Role red/scanplan-operator-notifiers"]["rules"]
    assert rule == {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["slack", "hook"], "verbs": ["get"]}
    assert "RoleBinding red/scanplan-operator-notifiers" in objects
    assert not [name for name in plain if name.endswith("-notifiers")]


def test_notifiers_send_to_the_hosts_that_the_owner_lists(plain: Objects) -> None:
    assert OperatorSettings(**environment(plain)).notifier_hosts == DEFAULT_HOSTS  # type: ignore[arg-type]
    values = {"allowedHosts": ["relay.ci.svc:8080"], "pageUrl": "https://scans.example.com"}
    settings = OperatorSettings(**environment(render({"notifiers": values})))  # type: ignore[arg-type]
    assert (settings.notifier_hosts, settings.page_url) == (("relay.ci.svc:8080",), "https://scans.example.com")
    assert OperatorSettings(**environment(render({"notifiers": {"allowedHosts": []}}))).notifier_hosts == ()  # type: ignore[arg-type]


def test_plans_export_to_the_hosts_that_the_owner_lists(plain: Objects) -> None:
    assert OperatorSettings(**environment(plain)).export_hosts == ()  # type: ignore[arg-type]
    values = {"exports": {"allowedHosts": ["s3.example.com", "dojo.svc:8080"]}}
    settings = OperatorSettings(**environment(render(values)))  # type: ignore[arg-type]
    assert settings.policy().export_hosts == ("s3.example.com", "dojo.svc:8080")


def test_exports_read_the_secrets_that_are_named_and_make_none(plain: Objects) -> None:
    objects = render({"exports": {"secrets": {"red": ["s3", "dojo"]}}})
    (rule,) = objects["Role red/scanplan-operator-exports"]["rules"]
    assert rule == {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s3", "dojo"], "verbs": ["get"]}
    assert "RoleBinding red/scanplan-operator-exports" in objects
    assert not [name for name in plain if name.endswith("-exports")]


def test_export_pods_reach_receivers_only_where_the_owner_says() -> None:
    """Lost otherwise: exports that reach nobody, or pods with results and tokens that reach everything."""
    receiver = {"ipBlock": {"cidr": "10.1.2.3/32"}}
    for exports, expected in (([], []), ([receiver], [{"to": [receiver]}])):
        policy = render(policed(exports=exports))[f"NetworkPolicy {NAMESPACE}/scanplan-operator-exports"]
        dns, *others = policy["spec"]["egress"]
        assert {port["port"] for port in dns["ports"]} == {53}
        assert others == expected


def test_the_operator_reaches_receivers_only_where_the_owner_says() -> None:
    """Lost otherwise: notifiers that reach nobody, or an operator that reaches everything."""
    receiver = {"ipBlock": {"cidr": "203.0.113.0/24"}}
    for receivers, enabled, expected in (([], True, False), ([receiver], True, True), ([receiver], False, False)):
        objects = render({**policed(receivers=receivers), "notifiers": {"enabled": enabled}})
        assert (receiver in peers(objects[f"NetworkPolicy {NAMESPACE}/scanplan-operator"])) is expected


def test_the_operator_reads_the_secrets_that_are_named_and_no_others() -> None:
    objects = render({"rbac": {"secrets": {"red": ["targets"]}}})
    about_secrets = [
        (name, rule)
        for name, manifest in objects.items()
        for rule in manifest.get("rules", ())
        if "secrets" in rule["resources"]
    ]
    core = {"apiGroups": [""], "resources": ["secrets"]}
    assert about_secrets == [
        ("Role red/scanplan-operator-secrets", {**core, "resourceNames": ["targets"], "verbs": ["get"]}),
        ("Role red/scanplan-operator-secrets", {**core, "verbs": ["create"]}),
    ]
    assert "RoleBinding red/scanplan-operator-secrets" in objects


def test_only_who_administers_a_namespace_may_accept_a_risk(plain: Objects) -> None:
    """Lost otherwise: the second pair of eyes, where those who may deploy may also decide that their findings don't count."""
    role = plain["ClusterRole scanplan-operator-exceptions"]
    assert [label for label in role["metadata"]["labels"] if "aggregate" in label] == [
        "rbac.authorization.k8s.io/aggregate-to-admin"
    ]
    (rule,) = role["rules"]
    changed = {"create", "update", "patch", "delete", "deletecollection"}
    assert set(rule["verbs"]) == {"get", "list", "watch"} | changed, "those who are bound to it alone apply exceptions"
    assert {
        name
        for name, manifest in plain.items()
        for rule in manifest.get("rules", ())
        if "scanexceptions" in rule["resources"] and changed & set(rule["verbs"])
    } == {"ClusterRole scanplan-operator-exceptions"}


def test_those_who_may_view_see_plans_and_may_not_change_them_or_read_findings(plain: Objects) -> None:
    viewer, editor = (plain[f"ClusterRole scanplan-operator-{who}"] for who in ("viewer", "editor"))
    (views,), (edits,) = viewer["rules"], editor["rules"]
    assert set(views["verbs"]) == {"get", "list", "watch"}
    kinds = {"scanplans", "scanschedules", "scanexceptions", "scannotifiers"}
    assert set(views["resources"]) == kinds | {f"{kind}/status" for kind in kinds}
    assert edits["resources"] == ["scanplans", "scanschedules", "scannotifiers"]
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {label.removeprefix(prefix) for label in editor["metadata"]["labels"] if label.startswith(prefix)} == {
        "edit",
        "admin",
    }
    for manifest in plain.values():
        for rule in manifest.get("rules", ()):
            assert "*" not in [*rule["resources"], *rule["verbs"], *rule["apiGroups"]]
            assert "scanplans/artifacts" not in rule["resources"]


# network


def policed(**more: Any) -> Values:
    """Policies for scans of the release's own namespace."""
    return {"networkPolicy": {"enabled": True, "apiServer": API_SERVER, **more}, "scanNamespaces": [NAMESPACE]}


def peers(policy: Manifest) -> list[Manifest]:
    return [peer for rule in policy["spec"]["egress"] for peer in rule["to"]]


def test_scan_pods_reach_neither_the_api_server_nor_metadata() -> None:
    objects = render({"networkPolicy": {"enabled": True, "apiServer": API_SERVER}, "scanNamespaces": ["red", "blue"]})
    denied = {*API_SERVER, *defaults()["networkPolicy"]["denied"]}
    for namespace in ("red", "blue"):
        policy = objects[f"NetworkPolicy {namespace}/scanplan-operator-scans"]
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in policy["spec"]
        blocks = [peer["ipBlock"] for peer in peers(policy) if "ipBlock" in peer]
        assert {block["cidr"] for block in blocks} == {"0.0.0.0/0", "::/0"}
        assert {each for block in blocks for each in block["except"]} == denied


NO_SERVICE_OF_A_CLOUD = {"0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128", "64:ff9b:1::/48", "2001::/32"}
"""Ranges that the target guard denies for the pod's own loopback, or because they may translate to others."""


def test_policies_deny_the_metadata_addresses_that_the_target_guard_denies() -> None:
    """Lost otherwise: a scan pod that was taken over reads the node's credentials, where the guard no longer holds."""
    ranges = {row.entry for row in TABLE if "/" in row.entry}
    assert ranges > NO_SERVICE_OF_A_CLOUD
    assert set(defaults()["networkPolicy"]["denied"]) == ranges - NO_SERVICE_OF_A_CLOUD


def test_targets_of_your_own_are_all_that_scan_pods_reach() -> None:
    target = {"ipBlock": {"cidr": "203.0.113.0/24"}}
    objects = render(policed(targets=[target]))
    dns, targets = objects[f"NetworkPolicy {NAMESPACE}/scanplan-operator-scans"]["spec"]["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert targets == {"to": [target]}


def test_the_operator_reaches_dns_and_the_api_server_alone() -> None:
    objects = render(policed())
    policy = objects[f"NetworkPolicy {NAMESPACE}/scanplan-operator"]
    assert "ingress" not in policy["spec"]
    dns, server = policy["spec"]["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert [peer["ipBlock"]["cidr"] for peer in server["to"]] == API_SERVER


# Redis


def test_a_redis_with_a_password_is_named_by_a_secret_and_the_password_is_in_no_manifest() -> None:
    with pytest.raises(programs.ProgramError):
        render({"redis": {"url": "redis://:secret@redis.data:6379/0"}})
    (url,) = (
        variable
        for variable in operator_container(render({"redis": {"existingSecret": {"name": "results"}}}))["env"]
        if variable["name"] == "REDIS_URL"
    )
    assert url["valueFrom"] == {"secretKeyRef": {"name": "results", "key": "url"}}


def test_without_a_redis_the_operator_looks_for_none(plain: Objects) -> None:
    assert "REDIS_URL" not in environment(plain)
    variables = environment(render({"redis": {"url": "redis://redis.data:6379/0", "clusterName": "east"}}))
    assert variables["REDIS_URL"] == "redis://redis.data:6379/0"
    assert variables["SCANPLAN_CLUSTER_NAME"] == "east"


def test_clusters_share_tasks_only_where_they_share_a_redis() -> None:
    """Without one the operator would end at its start."""
    with pytest.raises(programs.ProgramError, match=r"redis\.sharedTasks needs a Redis"):
        render({"redis": {"sharedTasks": True}})
    shared = environment(render({"redis": {"url": "redis://redis.data:6379/0", "sharedTasks": True}}))
    alone = environment(render({"redis": {"url": "redis://redis.data:6379/0"}}))
    assert PublicationSettings(**shared).shared_tasks  # type: ignore[arg-type]
    assert not PublicationSettings(**alone).shared_tasks  # type: ignore[arg-type]


def test_policies_let_the_operator_reach_its_redis() -> None:
    """One that it could not reach would lose every publication, so leaving it out is an error."""
    values: Values = {"redis": {"url": "redis://redis.data:6379/0"}}
    with pytest.raises(programs.ProgramError, match=r"networkPolicy\.redis is empty"):
        render({**values, **policed()})
    server = {"ipBlock": {"cidr": "203.0.113.9/32"}}
    objects = render({**values, **policed(redis=[server])})
    assert server in peers(objects[f"NetworkPolicy {NAMESPACE}/scanplan-operator"])


# the API


API_DEPLOYMENT = f"Deployment {NAMESPACE}/scanplan-operator-api"


def api_pod(objects: Objects) -> dict[str, Any]:
    pod: dict[str, Any] = objects[API_DEPLOYMENT]["spec"]["template"]["spec"]
    return pod


def api_settings(objects: Objects) -> ApiSettings:
    (container,) = api_pod(objects)["containers"]
    return ApiSettings(**{each["name"]: each["value"] for each in container["env"]})


def test_the_api_is_a_process_of_its_own_and_asks_kubernetes_who_may_read(plain: Objects) -> None:
    """Lost otherwise: what kills the API kills the operator. In the pod nobody is left who could decide who may read."""
    objects = render({"api": {"enabled": True, "audience": "scans", "service": {"port": 80}}})
    (container,) = api_pod(objects)["containers"]
    assert container["args"] == ["api"]
    settings = api_settings(objects)
    assert settings.authentication is Authentication.KUBERNETES
    assert settings.audience == "scans"
    assert settings.host == "*", "only the pod itself would reach it"
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"api": settings.port}
    service = objects[f"Service {NAMESPACE}/scanplan-operator-api"]["spec"]
    assert [(port["port"], port["targetPort"]) for port in service["ports"]] == [(80, "api")]
    labels = objects[API_DEPLOYMENT]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    operator = objects[f"Deployment {NAMESPACE}/scanplan-operator"]
    assert operator == plain[f"Deployment {NAMESPACE}/scanplan-operator"], "the operator must not know of it"
    assert not service["selector"].items() <= operator["spec"]["template"]["metadata"]["labels"].items()
    assert not [name for name in plain if name.endswith(("-api", "-api-readers"))]


def test_every_setting_of_the_api_is_a_value() -> None:
    values: Values = {"hosts": ["scans.example"], "connections": 900, "connectionsPerAddress": 300, "readerPods": True}
    objects = render({"watchNamespaces": ["red"], "api": {"enabled": True, **values}})
    (container,) = api_pod(objects)["containers"]
    known = {str(field.alias) for field in ApiSettings.model_fields.values()}
    assert known <= {each["name"] for each in container["env"]}
    settings = api_settings(objects)
    assert (settings.connections, settings.connections_per_address, settings.reader_pods) == (900, 300, True)
    assert settings.namespaces == ("red",)
    service = "scanplan-operator-api"
    suffixes = ("", f".{NAMESPACE}", f".{NAMESPACE}.svc", f".{NAMESPACE}.svc.cluster.local")
    assert settings.hosts == (*(f"{service}{suffix}" for suffix in suffixes), "scans.example")


@pytest.mark.parametrize(
    ("watched", "namespace"), [([], NAMESPACE), (["red", "blue"], "red"), (["red", NAMESPACE], NAMESPACE)]
)
def test_the_api_begins_with_a_namespace_that_it_may_read(watched: list[str], namespace: str) -> None:
    """Lost otherwise: an API that is never ready, since it asks for plans where it has no rights."""
    (container,) = api_pod(render({"watchNamespaces": watched, "api": {"enabled": True}}))["containers"]
    assert {"name": "SCANPLAN_NAMESPACE", "value": namespace} in container["env"]


def test_the_chart_serves_the_api_that_the_plain_manifests_serve() -> None:
    """Two ways of installing that differ would be two products.

    With service links, the Service `scanplan-api` would give each later pod a SCANPLAN_API_PORT that is no number.
    """
    manifests = {each["kind"]: each for each in yaml.safe_load_all((ROOT / "examples/install/api.yaml").read_text())}
    ours, theirs = api_pod(render({"api": {"enabled": True}})), manifests["Deployment"]["spec"]["template"]["spec"]
    for name in ("securityContext", "enableServiceLinks"):
        assert ours[name] == theirs.get(name), name
    assert theirs["serviceAccountName"] == "scanplan-api"
    for name in ("args", "ports", "livenessProbe", "readinessProbe", "resources", "securityContext", "volumeMounts"):
        assert ours["containers"][0][name] == theirs["containers"][0][name], name
    settings = ApiSettings(**{each["name"]: each["value"] for each in theirs["containers"][0]["env"]})
    service = manifests["Service"]
    assert f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc" in settings.hosts
    assert (
        service["spec"]["selector"].items() <= manifests["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    )


@pytest.mark.parametrize("watched", [[], ["red"]])
def test_the_api_may_do_what_the_plain_manifests_let_it_do(watched: list[str]) -> None:
    """To exec into pods is much, so it comes only where artifacts are asked for, and only in namespaces that are watched."""
    manifests = {
        (manifest["kind"], manifest["metadata"]["name"]): manifest
        for name in ("api-rbac.yaml", "api-readers-rbac.yaml")
        for manifest in yaml.safe_load_all((ROOT / "examples/python" / name).read_text())
    }
    kind, binding = ("Role red/", "RoleBinding red/") if watched else ("ClusterRole ", "ClusterRoleBinding ")
    states = render({"watchNamespaces": watched, "api": {"enabled": True}})
    reviews = states["ClusterRoleBinding scanplan-operator-api-reviews"]
    assert reviews["roleRef"] == manifests["ClusterRoleBinding", "scanplan-api-reviews"]["roleRef"]
    assert states[f"{kind}scanplan-operator-api"]["rules"] == manifests["ClusterRole", "scanplan-api"]["rules"]
    assert not [name for name in states if "readers" in name]
    artifacts = render({"watchNamespaces": watched, "api": {"enabled": True, "readerPods": True}})
    role = artifacts[f"{kind}scanplan-operator-api-readers"]
    assert role["rules"] == manifests["ClusterRole", "scanplan-api-readers"]["rules"]
    account = api_pod(artifacts)["serviceAccountName"]
    for name in ("scanplan-operator-api", "scanplan-operator-api-readers"):
        assert [each["name"] for each in artifacts[f"{binding}{name}"]["subjects"]] == [account]
    assert [subject["name"] for subject in reviews["subjects"]] == [account]
    bound = [each for each in artifacts.values() if each["kind"].endswith("Binding")]
    of_operator = {each["metadata"]["name"] for each in bound if each["subjects"][0]["name"] == "scanplan-operator"}
    own = {"scanplan-operator", "scanplan-operator-lease", "scanplan-operator-api-server"}
    assert of_operator == own, "the API gives the operator no rights"


def test_copies_of_artifacts_have_room() -> None:
    """A pod that writes beyond its bound is evicted."""

    def room(api: Values) -> str:
        (tmp,) = (volume for volume in api_pod(render({"api": api}))["volumes"] if volume["name"] == "tmp")
        limit: str = tmp["emptyDir"]["sizeLimit"]
        return limit

    assert room({"enabled": True}) == "2Gi"
    assert room({"enabled": True, "readerPods": True}) == "4Gi"


def test_several_apis_are_not_drained_at_once() -> None:
    name = f"PodDisruptionBudget {NAMESPACE}/scanplan-operator-api"
    assert name not in render({"api": {"enabled": True}}), "one pod with a budget would hold up every drain"
    budget = render({"api": {"enabled": True, "replicas": 2}})[name]["spec"]
    assert budget["maxUnavailable"] == 1


def test_policies_let_those_reach_the_api_who_are_named_and_nobody_else() -> None:
    policy: Values = {"enabled": True, "apiServer": API_SERVER}
    values: Values = {"scanNamespaces": ["red"], "api": {"enabled": True}, "networkPolicy": policy}
    with pytest.raises(programs.ProgramError, match=r"networkPolicy\.api is empty"):
        render(values)
    policy["api"] = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    objects = render(values)
    spec = objects[f"NetworkPolicy {NAMESPACE}/scanplan-operator-api"]["spec"]
    assert spec["ingress"] == [{"from": policy["api"], "ports": [{"protocol": "TCP", "port": 8081}]}]
    assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "api"
    reached = [peer["ipBlock"]["cidr"] for rule in spec["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert reached == API_SERVER
    assert "ingress" not in objects[f"NetworkPolicy {NAMESPACE}/scanplan-operator"]["spec"]


# metrics


@pytest.mark.parametrize("port", [9464, 9090])
def test_the_metrics_are_there_where_nobody_asked_for_them(port: int) -> None:
    """Lost otherwise: a Prometheus that asks pods or Services by itself finds nothing until somebody reads the documentation."""
    objects = render({} if port == 9464 else {"metrics": {"port": port}})
    ports = {each["name"]: each["containerPort"] for each in operator_container(objects)["ports"]}
    service = objects[f"Service {NAMESPACE}/scanplan-operator-metrics"]["spec"]
    assert OperatorSettings(**environment(objects)).metrics_port == ports["metrics"] == port  # type: ignore[arg-type]
    assert service["ports"] == [{"name": "metrics", "port": port, "targetPort": "metrics"}]
    pod = objects[f"Deployment {NAMESPACE}/scanplan-operator"]["spec"]["template"]["metadata"]
    assert service["selector"].items() <= pod["labels"].items()


def test_metrics_that_are_off_leave_nothing_behind() -> None:
    objects = render({"metrics": {"enabled": False}})
    assert OperatorSettings(**environment(objects)).metrics_port == 0  # type: ignore[arg-type]
    assert [each["name"] for each in operator_container(objects)["ports"]] == ["probe"]
    assert not [name for name in objects if "metrics" in name]


@pytest.mark.parametrize("api", [False, True])
@pytest.mark.parametrize(("value", "kind"), [("serviceMonitor", "ServiceMonitor"), ("podMonitor", "PodMonitor")])
def test_prometheus_finds_the_metrics(value: str, kind: str, api: bool) -> None:
    """By the labels of what it asks, and the names of the ports: the operator's, and the API's where there is one."""
    objects = render({"api": {"enabled": api}, "metrics": {value: {"enabled": True, "interval": "1m"}}})
    spec = objects[f"{kind} {NAMESPACE}/scanplan-operator"]["spec"]
    ports = ["metrics", "api"] if api else ["metrics"]
    assert spec["endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"] == [
        {"port": port, "path": "/metrics", "interval": "1m", **({"honorLabels": True} if port == "metrics" else {})}
        for port in ports
    ], "the series of a schedule keep its namespace"
    scraped: list[str] = []
    for each in objects.values():
        if kind == "ServiceMonitor" and each["kind"] == "Service":
            labels_of, offered = each["metadata"]["labels"], each["spec"]["ports"]
        elif kind == "PodMonitor" and each["kind"] == "Deployment":
            pod = each["spec"]["template"]
            labels_of, offered = pod["metadata"]["labels"], pod["spec"]["containers"][0]["ports"]
        else:
            continue
        assert spec["selector"]["matchLabels"].items() <= labels_of.items()
        (expression,) = spec["selector"]["matchExpressions"]
        if labels_of[expression["key"]] in expression["values"]:
            scraped += [port["name"] for port in offered if port["name"] in ports]
    assert sorted(scraped) == sorted(ports)


def test_policies_let_prometheus_scrape_and_nobody_else() -> None:
    prometheus = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    name = f"NetworkPolicy {NAMESPACE}/scanplan-operator"
    assert "ingress" not in render(policed())[name]["spec"]
    ingress = render(policed(metrics=prometheus))[name]["spec"]["ingress"]
    assert ingress == [{"from": prometheus, "ports": [{"protocol": "TCP", "port": 9464}]}]
    readers = [{"podSelector": {"matchLabels": {"app": "ingress"}}}]
    scraped = [{"from": prometheus, "ports": [{"protocol": "TCP", "port": 8081}]}]
    for metrics, others in (([], []), (prometheus, scraped)):
        objects = render({**policed(metrics=metrics, api=readers), "api": {"enabled": True}})
        asked, *rest = objects[f"NetworkPolicy {NAMESPACE}/scanplan-operator-api"]["spec"]["ingress"]
        assert asked["from"] == readers
        assert rest == others


def test_the_alerts_and_the_dashboard_arrive_as_they_are_in_the_files() -> None:
    """Both are full of braces, which Helm must not take for its own."""
    objects = render({"metrics": {"prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}})
    rule = objects[f"PrometheusRule {NAMESPACE}/scanplan-operator"]
    assert rule["spec"] == yaml.safe_load((CHART / "files/alerts.yaml").read_text())
    dashboard = objects[f"ConfigMap {NAMESPACE}/scanplan-operator-dashboard"]
    assert json.loads(dashboard["data"]["scanplan-operator.json"]) == json.loads(
        (CHART / "files/dashboard.json").read_text()
    )


# claims


@pytest.mark.parametrize(
    ("values", "namespaces"),
    [
        ({"artifacts": {"create": True}}, [NAMESPACE]),
        ({"artifacts": {"create": True}, "watchNamespaces": ["red"]}, ["red"]),
        ({"artifacts": {"create": True}, "watchNamespaces": ["red", "blue"], "scanNamespaces": ["blue"]}, ["blue"]),
        ({}, []),
    ],
)
def test_claims_are_where_scans_are_and_stay(values: Values, namespaces: list[str]) -> None:
    claims = {name: each for name, each in render(values).items() if each["kind"] == "PersistentVolumeClaim"}
    assert list(claims) == [f"PersistentVolumeClaim {namespace}/scanplan-artifacts" for namespace in namespaces]
    assert all(claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for claim in claims.values())


@pytest.mark.parametrize(
    ("given", "expected"), [(None, {}), ("", {"storageClassName": ""}), ("fast", {"storageClassName": "fast"})]
)
def test_no_storage_class_is_not_the_default_storage_class(given: str | None, expected: dict[str, str]) -> None:
    claim = render({"artifacts": {"create": True, "storageClassName": given}})[
        f"PersistentVolumeClaim {NAMESPACE}/scanplan-artifacts"
    ]
    assert {name: value for name, value in claim["spec"].items() if name == "storageClassName"} == expected


@pytest.mark.parametrize(
    ("limits", "arguments"),
    [
        ({"keepRuns": 0}, ["--keep-runs=0"]),
        ({"maxAge": "30d"}, ["--max-age=30d"]),
        (
            {"keepRuns": 1000000, "maxAge": "8w", "maxSize": "20Gi"},
            ["--keep-runs=1000000", "--max-age=8w", "--max-size=20Gi"],
        ),
    ],
)
def test_retention_prunes_the_claim_of_each_scan_namespace_by_the_limits_given(
    limits: Values, arguments: list[str]
) -> None:
    """On the node where a ReadWriteOnce claim already is, else it would wait for the scans to end."""
    objects = render({"scanNamespaces": ["red", "blue"], "retention": {"enabled": True, **limits}})
    for namespace in ("red", "blue"):
        pod = objects[f"CronJob {namespace}/scanplan-operator-retention"]["spec"]["jobTemplate"]["spec"]["template"]
        (container,) = pod["spec"]["containers"]
        assert container["args"] == ["prune", "/claim", "--json", *arguments]
        assert pod["spec"]["volumes"] == [
            {"name": "claim", "persistentVolumeClaim": {"claimName": "scanplan-artifacts"}}
        ]
        (together,) = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert together["labelSelector"]["matchLabels"] == {labels.CLAIM: "scanplan-artifacts"}
        assert pod["metadata"]["labels"][labels.CLAIM] == "scanplan-artifacts"
        assert labels.TASK not in pod["metadata"]["labels"]


def test_retention_goes_to_the_nodes_that_its_owner_says() -> None:
    """Lost otherwise: retention, where a claim can be reached from tainted nodes only."""
    toleration = {"key": "dedicated", "operator": "Exists"}
    apart = [{"labelSelector": {"matchLabels": {"app": "noisy"}}, "topologyKey": "kubernetes.io/hostname"}]
    asked = {
        "nodeSelector": {"pool": "scans"},
        "tolerations": [toleration],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": apart}},
        "priorityClassName": "low",
    }
    objects = render({"retention": {"enabled": True, "keepRuns": 9, **asked}})
    pod = objects[f"CronJob {NAMESPACE}/scanplan-operator-retention"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "scans"}
    assert (pod["tolerations"], pod["priorityClassName"]) == ([toleration], "low")
    assert set(pod["affinity"]) == {"podAffinity", "podAntiAffinity"}, "still where the claim is"
    assert render({"retention": {"enabled": True, "keepRuns": 9, "affinity": None}}), "null leaves a default out"


def selects(policy: Manifest, pod: dict[str, str]) -> bool:
    """Whether a NetworkPolicy selects pods with these labels (In and Exists are all that ours say)."""
    selector = policy["spec"]["podSelector"]
    return selector.get("matchLabels", {}).items() <= pod.items() and all(
        each["key"] in pod and pod[each["key"]] in each.get("values", [pod[each["key"]]])
        for each in selector.get("matchExpressions", ())
    )


def pods_of_ours(objects: Objects) -> dict[str, dict[str, str]]:
    """The labels of the pods that a release leads to, by what they are."""
    made = task()
    scan = jobs.build(made, plan(), POLICY)
    collector = jobs.build_collector(made, plan(), POLICY)
    cron_job = objects[f"CronJob {NAMESPACE}/scanplan-operator-retention"]["spec"]["jobTemplate"]
    exported = plan(
        completed_status(),
        exports=[{"name": "x", "http": {"url": "https://in.example.com"}}],
    )
    settled = {"metadata": {"name": "plan", "namespace": NAMESPACE, "uid": "uid"}, "spec": {}}
    pods = {
        "scan": scan["spec"]["template"],
        "collector": collector["spec"]["template"],
        "reader": reader.manifest(settled, "claim", "image"),
        "retention": cron_job["spec"]["template"],
        "exporter": exporting.build(exported, exported.spec.exports, POLICY, one_node_only=False)["spec"]["template"],
        "operator": objects[f"Deployment {NAMESPACE}/scanplan-operator"]["spec"]["template"],
    }
    return {name: pod["metadata"]["labels"] for name, pod in pods.items()}


def test_each_pod_is_under_the_policy_that_is_meant_for_it_and_under_no_other() -> None:
    """Policies add up: a collector that the policy of scans selects too would reach what scans reach."""
    objects = render({**policed(), "retention": {"enabled": True, "keepRuns": 9}})
    policies = {name: each for name, each in objects.items() if name.startswith(f"NetworkPolicy {NAMESPACE}/")}
    ours = {
        "scan": "-scans",
        "collector": "-files",
        "reader": "-files",
        "retention": "-retention",
        "exporter": "-exports",
        "operator": "",
    }
    assert {
        name: [policy for policy in policies if selects(policies[policy], pod)]
        for name, pod in pods_of_ours(objects).items()
    } == {name: [f"NetworkPolicy {NAMESPACE}/scanplan-operator{policy}"] for name, policy in ours.items()}


@pytest.mark.parametrize("values", [{}, policed()], ids=["by default", "with all policies"])
def test_pods_that_work_on_files_reach_nothing(values: Values) -> None:
    """Also where nobody has told the chart what the network looks like: these policies need not know it."""
    objects = render({**values, "retention": {"enabled": True, "keepRuns": 9}})
    for name in ("files", "retention"):
        spec = objects[f"NetworkPolicy {NAMESPACE}/scanplan-operator-{name}"]["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert not {"ingress", "egress"} & spec.keys()
    off = render({"networkPolicy": {"isolateFilePods": False}, "retention": {"enabled": True, "keepRuns": 9}})
    assert not [name for name in off if name.startswith("NetworkPolicy")]


DISCOVERY = ("ingresses", "httpRoutes", "services", "routes", "virtualServices")


@pytest.mark.parametrize("value", DISCOVERY)
def test_each_discovered_kind_is_a_right_of_its_own(value: str) -> None:
    """Lost otherwise: least rights, or a value that gives none."""
    assert not any("discovery" in name for name in render())
    rules = render({"discovery": {value: True}})["ClusterRole scanplan-operator-discovery"]["rules"]
    assert [(rule["resources"], rule["verbs"]) for rule in rules[:1]] == [([value.lower()], ["list"])]
    assert all(rule["resources"] == ["gateways"] and rule["verbs"] == ["get"] for rule in rules[1:])


def test_discovery_stays_in_the_watched_namespaces() -> None:
    discovery = {"ingresses": True, "namespaces": ["edge", "team-*"]}
    objects = render({"watchNamespaces": ["a"], "discovery": discovery})
    roles = {name for name in objects if name.startswith(("Role ", "ClusterRole ")) and "discovery" in name}
    assert roles == {"Role a/scanplan-operator-discovery", "Role edge/scanplan-operator-discovery"}
