"""A whole real Kubernetes on one machine, without Docker and without a registry.

`components` says what it is made of; `supervisor` is process 1 of the namespaces that `isolation` sets up, and
`control` talks to it; `binaries` builds the programs, once; `identities` hands out certificates. `start` puts
them together, and `cluster` is what the tests hold.
"""

from tests.cluster.local.cluster import LocalCluster
from tests.cluster.local.objects import STORAGE_CLASS
from tests.cluster.local.start import up

__all__ = ["STORAGE_CLASS", "LocalCluster", "up"]
