"""Template variables on their way to Nuclei, by file."""

from __future__ import annotations

import os
from collections.abc import Mapping

from scanplan.api.errors import InvalidPlan, NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning import variables
from scanplan.runner.nuclei.command import Workspace, list_file


def write(values: Mapping[str, str], workspace: Workspace) -> None:
    """Put them where Nuclei reads them.

    Raises:
        NucleiBinaryError: (InvalidOptions) one that may not be set, or that names a file here.
        OSError: no place for them.
    """
    try:
        variables.check(values)
    except InvalidPlan as error:
        raise NucleiBinaryError(Reason.INVALID_OPTIONS, f"{error.message}. Nothing was sent.") from None
    for name, value in values.items():
        if value and os.path.exists(workspace.root / value):  # noqa: PTH110 - a value may be longer than any path
            raise NucleiBinaryError(
                Reason.INVALID_OPTIONS,
                f"variable {name!r} names a file of the scanner, which Nuclei would send: change its value. Nothing was sent.",
            )
    if values:
        workspace.variables.write_text(list_file(variables.lines(values)))
