"""The known plans by name. Nearly all of them are kept as compressed JSON.

A plan as the core reads it takes some ten KiB of small objects. Most plans of most clusters have ended or wait, and nobody
looks at them. All are kept as compressed JSON, half a KiB each, and read anew when somebody asks for them. The `RECENT` ones
that were asked for last are likely to be asked for again: they are kept as objects too.

What a tenant writes must not fill the operator's memory. So a plan that is longer than `LONG_BYTES` is not kept. The reconcile
reads it from the API server. All others get its brief form, which is enough for them.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from scanplan.api import labels
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.controller.cache.bodies import identity_of, spec_of, status_of, warn_of_unreadable
from scanplan.controller.engine.workqueue import ObjectName
from scanplan.core.observed import folding
from scanplan.core.planning.task import Plan, ScheduleReference

RECENT = 256
"""Plans that are kept as objects."""
SMALL_BYTES = 4 << 10
"""Of a plan as JSON: only such plans are kept as objects, since small nested ones take twenty times as much as their JSON."""
LONG_BYTES = 32 << 10
"""Of a plan as JSON; a thousand endpoints of thirty characters fit."""
_MAX_TEXT = 512
"""Characters of a value that is kept in brief; names are shorter."""
_METADATA = (
    "namespace",
    "name",
    "uid",
    "generation",
    "creationTimestamp",
    "resourceVersion",
    "deletionTimestamp",
    "ownerReferences",
)
_BRIEF_SPEC = (
    "priority",
    "sharding",
    "timeoutSeconds",
    "deadlineSeconds",
    "retry",
    "suspend",
    "cancel",
    "ttlSecondsAfterFinished",
    "queueName",
)
_STAND_IN = ScanPlanSpec.model_construct(endpoints=[], templates=[])
"""Of a plan whose spec can't be read."""
_BRIEF_STATUS = ("phase", "observedGeneration", "taskId", "startTime", "runningSince", "completionTime")


class _Folded(NamedTuple):
    """A plan as it is kept."""

    uid: str
    resource_version: str
    phase: str
    ended: bool
    windows: bool
    """It has windows."""
    length: int
    """Bytes of its JSON."""
    content: bytes
    """Empty: it is too long to be kept."""
    brief: bytes
    """Empty: it is so short that its content is as good."""

    @classmethod
    def of(cls, plan: Plan, body: dict[str, Any]) -> _Folded:
        metadata = _picked(body["metadata"], _METADATA)
        if plan.schedule and plan.schedule.templates:
            metadata["annotations"] = {labels.TEMPLATES_DIGEST: plan.schedule.templates}
        spec, status = body.get("spec") or {}, body.get("status") or {}
        content = msgspec.json.encode({"metadata": metadata, "spec": spec, "status": status})
        brief = b""
        if len(content) > SMALL_BYTES:
            # Without templates it would be no valid spec.
            # Windows are longer than other fields, and the CRD bounds them.
            windows = {"windows": spec["windows"]} if plan.spec.windows else {}
            spec = {"templates": ["_"], **_picked(spec, _BRIEF_SPEC), **windows}
            status = _picked(status, _BRIEF_STATUS)
            brief = msgspec.json.encode({"metadata": metadata, "spec": spec, "status": status})
        return cls(
            plan.uid,
            plan.resource_version,
            _phase(plan),
            plan.status.ended,
            bool(plan.spec.windows),
            len(content),
            folding.folded(content) if len(content) <= LONG_BYTES else b"",
            folding.folded(brief) if brief else b"",
        )

    def unfolded(self) -> Plan:
        return plan_of(folding.unfolded(self.content or self.brief))

    def in_brief(self) -> Plan:
        return plan_of(folding.unfolded(self.brief or self.content))


class Plans(Mapping[ObjectName, Plan]):
    """A read-only mapping for others; `put` and `drop` change it."""

    def __init__(self) -> None:
        self._plans: dict[ObjectName, _Folded] = {}
        self._recent: OrderedDict[ObjectName, Plan] = OrderedDict()
        self._phases: Counter[str] = Counter()

    def __getitem__(self, name: ObjectName) -> Plan:
        """A plan; of one that is `left_out` the brief form."""
        if plan := self._recent.get(name):
            self._recent.move_to_end(name)
            return plan
        folded = self._plans[name]
        plan = folded.unfolded()
        self._remember(name, folded, plan)
        return plan

    def __iter__(self) -> Iterator[ObjectName]:
        return iter(self._plans)

    def __len__(self) -> int:
        return len(self._plans)

    @property
    def phases(self) -> Mapping[str, int]:
        """How many plans there are of each phase. The view changes with the cache."""
        return self._phases

    def unfinished(self) -> list[ObjectName]:
        """The plans that have not ended."""
        return [name for name, known in self._plans.items() if not known.ended]

    def with_windows(self) -> list[ObjectName]:
        """The plans that have not ended and may be scanned at some times only."""
        return [name for name, known in self._plans.items() if known.windows and not known.ended]

    def version(self, name: ObjectName) -> tuple[str, str] | None:
        """UID and resource version of a plan, which take no unfolding."""
        known = self._plans.get(name)
        return (known.uid, known.resource_version) if known else None

    def left_out(self, name: ObjectName) -> int:
        """Bytes of a plan that is too long to be kept; 0: it is kept as a whole."""
        known = self._plans.get(name)
        return known.length if known and not known.content else 0

    def brief(self, name: ObjectName) -> Plan:
        """A plan with those fields of its spec and status that others than its own reconcile ask for."""
        return self._recent.get(name) or self._plans[name].in_brief()

    def put(self, name: ObjectName, body: dict[str, Any]) -> Plan:
        """Take in a ScanPlan object as the API returns it, in place of the one that had its name."""
        plan = plan_of(body, self._recent.get(name))
        if plan.unreadable:
            warn_of_unreadable(labels.KIND, *name, plan.unreadable)
        self.drop(name)
        folded = _Folded.of(plan, body)
        self._phases[folded.phase] += 1
        self._plans[name] = folded
        self._remember(name, folded, plan)
        return plan

    def drop(self, name: ObjectName) -> None:
        """Forget a plan, if it is known."""
        self._recent.pop(name, None)
        known = self._plans.pop(name, None)
        if known:
            self._phases[known.phase] -= 1

    def _remember(self, name: ObjectName, folded: _Folded, plan: Plan) -> None:
        if folded.ended or folded.length > SMALL_BYTES:
            return
        self._recent[name] = plan
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)


def _picked(fields: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields and len(str(fields[name])) <= _MAX_TEXT}


def plan_of(body: dict[str, Any], before: Plan | None = None) -> Plan:
    """A ScanPlan object as the core reads it; its spec is `before`'s, where that is the same generation of it."""
    metadata = body["metadata"]
    if before and (before.uid, before.generation) == (metadata["uid"], metadata["generation"]):
        spec, problem = before.spec, before.problem
    else:
        spec, problem = spec_of(ScanPlanSpec, body, _STAND_IN)
    status, unreadable = status_of(ScanPlanStatus, body)
    return Plan(
        **identity_of(body),
        spec=spec,
        status=status,
        problem=problem,
        unreadable=unreadable,
        schedule=_schedule_of(metadata),
        is_retest=labels.is_retest(metadata.get("labels")),
    )


def _schedule_of(metadata: dict[str, Any]) -> ScheduleReference | None:
    """The ScanSchedule that controls a plan; anybody may write references of any length."""
    for reference in metadata.get("ownerReferences") or ():
        name, uid = str(reference.get("name", "")), str(reference.get("uid", ""))
        ours = (reference.get("apiVersion"), reference.get("kind")) == (labels.API_VERSION, labels.SCHEDULE_KIND)
        if ours and reference.get("controller") is True and max(len(name), len(uid)) <= _MAX_TEXT:
            templates = str((metadata.get("annotations") or {}).get(labels.TEMPLATES_DIGEST, ""))
            return ScheduleReference(name, uid, templates[:_MAX_TEXT])
    return None


def _phase(plan: Plan) -> str:
    return plan.status.phase or ""
