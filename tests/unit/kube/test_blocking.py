"""The blocking client. Lost otherwise: what to do, where a kubeconfig or an answer is not what it should be."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from scanplan.client.cluster import cluster
from scanplan.client.cluster.failure import Failure
from scanplan.client.cluster.kubernetes_api import KubernetesApi
from scanplan.client.errors import QueueUnavailable

KUBECONFIG = """
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: x, context: {cluster: c, user: u}}, {name: empty, context: }]
users: [{name: u, user: {}}]
current-context: x
"""


def _folder(path: Path) -> None:
    path.mkdir()


def _holding(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda _: None, id="missing"),
        pytest.param(_folder, id="a folder"),
        pytest.param(_holding(b""), id="empty"),
        pytest.param(_holding(b"a: {b"), id="broken YAML"),
        pytest.param(_holding(b"\x88\xff\x00"), id="binary"),
        pytest.param(_holding(b"- a\n- b\n"), id="a list"),
        pytest.param(_holding(b"text"), id="text"),
        pytest.param(_holding(b"contexts: [x]\ncurrent-context: x\nclusters: []\nusers: []\n"), id="another form"),
        pytest.param(_holding(KUBECONFIG.replace("context: x", "context: empty").encode()), id="an empty context"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_told(
    make: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    make(path)
    with pytest.raises(Failure, match="no cluster") as caught:
        cluster.connect(kubeconfig=path)
    assert "\n" not in caught.value.message
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(QueueUnavailable, match="no cluster"):
        KubernetesApi().check_plans()


def test_a_context_without_a_namespace_means_the_default_one(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG.replace("user: u}", "user: u, namespace: }"))
    assert cluster.connect(kubeconfig=path).namespace == "default"


def test_a_named_context_needs_no_current_one(tmp_path: Path) -> None:
    """Tools write such files, and kubectl takes them."""
    path = tmp_path / "config"
    named = KUBECONFIG.replace("user: u}", "user: u, namespace: prod}").replace("current-context: x\n", "")
    path.write_text(named)
    assert cluster.connect(kubeconfig=path, context="x").namespace == "prod"
    with pytest.raises(Failure, match="no cluster"):
        cluster.connect(kubeconfig=path)
    path.write_text(f"{named}current-context: gone\n")
    assert cluster.connect(kubeconfig=path, context="x").namespace == "prod"


@pytest.mark.parametrize("content", [b"<h1>Welcome</h1>", b"", b"[]", b"null", b"[" * 100_000, b"\xff"])
def test_an_answer_that_is_no_object_is_told(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a proxy or a login page in front of the API server."""
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(path))

    def answer(*_: Any, **__: Any) -> Any:
        read = io.BytesIO(content)
        read.status = 200  # type: ignore[attr-defined]
        return read

    monkeypatch.setattr(ApiClient, "call_api", answer)
    with pytest.raises(QueueUnavailable, match="can't be read"):
        KubernetesApi().check_plans()
    with pytest.raises(Failure, match="can't be read"):
        cluster.connect(kubeconfig=path).get("/version")
