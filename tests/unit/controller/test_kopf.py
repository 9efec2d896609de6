"""Kopf by what it documents, and nothing of it that a plan's owner would notice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import kopf
import pytest

import scanplan
from scanplan.controller import plan_watch

SOURCES = [path for path in Path(scanplan.__file__).parent.rglob("*.py") if "kopf" in path.read_text()]
LARGEST = 1_500_000
"""Bytes of a plan, by etcd's default limit."""


def private_uses(tree: ast.AST) -> Iterator[str]:
    """Names, loggers and parameters of kopf's that begin with an underscore."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                yield from (each.name for each in names if each.name.startswith("kopf._"))
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] == "kopf":
                full = (f"{module}.{each.name}" for each in names)
                yield from (name for name in full if "._" in name)
            case ast.Constant(value=str(text)) if text.startswith("kopf._"):
                yield text
            case ast.Attribute(attr=name) if name.startswith("_") and _root(node) == "kopf":
                yield ast.unparse(node)
            case ast.Call(func, keywords=keywords) if _root(func) == "kopf":
                yield from (
                    f"{ast.unparse(func)}({each.arg}=…)" for each in keywords if (each.arg or "").startswith("_")
                )


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_private_of_kopf_is_used(path: Path) -> None:
    """Lost otherwise: an update of kopf within its promises stops the operator."""
    assert list(private_uses(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import kopf._cogs.clients",
        "from kopf._core import reactor",
        "from kopf import _cogs",
        "kopf._core.reactor.queueing",
        "await kopf.operator(registry=registry, _command=command())",
        "kopf.on._login()",
        "logging.getLogger('kopf._core')",
    ],
)
def test_private_uses_are_found(code: str) -> None:
    assert list(private_uses(ast.parse(f"async def f():\n    {code}")))


def test_kopf_is_in_one_module_beside_its_credentials_and_its_log() -> None:
    importing = {path.name for path in SOURCES if "import kopf" in path.read_text()}
    assert importing == {"plan_watch.py"}


async def test_kopf_writes_nothing_to_a_plan() -> None:
    """Lost otherwise: annotations that show as drift in GitOps, and two more writes for each change of a plan."""
    settings = plan_watch.kopf_settings(largest=0)
    body = kopf.Body({"metadata": {"name": "a", "annotations": {"b": "c"}}, "spec": {"endpoints": ["d"]}})
    patch = kopf.Patch()
    diff_base, progress = settings.persistence.diffbase_storage, settings.persistence.progress_storage
    essence = diff_base.build(body=body)
    diff_base.store(body=body, patch=patch, essence=essence)
    record = kopf.ProgressRecord(retries=1)
    progress.store(key=kopf.HandlerId("plan_event"), record=record, body=body, patch=patch)
    progress.touch(body=body, patch=patch, value="now")
    progress.purge(key=kopf.HandlerId("plan_event"), body=body, patch=patch)
    assert not patch
    assert (essence, diff_base.fetch(body=body)) == ({}, None)
    assert progress.fetch(key=kopf.HandlerId("plan_event"), body=body) is None
    assert not settings.posting.enabled
    assert settings.peering.standalone


@pytest.mark.parametrize(("largest", "chunk"), [(0, 100), (5_000, 100), (200_000, 10), (LARGEST, 1), (50_000_000, 1)])
def test_a_page_of_kopfs_list_fits_into_memory(largest: int, chunk: int) -> None:
    """Lost otherwise: an operator that a list of large plans ends at every start."""
    settings = plan_watch.kopf_settings(largest)
    assert settings.watching.chunk_size == chunk
    assert chunk == 1 or chunk * largest <= plan_watch.CHUNK_BYTES


def test_an_outage_does_not_end_kopf() -> None:
    """Lost otherwise: restarts, ever less often, in an outage that only asks for patience."""
    backoffs = plan_watch.kopf_settings(largest=0).networking.error_backoffs
    assert not isinstance(backoffs, (int, float))
    waits = list(backoffs)
    assert max(waits) <= 4, "the watch is back within four seconds of the server"
    assert sum(waits) > 10 * 3600
