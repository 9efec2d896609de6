"""Archives of templates come from elsewhere: nothing is unpacked that nobody has vouched for, and nothing leaves its folder."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from scanplan.client.cluster.failure import Failure
from scanplan.client.templates import source
from tests.unit.client.templates import broken, files


def packed(folder: Path, target: Path, top: str = "nuclei-templates-1.0.0") -> str:
    """Write a folder as an archive of a release; returns its SHA-256."""
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for path in folder.rglob("*"):
                archive.write(path, Path(top) / path.relative_to(folder))
    else:
        with tarfile.open(target, "w:xz" if target.suffix == ".xz" else "w:gz") as tar:
            tar.add(folder, top)
    return hashlib.sha256(target.read_bytes()).hexdigest()


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", ["v1.tar.gz", "v1.zip"])
def test_an_archive_of_a_release_is_its_one_folder(name: str, tmp_path: Path, temporary: Path) -> None:
    folder = files.folder(tmp_path / "folder")
    digest = packed(folder, tmp_path / name)
    opened = source.opened(str(tmp_path / name), temporary, sha256=digest.upper())
    assert opened.sha256 == digest
    expected = [path.relative_to(folder) for path in source.files(folder)]
    assert [path.relative_to(opened.folder) for path in source.files(opened.folder)] == expected
    assert [str(path) for path in expected if path.name.startswith(".")] == []


def test_a_checksums_file_vouches_for_it(tmp_path: Path, temporary: Path) -> None:
    archive = tmp_path / "v1.tar.gz"
    digest = packed(files.folder(tmp_path / "folder"), archive)
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  other.tar.gz\n{digest} *dist/v1.tar.gz\n")
    assert source.opened(str(archive), temporary, checksums=str(sums)).sha256 == digest


def test_another_archive_is_refused_before_it_is_opened(tmp_path: Path, temporary: Path) -> None:
    """Lost otherwise: a scanner that runs what somebody has put into the mirror."""
    archive = tmp_path / "v1.tar.gz"
    packed(files.folder(tmp_path / "folder"), archive)
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  v1.tar.gz\n")
    for given in ({"sha256": "0" * 64}, {"checksums": str(sums)}):
        with pytest.raises(Failure, match="has the SHA-256") as caught:
            source.opened(str(archive), temporary, **given)
        assert caught.value.code == os.EX_DATAERR
    assert not (temporary / "unpacked").exists()


REFUSED = [
    ("http://127.0.0.1:1/v1.tar.gz", {}, os.EX_USAGE, "nothing says what"),
    ("none.tar.gz", {}, os.EX_NOINPUT, "No such file"),
    ("folder", {"sha256": "0" * 64}, os.EX_USAGE, "is a folder"),
    ("folder/LICENSE.md", {}, os.EX_DATAERR, "is no archive"),
    ("folder/LICENSE.md", {"sha256": "12"}, os.EX_USAGE, "is no SHA-256"),
    ("folder/LICENSE.md", {"checksums": "folder/LICENSE.md"}, os.EX_DATAERR, "has no SHA-256 of LICENSE.md"),
    ("http://127.0.0.1:1/v1.tar.gz", {"sha256": "0" * 64}, os.EX_UNAVAILABLE, "can't be read"),
]


@pytest.mark.parametrize(("where", "given", "code", "words"), REFUSED)
def test_what_can_not_be_read_is_refused(
    where: str,
    given: dict[str, str],
    code: int,
    words: str,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files.folder(tmp_path / "folder")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Failure, match=words) as caught:
        source.opened(where, temporary, **given)
    assert caught.value.code == code


SHORTER = pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc", id="shorter than it says")


@pytest.mark.parametrize("answer", [*broken.ANSWERS, SHORTER])
def test_a_download_that_breaks_off_is_told(answer: bytes, temporary: Path) -> None:
    with broken.server(answer) as host, pytest.raises(Failure) as caught:
        source.opened(f"http://{host}/v1.tar.gz", temporary, sha256="0" * 64)
    assert caught.value.code == os.EX_UNAVAILABLE


@pytest.mark.parametrize("name", ["v1.tar.gz", "v1.tar.xz", "v1.zip"])
def test_a_damaged_archive_is_refused(name: str, tmp_path: Path, temporary: Path) -> None:
    """Damaged in the middle of a file: each compression has an error of its own."""
    folder = files.folder(tmp_path / "folder")
    (folder / "random.yaml").write_text(os.urandom(50_000).hex())
    packed(folder, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    quarter = len(content) // 4
    (tmp_path / name).write_bytes(content[:quarter] + os.urandom(2 * quarter) + content[3 * quarter :])
    with pytest.raises(Failure, match="is no archive that can be read") as caught:
        source.opened(str(tmp_path / name), temporary)
    assert caught.value.code == os.EX_DATAERR


@pytest.mark.parametrize("name", ["/etc/evil", "a/../../evil", "a\\evil"])
def test_a_name_that_leaves_the_folder_is_refused(name: str, tmp_path: Path, temporary: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(Failure, match="is no name of a file"):
        source.opened(str(tmp_path / "evil.tar"), temporary)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_only_plain_files_are_unpacked(kind: bytes, tmp_path: Path, temporary: Path) -> None:
    member = tarfile.TarInfo("a/link")
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.addfile(member)
    with pytest.raises(Failure, match="no plain file"):
        source.opened(str(tmp_path / "evil.tar"), temporary)


def test_a_bomb_is_refused(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 1_000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "zeros").write_bytes(bytes(100_000))
    packed(tmp_path / "folder", tmp_path / "bomb.tar.gz")
    for where in ("bomb.tar.gz", "folder"):
        with pytest.raises(Failure, match="has more than"):
            source.files(source.opened(str(tmp_path / where), temporary).folder)


@pytest.mark.parametrize("target", ["http/cves/one.yaml", "http"])
def test_links_of_a_folder_stay_out_of_an_image(target: str, tmp_path: Path) -> None:
    folder = files.folder(tmp_path / "folder")
    (folder / "link").symlink_to(folder / target)
    with pytest.raises(Failure, match="links don't go into an image"):
        source.files(folder)


def test_a_release_is_a_url() -> None:
    assert source.of_release("v10.3.0").endswith("/v10.3.0.tar.gz")
    with pytest.raises(Failure, match="is no release"):
        source.of_release("../v1")
