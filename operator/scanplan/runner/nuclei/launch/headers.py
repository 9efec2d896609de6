"""Request headers on their way to Nuclei: by file, never in argv or environment.

Those of the plan itself are public; those from a mounted Secret, where each key is a header, are kept out of everything that
stays (`runner.artifacts.redaction`). Nuclei cuts the lines of its header file at ``#`` (goflags, NormalizeOptions.StripComments)
and sends no request that holds ``{{`` (as an unresolved variable). Values with either go by its secrets file instead, which
reaches all requests but raw ones that are marked unsafe.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from scanplan.api.errors import InvalidPlan, NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.nuclei import headers
from scanplan.runner.nuclei.launch import mounted
from scanplan.runner.nuclei.launch.command import Workspace


class Headers(msgspec.Struct, frozen=True):
    """The headers of a scan, by name."""

    public: Mapping[str, str] = {}
    secret: Mapping[str, str] = {}

    def apart(self) -> dict[str, str]:
        """Those that can't be a line of the header file."""
        return {name: value for name, value in self._all().items() if not headers.by_line(value)}

    def write(self, workspace: Workspace) -> list[str]:
        """Put those that a line can hold where Nuclei reads them.

        Returns:
            The arguments that say where.

        Raises:
            OSError: no place for them.
        """
        apart = self.apart()
        lines = [f"{name}: {value}\n" for name, value in self._all().items() if name not in apart]
        arguments: list[str] = []
        if lines:
            mounted.write_private(workspace.headers, "".join(lines).encode(errors="surrogateescape"))
            arguments += ["-H", str(workspace.headers)]
        return arguments

    def _all(self) -> dict[str, str]:
        return {**self.public, **self.secret}


def read(public: Mapping[str, str], folder: str) -> Headers:
    """The headers of a plan.

    Args:
        public: those that it has itself.
        folder: the mounted Secret; empty: none.

    Raises:
        NucleiBinaryError: (InvalidOptions) one that can't be sent as it is written.
        OSError: the folder can't be read.
    """
    try:
        secret = headers.parse(mounted.files(folder))
        headers.check_together(public, secret)
    except InvalidPlan as error:
        raise NucleiBinaryError(
            Reason.INVALID_OPTIONS, f"Of headers or headersFrom, {error.message}. Nothing was sent without it."
        ) from None
    return Headers(dict(public), secret)
