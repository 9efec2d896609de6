"""From a plan to its task: defaults, what an author may ask, and what stays as it was first seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from scanplan.api import labels
from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.model import Effect
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.planning import sources
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.targets.guard import Guard
from scanplan.core.planning.task import Resolution, Task, claim_of, digest_of, input_digest, resolve
from tests.unit.core.objects import CLAIM, INPUTS, NOW, POLICY, plan, task

STRICT = Policy(
    scanner_image="scanner:1",
    allowed_images=("registry.example/scanner:*",),
    allowed_claims=("team-*",),
    allowed_service_accounts=("default", "scan-*"),
    proxy="http://own.example:3128",
    allowed_proxies=("socks5://egress.example:*", "http://*.0.*", "http://kubernetes.*"),
)

ALLOWED: list[dict[str, Any]] = [
    {"scanner": {"image": "scanner:1"}},
    {"scanner": {"image": "registry.example/scanner:3.10"}},
    {"artifacts": {"claimName": "scanplan-artifacts"}},
    {"artifacts": {"claimName": "team-results"}},
    {"podTemplate": {"serviceAccountName": "default"}},
    {"podTemplate": {"serviceAccountName": "scan-egress"}},
    {"templatesFrom": [{"image": {"reference": "registry.example/scanner:templates"}}]},
    {"scanner": {"proxy": "http://own.example:3128"}},
    {"scanner": {"proxy": "socks5://egress.example:1080"}},
]

REFUSED: list[tuple[dict[str, Any], Reason, str]] = [
    ({"scanner": {"image": "scanner:2"}}, Reason.INVALID_SPEC, "SCANPLAN_ALLOWED_IMAGES"),
    ({"scanner": {"image": "evil.example/registry.example/scanner:1"}}, Reason.INVALID_SPEC, "leave it out"),
    ({"artifacts": {"claimName": "other-team"}}, Reason.INVALID_SPEC, "SCANPLAN_ALLOWED_CLAIMS"),
    ({"podTemplate": {"serviceAccountName": "admin"}}, Reason.INVALID_SPEC, "SCANPLAN_ALLOWED_SERVICE_ACCOUNTS"),
    ({"templatesFrom": [{"image": {"reference": "evil.example/t"}}]}, Reason.INVALID_SPEC, "SCANPLAN_ALLOWED_IMAGES"),
    ({"scanner": {"proxy": "socks5://evil.example:1080"}}, Reason.INVALID_SPEC, "SCANPLAN_ALLOWED_PROXIES"),
    ({"scanner": {"proxy": "http://127.0.0.1:8080"}}, Reason.TARGET_DENIED, "127.0.0.0/8"),
    ({"scanner": {"proxy": "http://kubernetes.default"}}, Reason.TARGET_DENIED, "the proxy"),
    ({"endpoints": ["a.example", "10.0.0.0/8"]}, Reason.INVALID_ENDPOINT, "'10.0.0.0/8'"),
    ({"endpoints": ["a.example", "http://2130706433/"]}, Reason.TARGET_DENIED, "127.0.0.0/8"),
]


def resolved(policy: Policy, spec: dict[str, Any], earlier: Resolution | None = None) -> Any:
    of = plan(**spec)
    inputs = dict.fromkeys(
        sources.needed(of.spec, of.namespace, claim_of(of.spec, policy, earlier), policy), INPUTS[CLAIM]
    )
    return resolve(of, policy, NOW, inputs, earlier)


@pytest.mark.parametrize(
    ("scanner", "proxy"),
    [({}, "http://own.example:3128"), ({"proxy": "socks5://egress.example:1080"}, "socks5://egress.example:1080")],
)
def test_a_plan_without_a_proxy_takes_the_owners(scanner: dict[str, Any], proxy: str) -> None:
    """Targets that only the proxy reaches would be unreachable."""
    assert resolved(STRICT, {"scanner": scanner}).document.scanner.proxy == proxy


def test_a_plans_proxy_is_another_scan_and_the_owners_is_not() -> None:
    """From another network other things are found; but no setting of the operator gives a plan another key."""
    plain = resolved(Policy(scanner_image="scanner:1"), {})
    assert resolved(STRICT, {}).key == plain.key
    assert resolved(STRICT, {"scanner": {"proxy": "socks5://egress.example:1080"}}).key != plain.key


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:secret@proxy.example:3128", "http://user@proxy.example", "socks4://a", "a.example:3128", "http://a/path",
        "http://a:3128?x=1", "http://a,http://b", "http://a\nb", "file:///etc/passwd", "",
    ],
)  # fmt: skip
def test_a_proxy_has_no_credentials_and_is_one_url(proxy: str) -> None:
    """Plans are read by many, and so are task documents."""
    with pytest.raises(ValueError, match="proxy"):
        plan(scanner={"proxy": proxy})


@pytest.mark.parametrize("spec", ALLOWED)
def test_what_a_plan_may_ask(spec: dict[str, Any]) -> None:
    resolved(STRICT, spec)


@pytest.mark.parametrize(("spec", "reason", "message"), REFUSED)
def test_what_it_may_not_and_who_can_change_that(spec: dict[str, Any], reason: Reason, message: str) -> None:
    with pytest.raises(InvalidPlan) as refused:
        resolved(STRICT, spec)
    assert refused.value.reason is reason
    assert message in refused.value.message


def test_the_default_policy_allows_no_foreign_image_and_no_foreign_account() -> None:
    for spec in ({"scanner": {"image": "other"}}, {"podTemplate": {"serviceAccountName": "builder"}}):
        with pytest.raises(InvalidPlan):
            resolved(POLICY, spec)


class TestPinning:
    """An upgrade of the operator, another default or another way to make keys gives a plan that has started no other key."""

    NEWER = Policy(scanner_image="scanner:2", claim_name="new-claim")
    EARLIER = Resolution(key=task().key, image="scanner:1", claim="scanplan-artifacts")

    def test_without_a_pin_a_new_default_is_another_scan(self) -> None:
        assert resolved(self.NEWER, {}).key != task().key

    def test_with_one_everything_is_as_it_was(self) -> None:
        again = resolved(self.NEWER, {}, self.EARLIER)
        assert (again.key, again.job_name, again.image, again.claim) == (
            task().key,
            task().job_name,
            "scanner:1",
            "scanplan-artifacts",
        )

    def test_the_pinned_key_holds_even_where_keys_are_made_otherwise_today(self) -> None:
        assert (
            resolved(POLICY, {}, replace(self.EARLIER, key="scan:acme:nightly:1:2:3")).key == "scan:acme:nightly:1:2:3"
        )

    def test_allow_lists_are_for_new_plans_but_targets_are_denied_for_all(self) -> None:
        resolved(STRICT, {"scanner": {"image": "gone:1"}}, replace(self.EARLIER, image="gone:1"))
        tightened = replace(POLICY, guard=Guard(["a.example"]))
        with pytest.raises(InvalidPlan):
            resolved(tightened, {}, self.EARLIER)


class TestInputDigest:
    """What a pin is bound to: the key's fields as they are written."""

    @pytest.mark.parametrize(
        "spec",
        [
            {"endpoints": ["https://c.example"]},
            {"endpointsFrom": [{"configMapKeyRef": {"name": "more", "key": "list"}}]},
            {"templatesFrom": [{"configMap": {"name": "own"}}]},
            {"severityLevels": ["low"]},
            {"rerun": "x"},
            {"projectId": "other"},
            {"runId": "other"},
            {"scanner": {"image": "scanner:1"}},
            {"scanner": {"followRedirects": True}},
            {"scanner": {"variables": [{"name": "user", "value": "x"}]}},
            {"scanner": {"headers": [{"name": "User-Agent", "value": "x"}]}},
            {"artifacts": {"claimName": "c"}},
        ],
    )
    def test_changes_with_them(self, spec: dict[str, Any]) -> None:
        assert input_digest(plan(**spec).spec) != input_digest(plan().spec)

    @pytest.mark.parametrize(
        "spec",
        [
            {"endpoints": ["https://b.example", "https://a.example"]},
            {"priority": 1},
            {"suspend": True},
            {"timeoutSeconds": 99},
            {"podTemplate": {"nodeSelector": {"a": "b"}}},
        ],
    )
    def test_and_with_nothing_else(self, spec: dict[str, Any]) -> None:
        assert input_digest(plan(**spec).spec) == input_digest(plan().spec)


class TestReleases:
    """A release with more fields starts no scan again: a field that nobody has set is in no digest."""

    RICH: ClassVar[dict[str, Any]] = {
        "endpointsFrom": [{"ingresses": {}}],
        "selection": {"include": {"tags": ["cve"]}},
        "scanner": {
            "rateLimit": 7,
            "interactsh": {"server": "oast.example"},
            "variables": [{"name": "a", "value": "b"}],
        },
        "dnsConfig": {"nameservers": ["192.0.2.53"]},
        "podTemplate": {"tolerations": [{"key": "spot"}], "resources": {"limits": {"cpu": 1}}},
    }

    @pytest.mark.parametrize(
        ("spec", "of_key", "of_next_run"),
        [
            ({"sharding": {}}, "c0e6fd147e009245", "44136fa355b3678a"),
            ({}, "c0e6fd147e009245", "3f78d9230ff346b4"),
            (RICH, "bbe61bf6487bc051", "d914b2387b5bec70"),
        ],
        ids=["plain", "sharded", "rich"],
    )
    def test_digests_are_those_of_the_first_release(self, spec: dict[str, Any], of_key: str, of_next_run: str) -> None:
        """Lost otherwise: running Jobs, which an operator deletes when its plans have another digest than their pins."""
        of = plan(**spec)
        assert (of.input_digest, of.next_run_digest) == (of_key, of_next_run)

    @pytest.mark.parametrize("effect", Effect)
    def test_a_default_that_is_written_is_one_that_is_not(self, effect: Effect) -> None:
        """The API server writes the schema's defaults into each plan that is made or edited."""
        written = plan().spec.model_dump(mode="json", by_alias=True)
        assert digest_of(ScanPlanSpec.model_validate(written), effect) == digest_of(plan().spec, effect)

    def test_an_edit_of_another_effect_changes_nothing(self) -> None:
        edited = plan(scanner={"rateLimit": 7}, sharding={"maxEndpointsPerShard": 1, "parallelism": 9})
        assert edited.input_digest == plan().input_digest
        assert plan(scanner={"sni": "a.example"}).next_run_digest == plan().next_run_digest


def test_the_document_says_everything_that_a_runner_needs() -> None:
    of = plan(
        severityLevels=["high", "critical"],
        timeoutSeconds=120,
        retry={"temporary": 2, "unknown": 0},
        scanner={"rateLimit": 7, "concurrency": 3, "requestRetries": 0},
    )
    document = task(of).document
    assert document.key == task(of).key
    assert document.endpoints == ("https://a.example", "https://b.example")
    assert document.shards == 2
    assert document.severity_levels == ("critical", "high")
    assert (document.timeout_seconds, document.retry.temporary, document.retry.unknown) == (120, 2, 0)
    assert (document.scanner.rate_limit, document.scanner.concurrency, document.scanner.request_retries) == (7, 3, 0)
    assert document.denied_targets == POLICY.guard.entries
    window = timedelta(seconds=POLICY.idempotency_window_seconds)
    assert document.replay_not_before == (NOW - window).strftime("%Y-%m-%dT%H:%M:%SZ")


LOGIN = b"static: [{type: BasicAuth, domains: [a.example], username: guest, password: s3cr3t}]"
SECRETS = {
    "headersFrom": ("headers", {"X-Api-Key": b"s3cr3t"}),
    "variablesFrom": ("variables", {"secret": b"s3cr3t"}),
    "clientCertificateFrom": (
        "client-certificate",
        {"tls.crt": b"-----BEGIN CERTIFICATE-----", "tls.key": b"PRIVATE KEY-----"},
    ),
    "credentialsFrom": ("credentials", {"a": LOGIN}),
}
OPTIONS: list[dict[str, Any]] = [
    {"headers": [{"name": "User-Agent", "value": "x"}]},
    {"variables": [{"name": "user", "value": "guest"}]},
    {"variables": [{"name": "user", "value": "admin"}]},
    {"followRedirects": True},
    {"followHostRedirects": True},
    {"maxRedirects": 3},
    {"maxResponseBytes": 4096},
    {"sni": "app.example"},
    {"proxy": "http://own.example:3128"},
    {"verifySignatures": True},
    {"dast": True},
    {"headless": True},
    {"code": True},
    {"image": "scanner:2"},
]


def test_no_secret_hides_an_option_from_the_key() -> None:
    """Lost otherwise: the scan of an edited option, since the edited plan has the key of the scan before."""
    policy = replace(
        POLICY,
        allowed_images=("*",),
        allowed_proxies=("*",),
        allowed_interactsh_servers=("*",),
        unguarded_protocols=("headless",),
        allow_code=True,
    )
    uses = {**SECRETS, "tokenFrom": ("interactsh", {"token": b"s3cr3t"})}
    inputs: sources.Inputs = {
        CLAIM: INPUTS[CLAIM],
        **{
            sources.Reference(sources.Kind.SECRET, use, use): sources.Input(files=files, labels={labels.USE: use})
            for use, files in uses.values()
        },
    }
    secrets: dict[str, Any] = {name: {"secretRef": {"name": use}} for name, (use, _) in uses.items()}
    token = secrets.pop("tokenFrom")
    secrets["interactsh"] = {"server": "oast.example", "tokenFrom": token}
    assert set(plan(scanner=secrets).spec.scanner.secret_names) == set(labels.SECRET_USES) - {labels.USE_ENDPOINTS_FILE}
    made = {task(plan(scanner={**secrets, **option}), policy, inputs).key for option in ({}, *OPTIONS)}
    assert len(made) == 1 + len(OPTIONS)


def test_a_source_of_unsigned_templates_is_another_scan_where_signatures_are_verified() -> None:
    """The runner is told which folder it is."""
    image = {"image": {"reference": "registry.example/scanner:templates"}}
    policy = replace(POLICY, allowed_images=("*",))

    def made(verify: bool, allow: bool) -> Task:
        sources = [image, {**image, "allowUnsigned": allow}]
        return task(plan(scanner={"verifySignatures": verify}, templatesFrom=sources), policy)

    assert [folder.unsigned for folder in made(True, True).document.template_folders] == [False, True]
    assert made(True, True).key != made(True, False).key
    assert made(False, True).key == made(False, False).key
