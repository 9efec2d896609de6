"""Template variables on their way to Nuclei, by file."""

from __future__ import annotations

import os
from collections.abc import Mapping

from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.nuclei import variables
from scanplan.runner.nuclei.launch import mounted
from scanplan.runner.nuclei.launch.command import Workspace, list_file


def write(values: Mapping[str, str], workspace: Workspace) -> None:
    """Put them where Nuclei reads them.

    Raises:
        NucleiBinaryError: (InvalidOptions) one that names a file here.
        OSError: no place for them.
    """
    for name, value in values.items():
        if value and os.path.exists(workspace.root / value):  # noqa: PTH110 - a value may be longer than any path
            raise NucleiBinaryError(
                Reason.INVALID_OPTIONS,
                f"variable {name!r} names a file of the scanner, which Nuclei would send: change its value. Nothing was sent.",
            )
    mounted.write_private(workspace.variables, list_file(variables.lines(values)).encode())
