"""The lenient view of a scan's record. Lost otherwise: a member that is renamed in the record, and then empty in every report."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from scanplan.report.scan import Scan
from scanplan.runner.artifacts.records import ScanMetadata


def structs_of(annotation: Any) -> list[type[msgspec.Struct]]:
    """The structs in a type, such as `tuple[Shard, ...]` or `Error | None`."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return [each for argument in typing.get_args(annotation) for each in structs_of(argument)]


def strangers(view: type[msgspec.Struct], record: type[msgspec.Struct], path: str = "") -> Iterator[str]:
    """Members of a view that the record doesn't have."""
    written = {field.encode_name: field for field in msgspec.structs.fields(record)}
    for field in msgspec.structs.fields(view):
        name = f"{path}.{field.encode_name}"
        if field.encode_name not in written:
            yield name
            continue
        for inner, outer in zip(structs_of(field.type), structs_of(written[field.encode_name].type), strict=False):
            yield from strangers(inner, outer, name)


def test_every_member_of_the_view_is_one_of_the_record() -> None:
    assert list(strangers(Scan, ScanMetadata)) == []
