"""What of the machine a scan needs: the Nuclei program, template folders, its configuration, a place for short-lived files.

In the pod all of it comes from the image and its environment variables; on a laptop or in a queue worker the caller says
where things are. Each attempt works in a folder of its own that is gone afterwards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from scanplan.api import environment
from scanplan.runner.nuclei.launch.command import Workspace

DEFAULT_TEMPLATES = "/opt/nuclei-templates"
_CONFIGURATION_FILES = (".nuclei-ignore", ".templates-config.json", "reporting-config.yaml")
"""What an attempt takes over. A config.yaml is left out: it would change Nuclei's flags behind our back."""
SIGNER = "keys/nuclei-user.crt"
"""Certificate in the configuration that own templates are signed with, besides ProjectDiscovery's (`nuclei -sign`)."""
_IGNORE_FILE = "tags:\n  - dos\n  - fuzz\n"
"""Without any ignore file Nuclei would run denial-of-service templates too."""


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are."""

    nuclei: str = "nuclei"
    """Program name on PATH, or path."""
    templates: tuple[Path, ...] = (Path(DEFAULT_TEMPLATES),)
    """Template folders; a name is looked up in their order."""
    configuration: Path | None = None
    """Folder with Nuclei's ignore file and state; never written to."""
    temporary: Path | None = None
    """Where workspaces are made; None: the system's place for temporary files."""
    inherited: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The environment of which Nuclei gets the harmless part."""

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Installation:
        """The installation that the image describes by its environment variables."""
        templates = variables.get(environment.TEMPLATES_DIRECTORY) or DEFAULT_TEMPLATES
        configuration = variables.get(environment.NUCLEI_CONFIGURATION)
        return cls(
            nuclei=variables.get(environment.NUCLEI_BIN) or "nuclei",
            templates=tuple(Path(folder).absolute() for folder in templates.split(os.pathsep)),
            configuration=Path(configuration) if configuration else None,
            inherited=dict(variables),
        )

    def program(self) -> str:
        """The path of Nuclei; the name where it is not on PATH, so that starting it says so."""
        return shutil.which(self.nuclei, path=self.inherited.get("PATH")) or self.nuclei

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """A new workspace with Nuclei's private home and configuration, removed at the end.

        Raises:
            OSError: no place for it.
        """
        root = Path(tempfile.mkdtemp(prefix="scan-", dir=self.temporary))
        try:
            workspace = Workspace(root)
            for folder in (workspace.home, workspace.configuration, workspace.temporary):
                folder.mkdir()
            (workspace.configuration / ".nuclei-ignore").write_text(_IGNORE_FILE)
            for name in _CONFIGURATION_FILES:
                if self.configuration is not None and (self.configuration / name).is_file():
                    shutil.copyfile(self.configuration / name, workspace.configuration / name)
            if self.configuration is not None and (self.configuration / SIGNER).is_file():
                shutil.copyfile(self.configuration / SIGNER, workspace.signer)
            yield workspace
        finally:
            shutil.rmtree(root, ignore_errors=True)
