"""The one image that a local cluster brings along: Debian's static busybox, as an OCI archive written by hand.

The container runtime needs an image for every pod's sandbox, and tests want a shell. No registry has to be
asked, and no build tool: an OCI archive is a tar of three JSON documents and a layer
(https://github.com/opencontainers/image-spec/blob/main/image-layout.md).
"""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_archive(to: Path, reference: str) -> None:
    """Write an image with busybox, all its commands in /bin, and a command that sleeps for ever."""
    layer = _layer()
    architecture = ARCHITECTURES[platform.machine()]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/bin/sleep", "inf"], "Env": ["PATH=/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    with tarfile.open(to, "w") as archive:

        def add(name: str, content: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

        def blob(kind: str, content: bytes) -> dict[str, object]:
            digest = hashlib.sha256(content).hexdigest()
            add(f"blobs/sha256/{digest}", content)
            return {
                "mediaType": f"application/vnd.oci.image.{kind}",
                "digest": f"sha256:{digest}",
                "size": len(content),
            }

        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob("config.v1+json", json.dumps(config).encode()),
            "layers": [blob("layer.v1.tar", layer)],
        }
        image = blob("manifest.v1+json", json.dumps(manifest).encode())
        image["annotations"] = {"org.opencontainers.image.ref.name": reference}
        image["platform"] = {"architecture": architecture, "os": "linux"}
        add("index.json", json.dumps({"schemaVersion": 2, "manifests": [image]}).encode())
        add("oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())


def _layer() -> bytes:
    content = io.BytesIO()
    commands = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(fileobj=content, mode="w") as layer:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            layer.addfile(entry)
        program = tarfile.TarInfo("bin/busybox")
        program.size, program.mode = BUSYBOX.stat().st_size, 0o755
        with BUSYBOX.open("rb") as binary:
            layer.addfile(program, binary)
        for command in commands:
            if command != "busybox":
                entry = tarfile.TarInfo(f"bin/{command}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                layer.addfile(entry)
    return content.getvalue()
