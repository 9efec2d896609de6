"""Queues over real parts: the real runner, the stand-in for Nuclei, a real Redis, real workers, a real API server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tests.doubles
from scanplan.client import settings
from scanplan.client.queues.kubernetes import KubernetesTaskQueue
from scanplan.client.queues.local import SyncTaskQueue
from scanplan.client.queues.redis import RQTaskQueue
from scanplan.client.settings import ClientSettings
from tests.client.cluster import ROOT, ControlPlane, shared_control_plane
from tests.client.laboratory import Laboratory
from tests.client.node import Node
from tests.client.servers import RedisServer, Worker
from tests.runner.conftest import WebApplication, web_application

StartWorker = Callable[..., Worker]


@pytest.fixture(scope="session")
def doubles() -> tests.doubles.Doubles:
    return tests.doubles.build()


@pytest.fixture(scope="session")
def webapp(doubles: tests.doubles.Doubles) -> Iterator[WebApplication]:
    with web_application(doubles.webapp) as application:
        yield application


@pytest.fixture
def laboratory(
    tmp_path: Path, doubles: tests.doubles.Doubles, webapp: WebApplication, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Laboratory]:
    """A laboratory whose settings are this process' environment."""
    made = Laboratory(tmp_path, doubles.nuclei, webapp)
    for name, value in made.variables().items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


@pytest.fixture(scope="session")
def redis_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own, not started yet; to be killed and started at will."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    yield server
    server.kill()


@pytest.fixture
def redis_server(redis_of_session: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """An empty Redis, which the settings name."""
    redis_of_session.client().flushall()
    monkeypatch.setenv("REDIS_URL", redis_of_session.url)
    monkeypatch.setenv("TASK_QUEUE_TYPE", "redis")
    monkeypatch.setenv("ENABLE_ASYNC_TASKS", "true")
    return redis_of_session


@pytest.fixture
def start_worker(laboratory: Laboratory, redis_server: RedisServer, tmp_path: Path) -> Iterator[StartWorker]:
    """Start `scanplan worker` with the test's settings; ended with the test."""
    started: list[Worker] = []

    def start(*arguments: str, **variables: str) -> Worker:
        log = tmp_path / f"worker-{len(started)}.log"
        defaults = laboratory.variables(REDIS_URL=redis_server.url, WORKER_CONCURRENCY="2")
        started.append(Worker({**defaults, **variables}, log, *arguments))
        return started[-1]

    yield start
    for worker in started:
        worker.stop()
        print(f"--- log of the worker\n{worker.text()}")


@pytest.fixture
def redis_queue(laboratory: Laboratory, redis_server: RedisServer) -> RQTaskQueue:
    """A Redis queue without workers, until the test starts some."""
    queue = RQTaskQueue(redis_server.url, settings.load())
    laboratory.queue = queue
    return queue


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    if os.geteuid() != 0:
        pytest.skip("a local cluster needs root")
    with shared_control_plane(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def kubernetes_queue(
    request: pytest.FixtureRequest,
    laboratory: Laboratory,
    plane: ControlPlane,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[KubernetesTaskQueue]:
    """A queue in a namespace of the test's own, with the rights that are documented, and a node that runs its pods."""
    namespace = plane.namespace(f"c{request.session.items.index(request.node)}")
    kubeconfig = plane.identity(namespace, "program", ROOT / "examples/python/rbac.yaml")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("TASK_QUEUE_TYPE", "kubernetes")
    monkeypatch.setenv("ENABLE_ASYNC_TASKS", "true")
    node = Node(plane.api, namespace, laboratory.data, tmp_path / "node", laboratory.variables())
    queue = KubernetesTaskQueue(settings.load())
    assert queue.health().queue_size == 0  # it connects now, as this program
    laboratory.queue = queue
    yield queue
    node.close()


@pytest.fixture(params=["sync", "redis", pytest.param("kubernetes", marks=pytest.mark.integration)])
def bench(request: pytest.FixtureRequest, laboratory: Laboratory) -> Laboratory:
    """A laboratory with a queue at work: each test runs on every kind."""
    match request.param:
        case "sync":
            laboratory.queue = SyncTaskQueue(settings.load())
        case "redis":
            request.getfixturevalue("redis_queue")
            request.getfixturevalue("start_worker")()
        case _:
            request.getfixturevalue("kubernetes_queue")
    return laboratory


def settings_with(**changes: object) -> ClientSettings:
    """The environment's settings, changed."""
    return settings.load().model_copy(update=changes)
