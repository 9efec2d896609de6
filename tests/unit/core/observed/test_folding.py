"""A folded plan comes back as it was, and takes few bytes: an operator may know a hundred thousand of them."""

from __future__ import annotations

import zlib
from typing import Any

import hypothesis
import msgspec
from hypothesis import strategies as st

from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.observed import folding

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
OTHER = {
    "default": "payments",
    "nightly": "weekly-portal",
    "2026-01-01": "2027-03-14",
    "www.example.com": "portal.payments.example.org:8443",
    "7 findings": "112 findings",
}
"""What a tenant's plan says in place of the typical one's words."""


@hypothesis.given(ANYTHING)
def test_what_is_folded_comes_back(fields: Any) -> None:
    assert folding.unfolded(folding.folded(msgspec.json.encode(fields))) == fields


def test_a_plan_takes_half_of_what_compression_alone_leaves() -> None:
    """Lost otherwise: memory of the operator, about a KiB for each plan that has ever ended."""
    plan = msgspec.json.encode(folding.TYPICAL).decode()
    for typical, own in OTHER.items():
        plan = plan.replace(typical, own)
    assert len(folding.folded(plan.encode())) < len(zlib.compress(plan.encode())) / 2


def test_the_typical_plan_has_the_fields_of_today() -> None:
    """Lost otherwise: a field that is renamed is spelled out in each plan again, and nobody notices."""
    assert ScanPlanSpec.model_validate(folding.TYPICAL["spec"]).run_id == "nightly"
    status = ScanPlanStatus.of(folding.TYPICAL)
    assert status.document().keys() == folding.TYPICAL["status"].keys()
