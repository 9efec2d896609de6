"""The page about Nuclei's flags has all of them, and no other: a user finds each flag, and what became of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

PAGE = Path("docs/how-to/from-nuclei.md")
FLAG = r"-{1,2}[A-Za-z][A-Za-z0-9-]*"


def test_each_flag_has_its_row(scanner: Path, only_real: Callable[[str], None], tmp_path: Path) -> None:
    only_real("prints no help")
    done = subprocess.run([scanner, "-h"], capture_output=True, text=True, env={"HOME": str(tmp_path)}, check=False)
    lines = re.findall(rf"^ +((?:{FLAG}, )*{FLAG})(?: |$)", done.stdout, re.MULTILINE)
    flags = {flag for line in lines for flag in line.split(", ")}
    rows = re.findall(r"^\| (`-[^|]*) \|", PAGE.read_text(), re.MULTILINE)
    told = [flag for row in rows for flag in re.findall(r"`(-[^`]*)`", row)]
    assert len(flags) > 200
    assert set(told) == flags
