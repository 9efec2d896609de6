"""The images as they are built: who they run as, and what works in them."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from scanplan.api.exit_codes import ExitCode
from tests.images import Archive, ImageError, build
from tests.images.builder import _reference
from tests.images.recipes import NAMES, Recipe
from tests.images.store import Store, ask
from tests.images.test_templates import served
from tests.unit.client.templates import files
from tests.unit.client.templates.test_source import packed

pytestmark = pytest.mark.e2e

SIZING = Path(__file__).parents[2] / "docs/how-to/sizing.md"


@pytest.fixture(scope="module")
def archives() -> dict[str, Archive]:
    return build(NAMES)


def in_image(archive: Archive, *argv: str) -> str:
    return Store.default().run(f"oci-archive:{archive.path}", *argv)


def configuration(archive: Archive) -> dict[str, Any]:
    """What the image's configuration says of its containers, as the OCI image specification has it."""
    with tarfile.open(archive.path) as tar:

        def read(name: str) -> Any:
            file = tar.extractfile(name)
            assert file
            return json.load(file)

        manifest = read("blobs/sha256/" + read("index.json")["manifests"][0]["digest"].removeprefix("sha256:"))
        content: dict[str, Any] = read("blobs/sha256/" + manifest["config"]["digest"].removeprefix("sha256:"))
        return dict(content["config"])


def began(process: Path, program: str | Path) -> bool:
    """Whether a process is this init, and has blocked signals. While it waits for one, the kernel says that none is blocked.

    `unshare` blocks signals too before it becomes this init, so what is blocked is asked last.
    """
    if (process / "exe").resolve() != Path(program).resolve():
        return False
    told = re.search(r"SigBlk:\s*([0-9a-f]+)", (process / "status").read_text())
    blocks = told is not None and int(told[1], 16) & 1 << signal.SIGTERM - 1
    waits = (process / "task" / process.name / "children").read_text().strip()
    return bool(blocks or waits)


def told_to_end(command: Sequence[str | Path], milliseconds: float) -> int:
    """The exit code of process 1 of a new PID namespace, which gets a SIGTERM so long after it has begun; -9: it was lost.

    It has begun once it blocks signals, which is the first thing that an init does: less than a millisecond after its start.
    """
    unshare = ["unshare", "--map-root-user", "--pid", "--fork", "--kill-child"]
    with subprocess.Popen([*unshare, *command]) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        first = ""
        while not (first and began(Path("/proc", first), command[0])):
            first = children.read_text().strip()
        time.sleep(milliseconds / 1000)
        os.kill(int(first), signal.SIGTERM)
        try:
            return process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            return -signal.SIGKILL


@pytest.mark.parametrize("name", ["operator", "scanner", "worker"])
def test_a_sigterm_in_the_first_moments_ends_the_container(
    archives: dict[str, Archive], name: str, tmp_path: Path
) -> None:
    """Else a pod that is evicted or suspended as it starts runs on until it is killed.

    Before its first line, Python has no handler; a program that sleeps stands for that, however fast the machine is.
    """
    assert configuration(archives[name])["Entrypoint"][:4] == ["tini", "--", "python3", "-m"]
    init = tmp_path / "tini"
    program = "import base64, shutil; print(base64.b64encode(open(shutil.which('tini'), 'rb').read()).decode())"
    init.write_bytes(base64.b64decode(in_image(archives[name], "python3", "-c", program)))
    init.chmod(0o755)
    asleep = (init, "--", sys.executable, "-c", "import time; time.sleep(60)")
    delays = (*range(10), *range(10, 101, 10))
    codes = {milliseconds: told_to_end(asleep, milliseconds) for milliseconds in delays}
    assert set(codes.values()) == {ExitCode.INTERRUPTED}, codes


@pytest.mark.parametrize("name", ["operator", "scanner", "worker"])
def test_runs_as_nobody_and_has_certificates(archives: dict[str, Archive], name: str) -> None:
    """Else the pod is refused, or no TLS connection is trusted."""
    program = "import getpass, os, ssl; print(os.getuid(), getpass.getuser(), bool(ssl.create_default_context().get_ca_certs()))"
    assert in_image(archives[name], "python3", "-c", program) == "65532 scanplan True"


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("operator", "kopf kubernetes.aio.client pydantic scanplan"),
        ("scanner", "msgspec asyncio scanplan.runner"),
        ("worker", "typer rq redis scanplan.client.queues.workers"),
    ],
)
def test_modules_are_compiled(archives: dict[str, Archive], name: str, modules: str) -> None:
    """Else every start on a read-only root compiles them again: seconds, at each shard's start."""
    program = (
        f"import sys, {', '.join(modules.split())}\n"
        "files = [getattr(module, '__cached__', None) for module in sys.modules.values()]\n"
        "import os; print([file for file in files if file and not os.path.exists(file)])"
    )
    assert in_image(archives[name], "python3", "-c", program) == "[]"


def test_the_operators_image_can_index_findings(archives: dict[str, Archive]) -> None:
    """Else the findings view fails in a pod: not every Python has SQLite, nor one that ranks."""
    program = "from scanplan.web.findings.index import Index; print(list(Index([], 1 << 20).points))"
    assert in_image(archives["operator"], "python3", "-c", program) == "[]"


def test_the_scanner_image_is_without_the_operators_libraries(archives: dict[str, Archive]) -> None:
    """Else every scan pod pulls and starts what it never uses."""
    program = (
        "import importlib.util as u; print([name for name in ('kopf', 'kubernetes', 'pydantic') if u.find_spec(name)])"
    )
    assert in_image(archives["scanner"], "python3", "-c", program) == "[]"


def test_images_are_as_large_as_the_page_says(archives: dict[str, Archive]) -> None:
    """Else a reader plans nodes and registries by a figure that is no longer true."""
    said = dict(re.findall(r"^\| (operator|scanner|worker) \| (\d+) MB \|", SIZING.read_text(), re.MULTILINE))
    assert len(said) == 3
    for name, size in said.items():
        assert archives[name].path.stat().st_size / 1e6 == pytest.approx(int(size), rel=0.1)


@pytest.mark.parametrize("name", ["scanner", "worker"])
def test_nuclei_finds_its_templates_and_writes_no_configuration(archives: dict[str, Archive], name: str) -> None:
    """Else Nuclei fails on a read-only root, or runs templates that are excluded by default."""
    program = "import os, pathlib; print(sorted(os.listdir(os.environ['NUCLEI_CONFIG_DIR'])))"
    files = in_image(archives[name], "python3", "-c", program)
    assert files == str([".nuclei-ignore", ".templates-config.json", "config.yaml", "reporting-config.yaml"])
    in_image(archives[name], "nuclei", "-validate", "-t", "http/", "-duc", "-ni", "-no-stdin")


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Build arguments of a release that a server of this machine has."""
    (tmp_path / "mirror").mkdir()
    digest = packed(files.folder(tmp_path / "release"), tmp_path / "mirror/v1.0.0.tar.gz")
    (tmp_path / "mirror/SHA256SUMS").write_text(f"{digest}  v1.0.0.tar.gz\n")
    with served(tmp_path / "mirror") as url:
        given = {"TEMPLATES_RELEASE": "v1.0.0", "TEMPLATES_FROM": f"{url}/v1.0.0.tar.gz", "TEMPLATES_SHA256": digest}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        yield {**given, "url": url}


def test_images_have_the_release_of_templates_that_they_are_given(
    release: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: the community's templates without a build of one's own, or those that somebody put in their place."""
    made = build(["templates", "scanner"], output=tmp_path / "images")
    listing = "import os; print(sorted(os.listdir(os.environ['NUCLEI_TEMPLATES_DIR'])))"
    found = in_image(made["scanner"], "python3", "-c", listing)
    assert found == str(["LICENSE.md", "dns", "helpers", "http", "profiles", "scanplan-index.ndjson"])
    assert configuration(made["templates"])["Labels"]["org.opencontainers.image.version"] == "v1.0.0"
    monkeypatch.setenv("TEMPLATES_SHA256", "0" * 64)
    with pytest.raises(ImageError, match=f"has the SHA-256 {release['TEMPLATES_SHA256']}, and not 0000"):
        build(["templates"], output=tmp_path / "images")
    monkeypatch.delenv("TEMPLATES_SHA256")
    with pytest.raises(ImageError, match="nothing says what"):
        build(["templates"], output=tmp_path / "images")
    monkeypatch.setenv("TEMPLATES_CHECKSUMS", f"{release['url']}/SHA256SUMS")
    again = build(["templates"], output=tmp_path / "images")["templates"]
    assert configuration(again) == configuration(made["templates"])


def test_what_has_not_changed_is_not_built_again(archives: dict[str, Archive]) -> None:
    """Else every test run pays half a minute for images that it has."""
    before = {name: archive.path.stat().st_mtime_ns for name, archive in archives.items()}
    assert build(NAMES) == archives
    assert {name: archive.path.stat().st_mtime_ns for name, archive in archives.items()} == before


def test_other_content_has_another_name(tmp_path: Path) -> None:
    """Else a node keeps the image that it has, and a test runs yesterday's code."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY folder /folder\n")
    (tmp_path / "folder").mkdir()
    image = Recipe("some", tmp_path / "Dockerfile", {"folder": tmp_path / "folder"})

    def write(name: str, text: str) -> str:
        (tmp_path / "folder" / name).write_text(text)
        return _reference(image, {})

    references = [write("a", "1"), write("a", "2"), write("b", "2"), _reference(image, {"BASE": "other"})]
    assert len(set(references)) == len(references)
    assert write("b", "2") == references[2]


def test_a_failing_command_is_told_in_full() -> None:
    """Else people see that an image wasn't built, and not why."""
    with pytest.raises(ImageError, match="apt-get install nothing-of-this-name"):
        ask(["nothing-of-this-name"])
    with pytest.raises(ImageError, match=r"exit code 2[\s\S]*/no/such/folder"):
        ask([str(shutil.which("ls")), "/no/such/folder"])
