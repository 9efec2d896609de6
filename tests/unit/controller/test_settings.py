"""Settings from the environment: the defaults are safe, and a bad value ends the start with its name."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from scanplan.client.redis.publication import PublicationSettings
from scanplan.client.settings import ClientSettings
from scanplan.controller import settings
from scanplan.core.planning.pod_bounds import PodBounds
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.settings.loading import InvalidSettings
from scanplan.settings.pod_bounds import PodSettings
from scanplan.web.settings import ApiSettings

IMAGE = "SCANPLAN_SCANNER_IMAGE"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what the operator can't do without."""
    import os

    for name in list(os.environ):
        if name.startswith(("SCANPLAN_", "KUBERNETES_", "WORKER_", "TASK_", "REDIS_", "NUCLEI_")) or "ASYNC" in name:
            monkeypatch.delenv(name)
    monkeypatch.setenv(IMAGE, "scanner:1")


def test_defaults_bound_what_a_plan_may_ask() -> None:
    policy = settings.load_settings().policy()
    assert policy.allows_image("scanner:1")
    assert not policy.allows_image("other")
    assert policy.allows_service_account("default")
    assert not policy.allows_service_account("admin")
    assert policy.guard.entries == DEFAULT_DENIED
    assert policy.worker_concurrency == 4


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCANPLAN_ALLOWED_IMAGES", "registry.example/*, other:1,")
    monkeypatch.setenv("SCANPLAN_NAMESPACES", "a,b")
    loaded = settings.load_settings()
    assert loaded.allowed_images == ("registry.example/*", "other:1")
    assert loaded.namespaces == ("a", "b")


@pytest.mark.parametrize(
    "selector",
    [
        *("team=red", "team==red", "team!=red", "team", "!team", "team=", "kubernetes.io/metadata.name=red"),
        *("team in (red, blue)", "team notin (red)", " team = red , tier in (a,b),!old "),
    ],
)
def test_namespaces_may_be_selected_by_their_labels(monkeypatch: pytest.MonkeyPatch, selector: str) -> None:
    monkeypatch.setenv("SCANPLAN_NAMESPACE_SELECTOR", selector)
    assert settings.load_settings().namespace_selector == selector


@pytest.mark.parametrize(
    "selector",
    [
        "team=red blue",
        "team in red",
        "team in ()x",
        "=red",
        "team=red,",
        "-team",
        "a/b/c",
        "team>1",
        f"team={'x' * 64}",
        "y" * 64,
    ],
)
def test_what_is_no_label_selector_ends_the_start(monkeypatch: pytest.MonkeyPatch, selector: str) -> None:
    monkeypatch.setenv("SCANPLAN_NAMESPACE_SELECTOR", selector)
    with pytest.raises(InvalidSettings, match=r"SCANPLAN_NAMESPACE_SELECTOR.*kubectl -l"):
        settings.load_settings()


def test_namespaces_are_listed_or_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCANPLAN_NAMESPACES", "red")
    monkeypatch.setenv("SCANPLAN_NAMESPACE_SELECTOR", "team=red")
    with pytest.raises(InvalidSettings, match="leave one of them empty"):
        settings.load_settings()


def test_whoever_makes_pods_of_a_plan_has_the_same_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator makes scan pods, and the API readers of artifacts, for the same plans."""
    monkeypatch.setenv("SCANPLAN_ALLOWED_SERVICE_ACCOUNTS", "scans")
    monkeypatch.setenv("SCANPLAN_ALLOWED_PRIORITY_CLASSES", "low")
    monkeypatch.setenv("SCANPLAN_ALLOWED_TOLERATIONS", "dedicated=scans:NoSchedule,spot:*,*")
    monkeypatch.setenv("SCANPLAN_ALLOWED_POD_METADATA", "team,example.com/*")
    bounds = settings.load_settings().bounds()
    assert bounds == PodBounds(
        allowed_service_accounts=("scans",),
        allowed_priority_classes=("low",),
        allowed_tolerations=("dedicated=scans:NoSchedule", "spot:*", "*"),
        allowed_pod_metadata=("team", "example.com/*"),
    )
    assert ApiSettings().bounds() == bounds
    policy = settings.load_settings().policy()
    assert [getattr(policy, field.name) for field in fields(PodBounds)] == [
        getattr(bounds, field.name) for field in fields(PodBounds)
    ]


def test_the_api_server_is_never_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the owner has replaced the whole list."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("SCANPLAN_DENIED_TARGETS", "192.0.2.0/24")
    assert settings.load_settings().policy().guard.entries == ("192.0.2.0/24", "10.96.0.1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKER_CONCURRENCY", "0"),
        ("WORKER_CONCURRENCY", "many"),
        ("SCANPLAN_WORKERS", "1000"),
        ("SCANPLAN_POD_SECURITY_CONTEXT", '{"runAsUser": 0}'),
        ("SCANPLAN_POD_SECURITY_CONTEXT", '{"privileged": true}'),
        ("SCANPLAN_POD_SECURITY_CONTEXT", "1000"),
        ("SCANPLAN_SCAN_DEFAULTS", '{"scanner": {"rateLimit": "fast"}}'),
        ("SCANPLAN_SCAN_DEFAULTS", '{"scanner": {"rate": 5}}'),
        ("SCANPLAN_SCAN_DEFAULTS", '{"podTemplate": {"resources": {"limits": {"memory": "much"}}}}'),
        ("SCANPLAN_SCAN_DEFAULTS", '{"locked": ["everything"]}'),
        ("SCANPLAN_SCAN_DEFAULTS", "scanner.rateLimit=5"),
        ("SCANPLAN_POD_SECURITY_CONTEXT", "{runAsUser"),
        ("SCANPLAN_PROBE_PORT", "99999"),
        ("SCANPLAN_IMAGE_PULL_POLICY", "Sometimes"),
        ("SCANPLAN_DENIED_TARGETS", "*.internal"),
        ("SCANPLAN_DENIED_TARGETS", "10.0.0.0/33"),
        ("SCANPLAN_ALLOWED_TOLERATIONS", "dedicated=scans"),
        ("SCANPLAN_SCANNER_IMAGE", ""),
        ("SCANPLAN_LEASE_NAME", ""),
        ("SCANPLAN_LEASE_NAME", "Mine"),
        ("SCANPLAN_LEASE_NAME", "a/b"),
        ("SCANPLAN_LEASE_NAME", "a..b"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as bad:
        settings.load_settings()
    assert str(bad.value).startswith(f"{name}: ")
    assert repr(value) in str(bad.value)


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(IMAGE)
    monkeypatch.setenv("WORKER_CONCURRENCY", "-1")
    with pytest.raises(InvalidSettings) as bad:
        settings.load_settings()
    assert {line.partition(":")[0] for line in str(bad.value).splitlines()} == {IMAGE, "WORKER_CONCURRENCY"}


SETTINGS: list[type[BaseSettings]] = [
    settings.OperatorSettings,
    ApiSettings,
    ClientSettings,
    PublicationSettings,
    PodSettings,
]
WITHOUT_PREFIX = [
    ("WORKER_CONCURRENCY", "7", "worker_concurrency", 7),
    ("TASK_QUEUE_TYPE", "redis", "task_queue_type", "redis"),
    ("ENABLE_ASYNC_TASKS", "true", "enable_async_tasks", True),
    ("ASYNC_SCAN_PRIORITY", "9", "async_scan_priority", 9),
    ("TASK_TIMEOUT", "60", "task_timeout", 60),
    ("REDIS_URL", "redis://r:1/2", "redis_url", "redis://r:1/2"),
    ("NUCLEI_BIN", "/nuclei", "nuclei", "/nuclei"),
    ("NUCLEI_CONFIG_DIR", "/config", "nuclei_configuration", Path("/config")),
    ("KUBERNETES_SERVICE_HOST", "10.0.0.1", "api_server_host", "10.0.0.1"),
]
"""Variables that the first version had, or that Kubernetes sets: each with a value, and what is read then."""


def test_all_settings_are_known_here() -> None:
    def below(kind: type[BaseSettings]) -> set[type[BaseSettings]]:
        return {each for child in kind.__subclasses__() for each in (child, *below(child))}

    ours = {kind for kind in below(BaseSettings) if kind.__module__.startswith("scanplan.")}
    assert {kind for kind in ours if not kind.__subclasses__()} <= set(SETTINGS)


@pytest.mark.parametrize("kind", SETTINGS)
def test_no_variable_but_an_alias_changes_anything(kind: type[BaseSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: PORT, HOST, NAMESPACE or NO_PROXY, which others set for themselves, would be settings of ours."""
    before = kind()
    aliases = {field.alias for field in kind.model_fields.values()}
    for name in kind.model_fields:
        for variable in {name, name.upper(), f"SCANPLAN_{name.upper()}"} - aliases:
            monkeypatch.setenv(variable, "1")
    assert kind() == before


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_setting_has_our_prefix_or_is_known_without_it(kind: type[BaseSettings]) -> None:
    known = {variable for variable, *_ in WITHOUT_PREFIX}
    for field in kind.model_fields.values():
        assert field.alias is not None
        assert field.alias.startswith("SCANPLAN_") or field.alias in known


@pytest.mark.parametrize(("variable", "value", "name", "read"), WITHOUT_PREFIX)
def test_the_names_without_a_prefix_work(
    variable: str, value: str, name: str, read: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    having = [kind for kind in SETTINGS if name in kind.model_fields]
    assert having
    assert all(getattr(kind(), name) == read for kind in having)


def test_a_program_gives_settings_by_the_names_of_fields_or_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it gives counts more than the environment."""
    monkeypatch.setenv("SCANPLAN_DATA_DIRECTORY", "/environment")
    assert ClientSettings().data_directory == Path("/environment")
    assert ClientSettings(data_directory=Path("/given")).data_directory == Path("/given")
    assert ClientSettings(SCANPLAN_DATA_DIRECTORY=Path("/given")).data_directory == Path("/given")
