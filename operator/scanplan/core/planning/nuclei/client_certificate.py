"""What a Secret with a client certificate holds: the keys of type kubernetes.io/tls.

https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets
"""

from __future__ import annotations

from collections.abc import Mapping

from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason

CERTIFICATE, PRIVATE_KEY, AUTHORITY = "tls.crt", "tls.key", "ca.crt"


def check(files: Mapping[str, bytes]) -> None:
    """Raise InvalidPlan where certificate or key is missing, or no PEM."""
    for key, words in ((CERTIFICATE, b"-----BEGIN CERTIFICATE-----"), (PRIVATE_KEY, b"PRIVATE KEY-----")):
        if words not in files.get(key, b""):
            raise InvalidPlan(
                Reason.INVALID_SPEC,
                f"the Secret of clientCertificateFrom has no {key} in PEM: make it by `kubectl create secret tls`",
            )
