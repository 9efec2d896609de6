"""The Secrets of a plan that its scan pods read. Each is mounted as a folder, and needs the label of its use.

Of a Secret, only the name is part of the task key. A rotated token is no other scan, and a digest of a weak secret would give
it away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scanplan.api import labels
from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.plan.scanner import Scanner
from scanplan.core.planning.nuclei import client_certificate, headers, interactsh, logins, variables
from scanplan.core.planning.sources import Inputs, Kind, Reference, get
from scanplan.core.planning.targets.guard import Guard


def folder(use: str) -> str:
    """Where a Secret of this use is mounted in the scan pod."""
    return f"/etc/scanplan/{use}"


def folder_of(scanner: Scanner, use: str) -> str:
    """Where a plan's Secret of this use is mounted; empty: it has none."""
    return folder(use) if use in scanner.secret_names else ""


def references(scanner: Scanner) -> list[Reference]:
    """The Secrets that are to be read before a task is made of the plan."""
    return [Reference(Kind.SECRET, name, use) for use, name in scanner.secret_names.items()]


def check(scanner: Scanner, inputs: Inputs, guard: Guard) -> None:
    """Refuse what a scan could not use as it is written; no message quotes a value.

    Raises:
        InputUnavailable: a Secret is not there, or not for this use.
        InvalidPlan: a header, a variable, the certificate or a login can't be used; TargetDenied: a login is on a denied host.
    """
    contents = {reference.use: get(reference, inputs).files for reference in references(scanner)}
    checks: dict[str, Callable[[Scanner, Mapping[str, bytes]], None]] = {
        labels.USE_HEADERS: _check_headers,
        labels.USE_VARIABLES: _check_variables,
    }
    for use, checked in checks.items():
        checked(scanner, contents.get(use, {}))
    if (certificate := contents.get(labels.USE_CLIENT_CERTIFICATE)) is not None:
        client_certificate.check(certificate)
    if (secret := contents.get(labels.USE_INTERACTSH)) is not None:
        interactsh.token(secret)
    if (secret := contents.get(labels.USE_CREDENTIALS)) is not None:
        for login in logins.parse(secret).dynamic:
            if login.input:
                guard.canonical(login.input, "an input of the Secret of credentialsFrom")


def _check_headers(scanner: Scanner, secret: Mapping[str, bytes]) -> None:
    names = [header.name for header in scanner.headers]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise InvalidPlan(Reason.INVALID_SPEC, f"request header {double!r} is in headers twice: keep one of them")
    headers.check_together({header.name: header.value for header in scanner.headers}, headers.parse(secret))


def _check_variables(scanner: Scanner, secret: Mapping[str, bytes]) -> None:
    variables.check_together({each.name: each.value for each in scanner.variables}, variables.parse(secret))
