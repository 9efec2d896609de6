"""`scanplan templates` against a real registry, and what other programs make of its images."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from scanplan.cli.main import app
from tests.fixtures import receivers, registry
from tests.images.store import Store, ask
from tests.unit.client.templates import files
from tests.unit.client.templates.test_source import packed


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Who has logged in nowhere; returns the folder of Docker's settings."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "NUCLEI_BIN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text("{}")
    return tmp_path / "docker"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return files.folder(tmp_path / "ours")


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[str]:
    with registry.registry(tmp_path / "registry") as host:
        yield host


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["templates", *map(str, words)])


def built(*words: str | Path) -> dict[str, Any]:
    done = command("build", *words, "--output", "json")
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def log_in(settings: Path, host: str, **entry: str) -> None:
    basic = base64.b64encode(f"{registry.USER}:{registry.PASSWORD}".encode()).decode()
    (settings / "config.json").write_text(json.dumps({"auths": {host: entry or {"auth": basic}}}))


def test_a_folder_is_pushed_and_the_plan_gets_its_digest(folder: Path, plain: str, tmp_path: Path) -> None:
    """Lost otherwise: templates of one's own, pinned, without a container engine."""
    done = command("build", "--from", folder, "--push", f"{plain}/team/ours:v1", "--plain-http")
    assert done.exit_code == 0, done.output
    (source,) = yaml.safe_load(done.stdout)["templatesFrom"]
    reference = source["image"]["reference"]
    answer = built("--from", folder, "--push", f"{plain}/team/ours:again", "--plain-http")
    assert (answer["image"], answer["templates"]) == (reference, 2), "the same files have another digest"
    request = urllib.request.Request(
        f"http://{plain}/v2/team/ours/manifests/v1", headers={"Accept": "application/vnd.oci.image.index.v1+json"}
    )
    with urllib.request.urlopen(request) as stored:  # noqa: S310
        assert reference.endswith(stored.headers["Docker-Content-Digest"])
    assert pulled(f"docker://{reference}", tmp_path) == MEMBERS


MEMBERS = {"LICENSE.md", "dns", "helpers", "http", "profiles", "scanplan-index.ndjson"}


def pulled(source: str, tmp_path: Path) -> set[str]:
    """What buildah finds in an image, from a registry or an archive."""
    store = Store(tmp_path / "store")
    (tmp_path / "store").mkdir()
    container = ask(store._buildah("from", "--tls-verify=false", source))
    try:
        return {path.name for path in Path(ask(store._buildah("mount", container))).iterdir()}
    finally:
        ask(store._buildah("rm", container))


def test_an_archive_is_what_other_programs_read_and_is_pushed_elsewhere(
    folder: Path, plain: str, tmp_path: Path
) -> None:
    """Lost otherwise: templates in a network that nothing is downloaded into."""
    archive = tmp_path / "templates.tar"
    answer = built("--from", folder, "--archive", archive, "--name", f"{plain}/ours:v1")
    done = command("push", archive, f"{plain}/ours:v1", "--plain-http", "-o", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["image"] == answer["image"]
    assert pulled(f"oci-archive:{archive}", tmp_path) == MEMBERS
    assert command("build", "--from", folder, "--archive", archive).exit_code == 73, "it was written over"


def test_the_layout_is_one(folder: Path, tmp_path: Path) -> None:
    answer = built("--from", folder, "--layout", tmp_path / "layout")
    assert json.loads((tmp_path / "layout/index.json").read_text())["manifests"][0]["digest"] == answer["digest"]
    assert pulled(f"oci:{tmp_path / 'layout'}", tmp_path) == MEMBERS


# who may push


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    with registry.registry(tmp_path / "registry", login=True) as host:
        yield host


def test_a_login_of_docker_is_taken(folder: Path, guarded: str, nobody: Path) -> None:
    words = ("--from", folder, "--push", f"{guarded}/ours:v1", "--plain-http")
    done = command("build", *words)
    assert (done.exit_code, "docker login" in done.output) == (77, True), done.output
    log_in(nobody, guarded, auth=base64.b64encode(b"me:wrong").decode())
    assert command("build", *words).exit_code == 77
    log_in(nobody, guarded)
    done = command("build", *words)
    assert done.exit_code == 0, done.output
    assert registry.PASSWORD not in done.output


def test_a_credential_helper_is_asked(
    folder: Path, guarded: str, nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    secret = json.dumps({"ServerURL": guarded, "Username": registry.USER, "Secret": registry.PASSWORD})
    helper.write_text(f"#!/bin/sh\nread host; [ \"$host\" = {guarded} ] && echo '{secret}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(helper.parent), prepend=":")
    (nobody / "config.json").write_text(json.dumps({"credHelpers": {guarded: "test"}}))
    done = command("build", "--from", folder, "--push", f"{guarded}/ours:v1", "--plain-http")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("entry", [{}, {"identitytoken": "identity"}], ids=["password", "identity token"])
def test_a_token_is_asked_for(entry: dict[str, str], folder: Path, plain: str, nobody: Path) -> None:
    """As hosted registries want it."""
    with registry.gate(plain) as host:
        words = ("--from", folder, "--push", f"{host}/ours:v1", "--plain-http")
        assert command("build", *words).exit_code == 77
        log_in(nobody, host, **entry)
        done = command("build", *words)
    assert done.exit_code == 0, done.output
    assert registry.TOKEN not in done.output


def test_a_certificate_is_checked(folder: Path, tmp_path: Path) -> None:
    """Lost otherwise: credentials for whoever answers."""
    made = receivers.certificates(tmp_path)
    with registry.registry(tmp_path / "registry", tls=(tmp_path / "right.crt", tmp_path / "right.key")) as host:
        words = ("--from", folder, "--push", f"{host}/ours:v1")
        done = command("build", *words)
        assert (done.exit_code, "--ca FILE" in done.output) == (69, True), done.output
        done = command("build", *words, "--ca", made.authority)
    assert done.exit_code == 0, done.output


def test_plain_http_leaves_this_machine_never(folder: Path) -> None:
    done = command("build", "--from", folder, "--push", "registry.example.com/ours:v1", "--plain-http")
    assert (done.exit_code, "only to a registry on this machine" in done.output) == (64, True)


def test_nobody_answers(folder: Path) -> None:
    done = command("build", "--from", folder, "--push", "127.0.0.1:1/ours:v1", "--plain-http")
    assert (done.exit_code, "can't be reached" in done.output) == (69, True)


# releases


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The files of a folder over HTTP; gives the URL."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def mirror(tmp_path: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """A web server with an archive and its checksums; gives its URL, and the archive's SHA-256."""
    shelf = tmp_path / "mirror"
    shelf.mkdir()
    digest = packed(folder, shelf / "v1.0.0.tar.gz")
    (shelf / "SHA256SUMS").write_text(f"{digest}  v1.0.0.tar.gz\n")
    with served(shelf) as url:
        yield url, digest


def test_a_release_is_downloaded_and_verified(mirror: tuple[str, str], plain: str, folder: Path) -> None:
    url, digest = mirror
    words = (
        "--release",
        "v1.0.0",
        "--from",
        f"{url}/v1.0.0.tar.gz",
        "--push",
        f"{plain}/community:v1.0.0",
        "--plain-http",
    )
    by_digest = built(*words, "--sha256", digest)
    by_file = built(*words, "--checksums", f"{url}/SHA256SUMS")
    assert by_digest == by_file
    assert by_digest["sourceSha256"] == digest
    own = built("--release", "v1.0.0", "--from", folder, "--push", f"{plain}/community:own", "--plain-http")
    assert own["digest"] == by_digest["digest"], "a folder of the same files is another image"
    assert command("build", *words, "--sha256", "0" * 64).exit_code == 65
    assert command("build", *words).exit_code == 64
    missing = command("build", "--from", f"{url}/v2.tar.gz", "--sha256", digest, "--layout", "x")
    assert (missing.exit_code, "answers 404" in missing.output) == (66, True)


# what does not load


def test_what_does_not_load_is_refused_or_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "http/broken.yaml").write_text("id: broken\ninfo:\n  name: [\n")
    words = ("build", "--from", folder)
    done = command(*words, "--layout", tmp_path / "first")
    assert done.exit_code == 65
    assert "http/broken.yaml: line 4" in done.output
    assert "1 template does not load" in done.output
    assert not (tmp_path / "first").exists()
    answer = built("--from", folder, "--layout", tmp_path / "second", "--leave-out-broken")
    assert [each["path"] for each in answer["leftOut"]] == ["http/broken.yaml"]
    assert answer["templates"] == 2


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("build", "--from", "x"), "--push, --archive or --layout"),
        (("build", "--layout", "x"), "--release VERSION, or --from FOLDER"),
        (("build", "--from", "x", "--push", "ours"), "REGISTRY/NAME:TAG"),
        (("build", "--from", "x", "--push", "https://registry.example.com/ours:v1"), "REGISTRY/NAME:TAG"),
        (("build", "--from", "x", "--layout", "x", "--name", "registry.example.com/Ours:v1"), "REGISTRY/NAME:TAG"),
        (("build", "--release", "../v1", "--layout", "x"), "is no release"),
    ],
)
def test_a_wrong_command_line(words: tuple[str, ...], hint: str) -> None:
    done = command(*words)
    assert (done.exit_code, hint in done.output) == (64, True), done.output


def test_the_program_is_there() -> None:
    """Else all of these tests fail with words that name no package: `make install` brings it."""
    assert subprocess.run([registry.PROGRAM, "--version"], capture_output=True, check=False).returncode == 0
