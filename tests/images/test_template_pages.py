"""The commands of docs/how-to/template-images.md, with a registry, a mirror and a release of the tests' own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.blocks import ROOT, Block, blocks
from tests.fixtures import receivers, registry
from tests.images.test_templates import served
from tests.unit.client.templates import files
from tests.unit.client.templates.test_source import packed

PAGE = "docs/how-to/template-images.md"
PLAN = """apiVersion: scanplan.dev/v1alpha1
kind: ScanPlan
metadata: {name: ours}
spec: {endpoints: ["https://app.example.com"], selection: {include: {tags: [cve]}}}
"""


def of(test: str) -> list[Block]:
    return [block for block in blocks(PAGE) if block.run_by.endswith(f"::{test}")]


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    """The release's download is the mirror's; the registry has TLS, and its authority is the system's."""
    folder = files.folder(tmp_path / "our-templates")
    (tmp_path / "scanplan.yaml").write_text(PLAN)
    (tmp_path / "mirror").mkdir()
    digest = packed(folder, tmp_path / "mirror/v10.3.0.tar.gz")
    (tmp_path / "mirror/SHA256SUMS").write_text(f"{digest}  v10.3.0.tar.gz\n")
    authority = receivers.certificates(tmp_path).authority
    environment = {
        **{name: value for name, value in os.environ.items() if name != "NUCLEI_BIN"},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SHA256": digest,
        "SSL_CERT_FILE": str(authority),
        "DOCKER_CONFIG": str(tmp_path),
    }
    references = []
    with (
        served(tmp_path / "mirror") as mirror,
        registry.registry(tmp_path / "registry", tls=(tmp_path / "right.crt", tmp_path / "right.key")) as host,
    ):
        for block in of("test_the_commands_of_the_page"):
            for command in block.commands():
                typed = command.replace("registry.example.com", host).replace("https://mirror.example.com", mirror)
                if "--from" not in typed:
                    typed = typed.replace("--release v10.3.0", f"--release v10.3.0 --from {mirror}/v10.3.0.tar.gz")
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", typed],
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, f"{typed}\n{done.stdout}\n{done.stderr}"
                if done.stdout.startswith("templatesFrom"):
                    references += [each["image"]["reference"] for each in yaml.safe_load(done.stdout)["templatesFrom"]]
    community = {reference for reference in references if "/templates@" in reference}
    assert (len(references), len(community)) == (4, 1), "the same release has another digest"


def test_images_are_built_as_the_page_says() -> None:
    """What a build makes of them is in `test_images_have_the_release_of_templates_that_they_are_given`."""
    (block,) = of("test_images_are_built_as_the_page_says")
    (command,) = block.commands()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command.replace("make images", "make --dry-run images")],
        cwd=ROOT,
        env={**os.environ, "SHA256": "0" * 64},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "tests.images build operator scanner worker templates" in done.stdout


@pytest.mark.parametrize("digest", ["a" * 64, "0" * 64])
def test_renovate_finds_the_line_of_the_page(digest: str) -> None:
    """Lost otherwise: bumps that never come, which nobody misses."""
    settings, line = (block.text for block in blocks(PAGE) if re.search(r"customManagers|# v10\.3\.0", block.text))
    (pattern,) = json.loads(settings)["customManagers"][0]["matchStrings"]
    found = re.search(pattern.replace("(?<", "(?P<"), re.sub("sha256:[0-9a-f]{64}", f"sha256:{digest}", line))
    assert found
    assert found.groupdict() == {
        "depName": "registry.example.com/templates",
        "currentDigest": f"sha256:{digest}",
        "currentValue": "v10.3.0",
    }
