"""A misspelt field that is ignored makes another scan than its author meant."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from scanplan.api.schema import strictness
from scanplan.api.v1alpha1.model import mistakes
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec

UNKNOWN: list[tuple[dict[str, Any], str]] = [
    ({"selection": {"tagz": []}}, "unknown field spec.selection.tagz, did you mean include.tags?"),
    ({"selection": {"include": {"Tags": []}}}, "unknown field spec.selection.include.Tags, did you mean tags?"),
    ({"rateLimit": 5}, "unknown field spec.rateLimit, did you mean scanner.rateLimit?"),
    (
        {"templatesFrom": [{"image": {"referense": "x"}}]},
        "unknown field spec.templatesFrom[0].image.referense, did you mean reference?",
    ),
    ({"zzz": 1}, "unknown field spec.zzz"),
]


@pytest.mark.parametrize(("spec", "words"), UNKNOWN)
def test_an_unknown_field_is_told_with_the_nearest_name(spec: dict[str, Any], words: str) -> None:
    assert strictness.unknown_fields({"metadata": {"name": "n"}, "spec": spec}) == [words]


def test_fields_of_metadata_are_known_too() -> None:
    assert strictness.unknown_fields({"metadata": {"nam": "n"}}) == [
        "unknown field metadata.nam, did you mean name?"
    ]  # fmt: skip


def test_each_kind_has_its_own_fields() -> None:
    """An exception whose `templates` are misspelt would accept every finding of its hosts."""
    spec = {"match": {"template": ["x"], "hosts": ["a.example"]}, "rateLimit": 1}
    assert strictness.unknown_fields({"kind": "ScanException", "metadata": {"name": "n"}, "spec": spec}) == [
        "unknown field spec.match.template, did you mean templates?",
        "unknown field spec.rateLimit",
    ]


def test_a_value_that_is_nearly_one_of_a_list_is_told_with_it() -> None:
    with pytest.raises(ValidationError) as caught:
        ScanPlanSpec.model_validate({"templates": ["x"], "severityLevels": ["hihg"]})
    (told,) = mistakes(caught.value)
    assert told.endswith(", did you mean high?")
