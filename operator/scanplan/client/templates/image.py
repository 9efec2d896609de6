"""A data-only OCI image, made of a folder's files: the same files are the same bytes, and so the same digest.

Nothing of the machine or of the day goes into it: names are sorted, owners are 0, times are 1970. The one layer is not
compressed, because compressors of other versions write other bytes. It is the layer of one manifest for each platform, under
one index, so that nodes of all of them take it.
https://github.com/opencontainers/image-spec
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from scanplan.client.cluster.failure import NO_INPUT, Failure
from scanplan.client.templates import source
from scanplan.client.templates.content import Content
from scanplan.runner.nuclei.choosing import index

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
PLATFORMS = ("amd64", "arm64")
"""Architectures under Linux. Files are the same for all; a node takes an image of its own only."""
REFERENCE = "org.opencontainers.image.ref.name"
_CONTAINERD = "io.containerd.image.name"
_TITLE = "ScanPlan templates"
_HEX = re.compile(r"[0-9a-f]{64}")
_MAX_JSON = 1 << 20


class Image(msgspec.Struct, frozen=True):
    """An image in a folder, as the OCI image layout has it."""

    layout: Path
    digest: str
    """Of its index: ``sha256:`` and 64 hex digits."""
    blobs: tuple[tuple[str, str], ...]
    """Media type and digest of all that it consists of, each after what it refers to; the last is the index."""

    def blob(self, digest: str) -> Path:
        return blob(self.layout, digest)


def blob(layout: Path, digest: str) -> Path:
    """Where a layout has a blob."""
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def write(content: Content, layout: Path, *, release: str = "", reference: str = "") -> Image:
    """Write an image into a folder that is empty or not there.

    Args:
        release: the version of the templates, for a label; part of the digest.
        reference: the name that importers give it; no part of the digest.

    Raises:
        OSError: it can't be written.
    """
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    layer = _layer(content, blobs)
    labels = {
        "org.opencontainers.image.title": _TITLE,
        **({"org.opencontainers.image.version": release} if release else {}),
    }
    parts, manifests = [(LAYER, layer["digest"])], []
    for architecture in PLATFORMS:
        config = _json(blobs, CONFIG, _config(architecture, str(layer["digest"]), labels))
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
            "annotations": labels,
        }
        manifest = _json(blobs, MANIFEST, document)
        parts += [(CONFIG, config["digest"]), (MANIFEST, manifest["digest"])]
        manifests.append(manifest | {"platform": {"architecture": architecture, "os": "linux"}})
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": labels}
    top = _json(blobs, INDEX, document)
    named = {"annotations": {REFERENCE: reference, _CONTAINERD: reference}} if reference else {}
    (layout / "oci-layout").write_bytes(_encoded({"imageLayoutVersion": "1.0.0"}))
    (layout / "index.json").write_bytes(_encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": [top | named]}))
    return Image(layout, top["digest"], (*parts, (INDEX, top["digest"])))


def archive(image: Image, file: BinaryIO) -> None:
    """Write the layout as one file, an OCI archive."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(path for path in image.layout.rglob("*") if path.is_file()):
            with path.open("rb") as content:
                tar.addfile(_member(str(path.relative_to(image.layout)), path.stat().st_size), content)


def opened(file: Path, layout: Path) -> Image:
    """Unpack an archive that `archive` wrote, and check each digest.

    Raises:
        Failure: it is not there, or no archive of such an image.
    """
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    try:
        with tarfile.open(file) as tar:
            for member in tar:
                name = member.name.removeprefix("blobs/sha256/")
                content = tar.extractfile(member)
                if content and name in {"index.json", "oci-layout"}:
                    (layout / name).write_bytes(content.read(_MAX_JSON))
                elif content and _HEX.fullmatch(name):
                    with (blobs / name).open("wb") as copy:
                        shutil.copyfileobj(content, copy)
        (top,) = _read(layout / "index.json")["manifests"]
        index_of = _read(_checked(layout, top["digest"]))
        parts: list[tuple[str, str]] = []
        for manifest in index_of["manifests"]:
            document = _read(_checked(layout, manifest["digest"]))
            for part in (*document["layers"], document["config"]):
                _checked(layout, part["digest"])
                parts.append((part["mediaType"], part["digest"]))
            parts.append((MANIFEST, manifest["digest"]))
    except FileNotFoundError:
        raise Failure(f"{file}: No such file or directory", code=NO_INPUT) from None
    except (*source.DAMAGED, KeyError, TypeError) as error:
        raise Failure(f"{file} is no archive of an image of templates: {error}", code=os.EX_DATAERR) from None
    return Image(layout, top["digest"], (*dict.fromkeys(parts), (INDEX, top["digest"])))


def folder(content: Content, target: Path) -> None:
    """Write the files and their index into a folder that is not there yet, for images that are built otherwise.

    Raises:
        OSError: it can't be written.
    """
    for path in content.files:
        copy = target / path.relative_to(content.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (target / index.NAME).write_bytes(content.index)


def _layer(content: Content, blobs: Path) -> dict[str, Any]:
    unfinished = blobs / "unfinished"
    names: list[tuple[str, Path | bytes]] = [(str(path.relative_to(content.root)), path) for path in content.files]
    names.append((index.NAME, content.index))
    with unfinished.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        folders: set[str] = set()
        for name, what in sorted(names, key=lambda each: each[0]):
            for parent in reversed([str(parent) for parent in Path(name).parents if str(parent) != "."]):
                if parent not in folders:
                    folders.add(parent)
                    tar.addfile(_member(parent, 0, tarfile.DIRTYPE))
            data = what if isinstance(what, bytes) else what.read_bytes()
            tar.addfile(_member(name, len(data)), io.BytesIO(data))
    with unfinished.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    unfinished.rename(blobs / digest)
    return {"mediaType": LAYER, "digest": f"sha256:{digest}", "size": (blobs / digest).stat().st_size}


def _member(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    member.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    return member


def _config(architecture: str, layer: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "architecture": architecture,
        "os": "linux",
        "config": {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created_by": "scanplan templates build"}],
    }


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        return json.loads(file.read(_MAX_JSON))


def _checked(layout: Path, digest: str) -> Path:
    """The file of a blob, which has the digest that is its name."""
    path = blob(layout, digest)
    with path.open("rb") as file:
        if f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" != digest:
            raise ValueError(f"{digest} is damaged")
    return path


def _json(blobs: Path, media_type: str, document: Mapping[str, Any]) -> dict[str, Any]:
    data = _encoded(document)
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
