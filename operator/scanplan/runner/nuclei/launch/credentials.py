"""What a scan shows its targets: headers, template variables and a client certificate, by file, never in argv or environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from scanplan.api.documents.task import TaskDocument
from scanplan.api.errors import InvalidPlan, NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning import client_certificate
from scanplan.core.planning import variables as rules
from scanplan.runner.artifacts.redaction import Redactor
from scanplan.runner.nuclei.launch import headers, mounted, variables
from scanplan.runner.nuclei.launch.command import Workspace
from scanplan.runner.nuclei.launch.headers import Headers


class Credentials(msgspec.Struct, frozen=True):
    """Those of a scan."""

    headers: Headers = Headers()
    public_variables: Mapping[str, str] = {}
    secret_variables: Mapping[str, str] = {}
    certificate: Path | None = None
    """PEM file; its key is beside it."""

    @property
    def private_key(self) -> Path | None:
        return self.certificate and self.certificate.with_name(client_certificate.PRIVATE_KEY)

    def redactor(self) -> Redactor:
        """What keeps the secret ones out of results and logs. The private key is sent to nobody."""
        return Redactor({**self.headers.secret, **self.secret_variables})

    def write(self, workspace: Workspace) -> list[str]:
        """Put them where Nuclei reads them.

        Returns:
            The arguments that say where.

        Raises:
            NucleiBinaryError: (InvalidOptions) a variable names a file here.
            OSError: no place for them.
        """
        arguments = self.headers.write(workspace)
        if values := {**self.public_variables, **self.secret_variables}:
            variables.write(values, workspace)
            arguments += ["-V", str(workspace.variables)]
        if self.certificate:
            # Nuclei wants an authority too, although it believes any server.
            authority = self.certificate.with_name(client_certificate.AUTHORITY)
            authority = authority if authority.exists() else self.certificate
            arguments += ["-cc", str(self.certificate), "-ck", str(self.private_key), "-ca", str(authority)]
        return arguments


def read(document: TaskDocument) -> Credentials:
    """Those that a plan has itself, and those of its mounted Secrets.

    Raises:
        NucleiBinaryError: (InvalidOptions) one that can't be used as it is written.
        OSError: a folder can't be read.
    """
    own = headers.read(document.scanner.headers, document.headers_folder)
    try:
        secret = rules.parse(mounted.files(document.variables_folder))
        rules.check_together(document.scanner.variables, secret)
        if document.client_certificate_folder:
            client_certificate.check(mounted.files(document.client_certificate_folder))
    except InvalidPlan as error:
        raise NucleiBinaryError(Reason.INVALID_OPTIONS, f"{error.message}. Nothing was sent.") from None
    folder = document.client_certificate_folder
    return Credentials(
        headers=own,
        public_variables=dict(document.scanner.variables),
        secret_variables=secret,
        certificate=Path(folder) / client_certificate.CERTIFICATE if folder else None,
    )
