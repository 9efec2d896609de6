"""The known plans by name, with those that have ended folded away.

A plan as the core reads it takes some ten KiB of small objects, and most plans of most clusters have ended and are never looked at
again. These are kept as the compressed JSON that they came as, a tenth of that, and read anew when somebody asks for them.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from pydantic import ValidationError

from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus, UnreadableStatus
from scanplan.controller.engine.workqueue import PlanName
from scanplan.core.observed.views import required_time
from scanplan.core.planning.task import Plan

_FAST = 1
"""Compression level: the higher ones take three times as long for a few per cent."""
_METADATA = ("namespace", "name", "uid", "generation", "creationTimestamp", "resourceVersion", "deletionTimestamp")


class _Folded(NamedTuple):
    """A plan that has ended."""

    uid: str
    resource_version: str
    phase: str
    content: bytes

    @classmethod
    def of(cls, plan: Plan, body: dict[str, Any]) -> _Folded:
        metadata = {field: value for field, value in body["metadata"].items() if field in _METADATA}
        kept = {"metadata": metadata, "spec": body["spec"], "status": body["status"]}
        content = zlib.compress(msgspec.json.encode(kept), _FAST)
        return cls(plan.uid, plan.resource_version, _phase(plan), content)

    def unfolded(self) -> Plan:
        return _plan_of(msgspec.json.decode(zlib.decompress(self.content)))


class Plans(Mapping[PlanName, Plan]):
    """To be changed by `put` and `drop` alone."""

    def __init__(self) -> None:
        self._plans: dict[PlanName, Plan | _Folded] = {}
        self._phases: Counter[str] = Counter()

    def __getitem__(self, name: PlanName) -> Plan:
        known = self._plans[name]
        return known.unfolded() if isinstance(known, _Folded) else known

    def __iter__(self) -> Iterator[PlanName]:
        return iter(self._plans)

    def __len__(self) -> int:
        return len(self._plans)

    @property
    def phases(self) -> Mapping[str, int]:
        """How many plans there are of each phase: a live view."""
        return self._phases

    def unfinished(self) -> list[PlanName]:
        """The plans that have not ended."""
        return [name for name, known in self._plans.items() if isinstance(known, Plan)]

    def version(self, name: PlanName) -> tuple[str, str] | None:
        """UID and resource version of a plan, which take no unfolding."""
        known = self._plans.get(name)
        return (known.uid, known.resource_version) if known else None

    def put(self, body: dict[str, Any]) -> Plan:
        """Take in a ScanPlan object as the API returns it, in place of the one that had its name."""
        metadata = body["metadata"]
        name = PlanName(metadata["namespace"], metadata["name"])
        before = self._plans.get(name)
        plan = _plan_of(body, before if isinstance(before, Plan) else None)
        self.drop(name)
        self._phases[_phase(plan)] += 1
        self._plans[name] = _Folded.of(plan, body) if plan.status.ended else plan
        return plan

    def drop(self, name: PlanName) -> None:
        """Forget a plan, if it is known."""
        known = self._plans.pop(name, None)
        if known:
            self._phases[known.phase if isinstance(known, _Folded) else _phase(known)] -= 1


def _plan_of(body: dict[str, Any], before: Plan | None = None) -> Plan:
    """A ScanPlan object as the core reads it; its spec is `before`'s, where that is the same generation of it."""
    metadata = body["metadata"]
    if before and (before.uid, before.generation) == (metadata["uid"], metadata["generation"]):
        spec, problem = before.spec, before.problem
    else:
        spec, problem = _spec_of(body)
    try:
        status = ScanPlanStatus.of(body)
    except UnreadableStatus as error:
        status, problem = ScanPlanStatus(), problem or str(error)
    return Plan(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        created=required_time(metadata["creationTimestamp"]),
        spec=spec,
        status=status,
        resource_version=metadata["resourceVersion"],
        deleting="deletionTimestamp" in metadata,
        problem=problem,
    )


def _spec_of(body: dict[str, Any]) -> tuple[ScanPlanSpec, str]:
    """A plan's spec, and what is wrong with it: an object may be older than the rules of today's CRD."""
    try:
        return ScanPlanSpec.model_validate(body.get("spec") or {}), ""
    except ValidationError as error:
        problems = (f"spec.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return ScanPlanSpec.model_construct(endpoints=[], templates=[]), "; ".join(problems)


def _phase(plan: Plan) -> str:
    return plan.status.phase or ""
