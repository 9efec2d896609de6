"""The library's settings, from environment variables.

The names of the first version keep their meaning. These settings alone decide whether scans run in the program's own process,
through Redis or on Kubernetes.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from scanplan.api import environment, names
from scanplan.client.errors import InvalidSettings
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard
from scanplan.runner.nuclei.launch.installation import DEFAULT_TEMPLATES, Installation
from scanplan.settings import loading
from scanplan.settings.fields import DeniedTargets, RedisUrl, UnguardedProtocols

Seconds = Annotated[int, Field(ge=1, le=31_536_000)]


class QueueType(StrEnum):
    """Where tasks run."""

    SYNC = "sync"
    REDIS = "redis"
    KUBERNETES = "kubernetes"


class ClientSettings(loading.EnvironmentSettings):
    """What a program may decide; the environment variables are the aliases."""

    # where tasks run
    task_queue_type: QueueType = Field(
        QueueType.SYNC,
        alias="TASK_QUEUE_TYPE",
        description="Where tasks run: sync (in this process), redis or kubernetes.",
    )
    enable_async_tasks: bool = Field(
        False,
        alias="ENABLE_ASYNC_TASKS",
        description="If false, every scan runs in this process, whatever the queue type.",
    )
    async_scan_priority: int = Field(
        5, alias="ASYNC_SCAN_PRIORITY", ge=0, le=10, description="Priority of tasks that are submitted without one."
    )
    task_timeout: int = Field(
        3_600, alias="TASK_TIMEOUT", ge=10, le=604_800, description="Seconds that one attempt of a task may take."
    )
    worker_concurrency: int = Field(
        4, alias="WORKER_CONCURRENCY", ge=1, le=100_000, description="Processes of `scanplan worker`."
    )
    worker_heartbeat: int = Field(
        10,
        alias="SCANPLAN_WORKER_HEARTBEAT",
        ge=1,
        le=120,
        description="Seconds between a worker's heartbeats. After three missed ones, another worker takes its task.",
    )
    # attempts
    retry_temporary: int = Field(
        3, alias="SCANPLAN_RETRY_TEMPORARY", ge=0, le=20, description="Further attempts after a temporary error."
    )
    retry_unknown: int = Field(
        1, alias="SCANPLAN_RETRY_UNKNOWN", ge=0, le=20, description="Further attempts after an error of unknown class."
    )
    retry_temporary_seconds: Seconds = Field(
        60,
        alias="SCANPLAN_RETRY_TEMPORARY_SECONDS",
        description="Seconds before the first of these; doubled each time.",
    )
    retry_unknown_seconds: Seconds = Field(
        300, alias="SCANPLAN_RETRY_UNKNOWN_SECONDS", description="Seconds before each of these."
    )
    # results
    idempotency_window: Seconds = Field(
        3_600,
        alias="SCANPLAN_IDEMPOTENCY_WINDOW",
        description="Seconds for which the result of a finished task is returned for the same plan.",
    )
    result_ttl: Seconds = Field(86_400, alias="SCANPLAN_RESULT_TTL", description="Seconds that Redis keeps a result.")
    data_directory: Path = Field(
        Path(),
        alias="SCANPLAN_DATA_DIRECTORY",
        description="Folder that holds ui_projects/ and projects/; the mounted claim, if there is one.",
    )
    # redis
    redis_url: RedisUrl = Field(
        "redis://localhost:6379/0", alias="REDIS_URL", description="redis://, rediss:// or unix:// URL."
    )
    key_prefix: str = Field(
        "scanplan",
        alias="SCANPLAN_KEY_PREFIX",
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
        description="First part of all Redis keys and queues. Each tenant needs its own.",
    )
    # kubernetes
    namespace: str | None = Field(
        None,
        alias="SCANPLAN_NAMESPACE",
        pattern=names.NAMESPACE,
        description="Namespace of the ScanPlans; by default the pod's own, or the kubeconfig's.",
    )
    # scans in this process, or in a worker
    nuclei: str = Field("nuclei", alias=environment.NUCLEI_BIN, min_length=1, description="The Nuclei program.")
    templates_directory: str = Field(
        DEFAULT_TEMPLATES,
        alias=environment.TEMPLATES_DIRECTORY,
        min_length=1,
        description="Template folders, separated by colons.",
    )
    nuclei_configuration: Path | None = Field(
        None, alias=environment.NUCLEI_CONFIGURATION, description="Folder with Nuclei's .nuclei-ignore."
    )
    denied_targets: DeniedTargets = Field(
        DEFAULT_DENIED,
        alias="SCANPLAN_DENIED_TARGETS",
        description="Ranges and names that may not be scanned, separated by commas. It replaces the default list.",
    )
    unguarded_protocols: UnguardedProtocols = Field(
        (),
        alias="SCANPLAN_UNGUARDED_PROTOCOLS",
        description="Template protocols to allow although Nuclei can't keep them from denied targets (`whois`, `headless`).",
    )
    api_server_host: str | None = Field(
        None,
        alias="KUBERNETES_SERVICE_HOST",
        description="Address of the API server's Service, set by Kubernetes in each pod. It is never a target.",
    )
    max_endpoints_per_shard: int = Field(
        250,
        alias="SCANPLAN_MAX_ENDPOINTS_PER_SHARD",
        ge=1,
        le=10_000,
        description="Most endpoints in one run of Nuclei.",
    )

    @property
    def queue_type(self) -> QueueType:
        """Where tasks run; SYNC while the feature flag ENABLE_ASYNC_TASKS is off."""
        return self.task_queue_type if self.enable_async_tasks else QueueType.SYNC

    def guard(self) -> Guard:
        """The target guard: the denied targets and, in a pod, the address of the API server's Service."""
        own = (self.api_server_host,) if self.api_server_host else ()
        return Guard((*self.denied_targets, *own))

    def installation(self) -> Installation:
        """Nuclei and its templates on this machine."""
        return Installation(
            nuclei=self.nuclei,
            templates=tuple(Path(folder).absolute() for folder in self.templates_directory.split(os.pathsep)),
            configuration=self.nuclei_configuration,
            inherited=dict(os.environ),
        )


def load_settings() -> ClientSettings:
    """Read the environment.

    Raises:
        InvalidSettings: with a line for each wrong variable. Values are not repeated: a URL may hold a password.
    """
    return loading.load(ClientSettings, error=InvalidSettings)
