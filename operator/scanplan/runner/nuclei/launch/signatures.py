"""Which templates need a signature: `scanner.verifySignatures`, without the sources that a plan excepts.

Nuclei's `-disable-unsigned-templates` is for a whole run. A run has the templates of one source, so each has its own answer.
"""

from __future__ import annotations

import os
from pathlib import Path

from scanplan.api.documents.task import TaskDocument


def required(document: TaskDocument, root: Path) -> bool:
    """Whether the templates of a source need a signature.

    Args:
        root: the source's folder, without links in its path.
    """
    excepted = {Path(os.path.realpath(folder.path)) for folder in document.template_folders if folder.unsigned}
    return document.scanner.verify_signatures and root not in excepted
