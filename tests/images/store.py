"""Buildah, with a store of its own.

Layers and images live in one folder of the user's cache, apart from the store of any container engine on the
machine. The folder is locked while something is built: two builders at once would do the same work twice.
"""

import os
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tests.building import alone

KEPT = timedelta(hours=1)
"""How long images of former content stay: other processes, of this checkout or another one, may use them."""

PACKAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "apt-get": "apt"}


class ImageError(Exception):
    """An image can't be built; the message says why, and what to do before trying again."""


def run(argv: Sequence[str | Path], report: Callable[[str], None]) -> None:
    """Run a command to its end; `report` gets each line that it prints, at once.

    Raises ImageError when the command isn't there or fails; the message ends with its last twenty lines.
    """
    last: deque[str] = deque(maxlen=20)
    with subprocess.Popen(
        _found(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            last.append(line)
            report(line.strip())
    _check(argv, process.returncode, "".join(last))


def ask(argv: Sequence[str | Path]) -> str:
    """Run a command that takes a moment, and return its standard output. Raises as `run` does."""
    answer = subprocess.run(_found(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    _check(argv, answer.returncode, answer.stderr)
    return answer.stdout.strip()


def _found(argv: Sequence[str | Path]) -> Sequence[str | Path]:
    tool = str(argv[0])
    if not shutil.which(tool):
        raise ImageError(f"{tool} is missing: apt-get install {PACKAGES.get(tool, tool)}")
    return argv


def _check(argv: Sequence[str | Path], code: int, said: str) -> None:
    if code:
        command = " ".join(map(str, argv))
        raise ImageError(f"This command failed with exit code {code}:\n  {command}\n{said}")


@dataclass(frozen=True)
class Store:
    """A folder with buildah's layers and images, and what else makes the next build quick."""

    folder: Path

    @classmethod
    def default(cls) -> "Store":
        """The store of this user, `$XDG_CACHE_HOME/scanplan/images`."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(cache / "scanplan" / "images")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process builds here, and keep the others waiting meanwhile."""
        with alone(self.folder / "lock", "images"):
            yield

    def delete(self) -> None:
        """Delete all of it."""
        if self.folder.exists():
            with self.locked():
                # After a killed build a layer may still be mounted; buildah unmounts what it deletes.
                ask(self._buildah("rm", "--all"))
                ask(self._buildah("rmi", "--all", "--force"))
                shutil.rmtree(self.folder)

    def has(self, reference: str) -> bool:
        """Whether the image of that name is here."""
        return bool(ask(self._buildah("images", "--quiet", "--filter", f"reference={reference}")))

    def build(
        self,
        reference: str,
        dockerfile: Path,
        context: Path,
        arguments: Mapping[str, str],
        report: Callable[[str], None],
        target: str | None = None,
    ) -> None:
        """Build a Dockerfile, or one stage of it, on bases of this store; layers that haven't changed are not built again.

        Former images of the same repository, older than KEPT, are forgotten with the layers that nobody else uses.
        """
        options = [
            "--isolation=chroot", "--pull-never", "--layers", "--force-rm",
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            *([f"--target={target}"] if target else ()), f"--tag={reference}", f"--file={dockerfile}",
        ]  # fmt: skip

        def report_step(line: str) -> None:
            if "STEP " in line:  # The rest is digests, and what the commands print.
                report(line.replace("STEP ", ""))

        run(self._buildah("build", *options, context), report_step)
        of_repository = f"--filter=reference={reference.rpartition(':')[0]}"
        old = f"--filter=until={KEPT.total_seconds():.0f}s"
        listed = ask(self._buildah("images", "--format={{.Name}}:{{.Tag}}", of_repository, old))
        if former := [name for name in listed.split() if name != reference]:
            ask(self._buildah("rmi", *former))

    def prune(self) -> None:
        """Delete the layers that no image has: of use until a base or lock file changes."""
        ask(self._buildah("rmi", "--prune", "--force"))

    def run(self, reference: str, *argv: str) -> str:
        """Run a command in an image, as its user, and return its standard output.

        `reference` may also be an archive, as `oci-archive:PATH`.
        """
        container = ask(self._buildah("from", "--pull-never", reference))
        try:
            return ask(self._buildah("run", "--isolation=chroot", container, "--", *argv))
        finally:
            ask(self._buildah("rm", container))

    def export(self, reference: str, archive: Path) -> None:
        """Write an image as an OCI archive, complete or not at all."""
        unfinished = archive.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        ask(self._buildah("push", "--quiet", reference, f"oci-archive:{unfinished}:{reference}"))
        unfinished.rename(archive)

    def push(self, archive: Path, reference: str, tls: bool = True) -> str:
        """Copy an image from its archive to a registry, and return its digest there. Credentials are those of `buildah login`."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder, self.locked():
            told = Path(folder) / "digest"
            image = ask(self._buildah("pull", "--quiet", f"oci-archive:{archive}"))
            options = (f"--tls-verify={str(tls).lower()}", f"--digestfile={told}", "--quiet")
            ask(self._buildah("push", *options, image, f"docker://{reference}"))
            return told.read_text().strip()

    def _buildah(self, command: str, *arguments: str | Path) -> Sequence[str | Path]:
        folders = ("--root", self.folder / "layers", "--runroot", self.folder / "running")
        return ["buildah", *folders, command, *arguments]
