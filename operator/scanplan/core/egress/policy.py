"""Which hosts and addresses the operator, and the pods that it makes, may send to.

The operator's owner lists the allowed hosts. Otherwise, whoever may write a notifier or an export could have results sent to
any service that a pod of the cluster reaches. Link-local addresses, those of metadata services and what plans may not scan are
refused whatever the list says. Here they are refused as written; whoever sends refuses them again after DNS.
"""

from __future__ import annotations

import ipaddress

from scanplan.api import globs
from scanplan.api.errors import InvalidEndpoint, TargetDenied
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.targets import endpoints
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard

_OWN = {"0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128", "localhost", "ip6-localhost", "ip6-loopback"}
"""Of the sender's own pod: the owner may allow these for scans, and so for receivers."""
ALWAYS_DENIED = tuple(entry for entry in DEFAULT_DENIED if entry not in _OWN)
"""What nothing is sent to, whatever the owner lets plans scan."""
EXPORT_SETTING = "exports.allowedHosts"
"""The chart's value with the hosts that exports, and lists on S3 servers, may name."""
DENIED = "the receiver is at a loopback, link-local or metadata address, or at the API server: nothing is sent there"


class HostDenied(Exception):
    """Nothing may be sent to a host. The message does not name it, since it may come from a Secret."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ReceiverPolicy:
    """What the operator's owner allows."""

    def __init__(self, hosts: tuple[str, ...], guard: Guard, setting: str = "notifiers.allowedHosts") -> None:
        """
        Args:
            hosts: globs of `host` or `host:port` that may be named.
            guard: what plans may not scan.
            setting: the chart's value that `hosts` come from.
        """
        self.guard = guard
        self._setting = setting
        self._allows = globs.any_of(hosts, fold=True)
        self._guards = (guard, Guard(ALWAYS_DENIED))

    def check(self, host: str, port: int) -> None:
        """Refuse a host as it is written.

        Raises:
            HostDenied: it is not listed, is no host, or is an address that nothing is sent to.
        """
        if not self._allows(host) and not self._allows(f"{host}:{port}"):
            raise HostDenied(
                Reason.RECEIVER_DENIED,
                f"the receiver's host is not on the operator's allow-list; its owner can add it ({self._setting})",
            )
        try:
            name = endpoints.canonical_host(host)
            if endpoints.parse_address(name):
                if self.denies(name):
                    raise HostDenied(Reason.RECEIVER_DENIED, DENIED)
                return
            for guard in self._guards:
                guard.check((name,))
        except InvalidEndpoint:
            raise HostDenied(Reason.RECEIVER_INVALID, "the receiver's host is no name and no address") from None
        except TargetDenied:
            raise HostDenied(Reason.RECEIVER_DENIED, DENIED) from None

    def denies(self, address: str) -> bool:
        """Whether nothing may be sent to an address that DNS has answered."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return True
        return any(guard.covering(parsed) for guard in self._guards)
