"""What a scan shows its targets, by file, never in argv or environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from scanplan.api.documents.task import TaskDocument
from scanplan.api.errors import InvalidPlan, NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.nuclei import client_certificate, interactsh, logins, variables
from scanplan.core.planning.nuclei.logins import Login, Logins, Pair
from scanplan.runner.artifacts.redaction import Redactor
from scanplan.runner.nuclei.choosing import definition, selecting, templates, unguarded
from scanplan.runner.nuclei.launch import headers, mounted, variables_file
from scanplan.runner.nuclei.launch.command import Workspace
from scanplan.runner.nuclei.launch.headers import Headers


class Credentials(msgspec.Struct, frozen=True):
    """Those of a scan."""

    headers: Headers = Headers()
    public_variables: Mapping[str, str] = {}
    secret_variables: Mapping[str, str] = {}
    certificate: Path | None = None
    """PEM file; its key is beside it."""
    logins: Logins = Logins()
    """By host; their templates by absolute paths."""
    interactsh_token: str = ""
    login_ids: frozenset[str] = frozenset()
    """Of the templates that log in."""

    @property
    def private_key(self) -> Path | None:
        return self.certificate and self.certificate.with_name(client_certificate.PRIVATE_KEY)

    def redactor(self) -> Redactor:
        """What keeps the secret ones out of results and logs. The private key is sent to nobody."""
        more = [*self.logins.secrets(), *([("Authorization", self.interactsh_token)] if self.interactsh_token else [])]
        return Redactor({**self.headers.secret, **self.secret_variables}, more, self.login_ids)

    def write(self, workspace: Workspace) -> list[str]:
        """Put them where Nuclei reads them.

        Returns:
            The arguments that say where.

        Raises:
            NucleiBinaryError: (InvalidOptions) a variable names a file here.
            OSError: no place for them.
        """
        arguments = self.headers.write(workspace)
        if (secrets := self._secrets_file()) != Logins():
            mounted.write_private(workspace.secrets, msgspec.json.encode(secrets))
            arguments += ["-sf", str(workspace.secrets)]
        if values := {**self.public_variables, **self.secret_variables}:
            variables_file.write(values, workspace)
            arguments += ["-V", str(workspace.variables)]
        if self.interactsh_token:
            options = {"interactsh-token": self.interactsh_token}
            mounted.write_private(workspace.options, msgspec.json.encode(options))
            arguments += ["-config", str(workspace.options)]
        if self.certificate:
            # Nuclei wants an authority too, although it believes any server.
            authority = self.certificate.with_name(client_certificate.AUTHORITY)
            authority = authority if authority.exists() else self.certificate
            arguments += ["-cc", str(self.certificate), "-ck", str(self.private_key), "-ca", str(authority)]
        return arguments

    def _secrets_file(self) -> Logins:
        """One file: of two, Nuclei looks at the second only for hosts that the first does not know."""
        pairs = tuple(Pair(key=name, value=value) for name, value in self.headers.apart().items())
        everywhere = (Login(type="Header", domains_regex=(".*",), headers=pairs),) if pairs else ()
        return Logins(static=(*everywhere, *self.logins.static), dynamic=self.logins.dynamic)


def read(document: TaskDocument, sources: Sequence[Path]) -> Credentials:
    """Those that a plan has itself, and those of its mounted Secrets.

    Args:
        sources: template folders, where templates of logins are.

    Raises:
        NucleiBinaryError: (InvalidOptions) one that can't be used as it is written, (TemplatesNotFound) a login's template is
            not there.
        OSError: a folder can't be read.
    """
    own = headers.read(document.scanner.headers, document.headers_folder)
    try:
        secret = variables.parse(mounted.files(document.variables_folder))
        variables.check_together(document.scanner.variables, secret)
        if document.client_certificate_folder:
            client_certificate.check(mounted.files(document.client_certificate_folder))
        token = interactsh.token(mounted.files(document.interactsh_folder)) if document.interactsh_folder else ""
        known = logins.parse(mounted.files(document.credentials_folder)) if document.credentials_folder else Logins()
    except InvalidPlan as error:
        raise NucleiBinaryError(Reason.INVALID_OPTIONS, f"{error.message}. Nothing was sent.") from None
    known, login_ids = _with_templates(known, sources)
    folder = document.client_certificate_folder
    return Credentials(
        headers=own,
        public_variables=dict(document.scanner.variables),
        secret_variables=secret,
        certificate=Path(folder) / client_certificate.CERTIFICATE if folder else None,
        logins=known,
        interactsh_token=token,
        login_ids=login_ids,
    )


def _with_templates(known: Logins, sources: Sequence[Path]) -> tuple[Logins, frozenset[str]]:
    """The logins with the absolute paths of their templates, and the ids of these. Nuclei filters them by nothing."""
    roots = [Path(os.path.realpath(source)) for source in sources]
    placed, ids = [], set()
    for each in known.dynamic:
        path = templates.resolve(each.template, roots)
        if path is None or not path.is_file():
            raise NucleiBinaryError(
                Reason.TEMPLATES_NOT_FOUND,
                f"Template of a login not found: {each.template}. Name a file that the template sources hold. Nothing was sent.",
            )
        content = path.read_bytes()
        identifier = definition.identifier(content) or ""
        if selecting.facts(identifier, content).protocols != {"http"} or unguarded.is_refused(content):
            raise NucleiBinaryError(
                Reason.INVALID_OPTIONS,
                f"Template {each.template} logs in by something else than HTTP. Nothing was sent.",
            )
        document = definition.parse(content) or {}
        requests = document.get("http") or document.get("requests")
        if not isinstance(requests, list) or not all(
            isinstance(each, dict) and each.get("skip-secret-file") is True for each in requests
        ):
            raise NucleiBinaryError(
                Reason.INVALID_OPTIONS,
                f"Template {each.template} needs skip-secret-file: true in each of its requests. Nuclei would wait for the "
                "login before it logs in. Nothing was sent.",
            )
        ids.add(identifier)
        placed.append(msgspec.structs.replace(each, template=str(path)))
    return msgspec.structs.replace(known, dynamic=tuple(placed)), frozenset(ids)
