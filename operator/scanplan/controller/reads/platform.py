"""Learns once, before any plan is looked at, what the cluster is: its version, and whether it assigns users to pods.

Both are discovery, which Kubernetes lets every service account read (ClusterRole `system:discovery`). A server that is too old
ends the operator. Where discovery is forbidden, the operator says so and goes on with what the settings say.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging

from kubernetes.aio.client import ApiException

from scanplan.controller.scanplan import Controller
from scanplan.core.planning import pod_security, server_version
from scanplan.core.planning.pod_security import PodSecurityContext
from scanplan.kube.failures import UNREACHABLE, reason_of

log = logging.getLogger("scanplan.platform")

RETRY_SECONDS = 2.0
PASSING = 500
"""HTTP statuses from here on pass, as 429 does."""


class ServerTooOld(Exception):
    """The API server lacks what every scan needs; starting again does not help."""


async def look(controller: Controller, configured: PodSecurityContext | None) -> None:
    """Check the version, and let the platform choose the pods' user where it does and nobody has chosen another.

    Args:
        controller: its policy is changed.
        configured: the owner's choice of the pods' user.

    Raises:
        ServerTooOld: see there.
    """
    while True:
        try:
            await _check_version(controller)
            if configured is None and await controller.api.serves(pod_security.OPENSHIFT):
                log.info("the platform assigns users to pods (%s): scan pods name none", pod_security.OPENSHIFT)
                _assign(controller, pod_security.OF_THE_PLATFORM)
            return
        except ApiException as error:
            if (error.status or 0) < PASSING and error.status != 429:
                log.warning("what the cluster is can't be learnt, so nothing is adapted to it: %s", reason_of(error))
                return
            log.warning("what the cluster is can't be learnt yet: %s", reason_of(error))
        except UNREACHABLE as error:
            log.warning("what the cluster is can't be learnt yet: %s", reason_of(error))
        await asyncio.sleep(RETRY_SECONDS)


async def _check_version(controller: Controller) -> None:
    answer = await controller.api.version()
    version = server_version.parsed(answer)
    if version is None:
        log.warning("the API server names no version that can be read")
        return
    name = server_version.spelled(version)
    if version < server_version.OLDEST:
        oldest = server_version.spelled(server_version.OLDEST)
        raise ServerTooOld(
            f"Kubernetes {name} is too old: retries of single shards need {oldest} or newer. Nothing is scanned."
        )
    for feature in server_version.missing(version):
        log.info(
            "Kubernetes %s: %s needs %s, on by default from %s",
            name,
            feature.field,
            feature.what,
            server_version.spelled(feature.since),
        )


def _assign(controller: Controller, security: PodSecurityContext) -> None:
    controller.policy = dataclasses.replace(controller.policy, pod_security_context=security)
