"""The control plane of the integration tests, for others' programs to look at."""

from tests.integration.conftest import administrator, alone, api, cluster, identity, namespace, start_operator, statuses

__all__ = ["administrator", "alone", "api", "cluster", "identity", "namespace", "start_operator", "statuses"]
