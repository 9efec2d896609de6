"""Build the archive that krew installs as `kubectl scanplan`, and its manifest.

    python examples/plugin/build.py --homepage https://github.com/OWNER/scanplan \\
      --url https://github.com/OWNER/scanplan/releases/download/v0.1.0

The archive holds the package with its dependencies for this platform and this Python, and a launcher that looks for that
Python. Build it once on each platform that you serve; each manifest has one platform, put their entries into one file.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MANIFEST = Path(__file__).parent / "scanplan.yaml"
SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
LAUNCHER = """#!/bin/sh
# The package's compiled parts are made for Python {version}.
here=$(dirname "$(readlink -f "$0" 2>/dev/null || echo "$0")")
for python in python{version} python3; do
  if "$python" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "{version}")' 2>/dev/null; then
    exec env PYTHONPATH="$here/lib" "$python" -c 'from scanplan.cli.plugin import main; main()' "$@"
  fi
done
echo "kubectl scanplan needs Python {version}: install it, or use: pip install 'scanplan[kubernetes]'" >&2
exit 69
"""


def build(homepage: str, url: str, into: Path) -> Path:
    """Write archive and manifest; returns the manifest.

    Args:
        homepage: of the project.
        url: where the archive will be, without its name.
        into: a folder, emptied first.
    """
    shutil.rmtree(into, ignore_errors=True)
    content = into / "content"
    target = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--target",
        str(content / "lib"),
    ]
    subprocess.run([*target, f"{ROOT}[kubernetes]"], check=True)
    launcher = content / "kubectl-scanplan"
    launcher.write_text(LAUNCHER.format(version=f"{sys.version_info[0]}.{sys.version_info[1]}"))
    launcher.chmod(0o755)
    shutil.copy(ROOT / "LICENSE", content)
    system, machine = SYSTEMS[platform.system()], MACHINES[platform.machine()]
    archive = into / f"kubectl-scanplan-{system}-{machine}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for part in sorted(content.iterdir()):
            tar.add(part, part.name)
    shutil.rmtree(content)
    manifest = into / "scanplan.yaml"
    values = {
        "VERSION": version(),
        "HOMEPAGE": homepage,
        "OS": system,
        "ARCH": machine,
        "URI": f"{url.rstrip('/')}/{archive.name}",
        "SHA256": hashlib.sha256(archive.read_bytes()).hexdigest(),
    }
    text = MANIFEST.read_text()
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    manifest.write_text(text)
    return manifest


def version() -> str:
    """The package's."""
    words: dict[str, str] = {}
    exec((ROOT / "operator/scanplan/__init__.py").read_text(), words)  # noqa: S102 - our own file, without importing it
    return words["__version__"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--homepage", required=True, help="of the project, for the plugin's users")
    parser.add_argument("--url", required=True, help="where the archive will be, without its name")
    parser.add_argument("--into", type=Path, default=ROOT / "build/plugin")
    given = parser.parse_args()
    print(build(given.homepage, given.url, given.into))
