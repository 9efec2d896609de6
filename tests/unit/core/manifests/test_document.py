"""How a task's document reaches its pods, however long it is."""

from __future__ import annotations

import base64
import gzip
import hashlib
from typing import Any

from scanplan.api.documents.task import decode_task
from scanplan.core.manifests import document
from scanplan.core.planning import sources
from scanplan.core.planning.task import Task
from tests.unit.core.objects import INPUTS, job, plan, task

LIST = sources.Reference(sources.Kind.CONFIG_MAP, "many")


def long_task(endpoints: int) -> Task:
    lines = "\n".join(f"https://{hashlib.sha256(str(n).encode()).hexdigest()[:40]}.example" for n in range(endpoints))
    of = plan(endpoints=[], endpointsFrom=[{"configMapKeyRef": {"name": "many", "key": "list"}}])
    return task(of, inputs={**INPUTS, LIST: sources.Input(files={"list": lines.encode()})})


def joined(config_maps: tuple[dict[str, Any], ...]) -> bytes:
    """The document as the runner puts it together: parts by name, joined and unpacked."""
    files: dict[str, str] = {}
    for each in config_maps:
        files |= each["binaryData"]
    return gzip.decompress(b"".join(base64.b64decode(files[name]) for name in sorted(files)))


def test_a_short_one_is_an_annotation_and_costs_no_object() -> None:
    packed = document.pack(task(), "scan-x")
    assert packed.inline is not None
    assert decode_task(packed.inline.encode()) == task().document
    assert document.objects(task(), job()) == ()


def test_a_long_one_is_in_config_maps_that_go_with_the_job() -> None:
    made = long_task(2_000)
    (config_map,) = document.objects(made, job())
    assert config_map["immutable"] is True, "a scan's input never changes under it"
    assert config_map["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": job().name, "uid": "job-1"}
    ]
    assert decode_task(joined((config_map,))) == made.document


def test_a_very_long_one_is_in_several_none_too_large_for_etcd() -> None:
    made = long_task(60_000)
    packed = document.pack(made, job().name)
    config_maps = document.objects(made, job())
    assert len(config_maps) == len(packed.names) > 1
    assert [each["metadata"]["name"] for each in config_maps] == list(packed.names)
    assert all(len(part) <= 900 << 10 for part in packed.parts)
    content = joined(config_maps)
    assert hashlib.sha256(content).hexdigest() == packed.digest
    assert decode_task(content) == made.document


def test_the_same_task_gives_the_same_bytes() -> None:
    """What a crash has left half stored is stored again, beside the parts that are there."""
    assert document.objects(long_task(2_000), job()) == document.objects(long_task(2_000), job())
