"""Following running scans for the page. Lost otherwise: findings that come, or the API's memory, threads and reader pods."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest

from scanplan.client.cluster import tail
from scanplan.client.cluster.cluster import Cluster
from scanplan.findings.exceptions import Match, ScanException, Suppressor
from scanplan.kube.objects import Object
from scanplan.kube.resources import PLANS, Resource
from scanplan.runner.artifacts import publish
from scanplan.web.api import openapi
from scanplan.web.running import follows
from scanplan.web.running.follows import Claims, Follows
from scanplan.web.ui.feeds import Viewer
from tests.kubectl import eventually
from tests.unit.report import events

SHARD = "ui_projects/nightly/tasks/0a1b/shards/00ff"
DOCUMENT = {"components": openapi.document()["components"]}
NEVER = datetime(2099, 1, 1, tzinfo=UTC)


class Plan:
    """A cluster with one plan, and its claim."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.phase = "Running"
        self.looks = 0

    def named(self, kind: Resource, name: str) -> Object:
        assert kind == PLANS
        self.looks += 1
        status: dict[str, Any] = {"observedGeneration": 1, "phase": self.phase}
        if self.phase != "Pending":
            folder = SHARD.partition("/shards")[0]
            status["artifacts"] = {"claimName": "claim", "path": folder, "complete": False}
        created = "2026-11-27T00:00:00Z"
        metadata = {"name": name, "namespace": "shop", "generation": 1, "creationTimestamp": created}
        return {"metadata": metadata, "spec": {}, "status": status}

    def add(self, *templates: str, attempt: int = 1) -> None:
        """Let an attempt find something."""
        file = self.root / SHARD / f"attempt-{attempt}" / publish.GROWING
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as end:
            end.writelines(events.lines([events.event(**{"template-id": name}) for name in templates]))


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(tail, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(follows, "PLAN_SECONDS", 0.01)
    return Plan(tmp_path)


@pytest.fixture
async def followed(plan: Plan) -> AsyncIterator[Follows]:
    decided = ScanException(
        name="decided", match=Match(templates=("known",)), expires_at=NEVER, reason="None of ours", status="WontFix"
    )
    made = Follows(Claims(plan.root, "shop", None).frames, lambda _: Suppressor([decided], datetime.now(UTC)))
    yield made
    made.end()
    await asyncio.to_thread(made.close)


def look(followed: Follows, plan: Plan, stack: ExitStack, user: str = "ann", name: str = "nightly") -> Viewer | None:
    return stack.enter_context(followed.watched(cast("Cluster", plan), plan.named(PLANS, name), user))


async def told(viewer: Viewer | None, *kinds: str) -> tuple[str, Any]:
    """The next event of these kinds."""
    assert viewer is not None
    async with asyncio.timeout(30):
        while (event := await viewer.events.get()) is not None:
            head, data = event.decode().strip().split("\n")
            kind, content = head.removeprefix("event: "), json.loads(data.removeprefix("data: "))
            if kind in {"snapshot", "findings"}:
                jsonschema.validate(content, {**DOCUMENT, "$ref": "#/components/schemas/RunningFindings"})
            if kind in kinds:
                return kind, content
    return "", None


async def templates(viewer: Viewer | None, count: int) -> list[str]:
    """So many findings as they come."""
    found: list[str] = []
    while len(found) < count:
        kind, content = await told(viewer, "snapshot", "findings")
        found = ([] if kind == "snapshot" else found) + [each["template"] for each in content["findings"]]
    return found


async def test_a_finding_comes_while_the_scan_runs_and_to_who_comes_later(followed: Follows, plan: Plan) -> None:
    with ExitStack() as stack:
        first = look(followed, plan, stack)
        plan.add("a")
        assert await templates(first, 1) == ["a"]
        plan.add("b", "known")
        _, content = await told(first, "findings")
        assert [(each["template"], each["suppressed"]) for each in content["findings"]] == [
            ("b", None),
            ("known", "decided"),
        ]
        assert await templates(look(followed, plan, stack, "bob"), 3) == ["a", "b", "known"]
        plan.add("c")
        plan.phase = "Completed"
        assert await templates(first, 1) == ["c"]
        assert await told(first, "ended") == ("ended", {"phase": "Completed"})
        assert await told(first, "none") == ("", None), "the stream has ended"


async def test_a_replaced_attempt_is_shown_once_and_one_set_aside_is_marked(followed: Follows, plan: Plan) -> None:
    with ExitStack() as stack:
        viewer = look(followed, plan, stack)
        plan.add("a", "b")
        assert await templates(viewer, 2) == ["a", "b"]
        plan.add("a", "c", attempt=2)
        assert await templates(viewer, 1) == ["c"]
        publish.set_aside(plan.root / SHARD, 1)
        assert await told(viewer, "withdrawn") == ("withdrawn", {"shard": "00ff", "attempt": 1, "findings": 2})
        _, content = await told(look(followed, plan, stack, "bob"), "snapshot")
        marks = {each["template"]: each["withdrawn"] for each in content["findings"]}
        assert marks == {"a": True, "b": True, "c": False}


async def test_a_plan_that_waits_is_looked_at_again(followed: Follows, plan: Plan) -> None:
    plan.phase = "Pending"
    with ExitStack() as stack:
        viewer = look(followed, plan, stack)
        before = plan.looks
        await asyncio.to_thread(eventually, lambda: plan.looks > before + 2, interval=0.01)
        plan.phase = "Running"
        plan.add("a")
        assert await templates(viewer, 1) == ["a"]


async def test_one_that_has_ended_says_so_at_once(followed: Follows, plan: Plan) -> None:
    plan.phase = "Failed"
    with ExitStack() as stack:
        assert await told(look(followed, plan, stack), "ended") == ("ended", {"phase": "Failed"})


async def test_plans_viewers_and_rows_are_bounded(
    followed: Follows, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follows, "MOST_ROWS", 2)
    with ExitStack() as stack:
        viewer = look(followed, plan, stack)
        plan.add(*"abcd")
        assert await templates(viewer, 2) == ["a", "b"]
        assert await told(viewer, "more") == ("more", {"shown": 2})
        for _ in range(follows.MOST_PER_USER - 1):
            assert look(followed, plan, stack) is not None
        assert look(followed, plan, stack) is None
        for number in range(follows.MOST_PLANS - 1):
            assert look(followed, plan, stack, f"user-{number}", f"plan-{number}") is not None
        assert look(followed, plan, stack, "bob", "one-more") is None
        assert look(followed, plan, stack, "bob") is not None


async def test_a_plan_that_nobody_looks_at_any_more_counts_until_its_reader_is_removed(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that opens and leaves streams would start pods without end else."""
    monkeypatch.setattr(follows, "MOST_PLANS", 1)
    removed = threading.Event()

    def frames(*_: object) -> Iterator[bytes | None]:
        removed.wait(60)
        yield None

    followed = Follows(frames, lambda _: Suppressor([], datetime.now(UTC)))
    with ExitStack() as stack:
        assert look(followed, plan, stack) is not None
    with ExitStack() as stack:
        assert look(followed, plan, stack) is None
    removed.set()
    await asyncio.to_thread(followed.close)
    with ExitStack() as stack:
        assert look(followed, plan, stack) is not None
    await asyncio.to_thread(followed.close)


async def test_nobody_who_looks_means_no_thread(followed: Follows, plan: Plan) -> None:
    with ExitStack() as stack:
        look(followed, plan, stack)
        (follow,) = followed._follows.values()
    await asyncio.to_thread(follow.close)
    assert not follow.is_alive
    assert not followed._follows


async def test_a_claim_that_fails_is_told(plan: Plan) -> None:
    claims = Claims(plan.root / "gone", "shop", None)
    broken = Follows(claims.frames, lambda _: Suppressor([], datetime.now(UTC)))
    with ExitStack() as stack:
        kind, content = await told(look(broken, plan, stack), "trouble")
    assert kind == "trouble"
    assert content["detail"] == "the claim can't be read: No such file or directory"
