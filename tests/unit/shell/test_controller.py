"""The patch of a status, and what becomes of a plan when requests fail; the loop itself is in the core's state machine."""

from __future__ import annotations

import copy
from typing import Any

import aiohttp
import hypothesis
import pytest
from hypothesis import strategies as st
from kubernetes.aio.client import ApiException

from scanplan.shell.controller import Controller, _retry_after, merge_patch
from scanplan.shell.store import Store
from scanplan.shell.workqueue import PlanName, WorkQueue
from tests.unit.core import model
from tests.unit.core.objects import POLICY

VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda children: st.dictionaries(st.sampled_from("abcd"), children, max_size=4),
    max_leaves=12,
)
STATUSES = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@hypothesis.given(STATUSES, STATUSES)
@hypothesis.settings(max_examples=400, deadline=None)
def test_the_patch_makes_the_new_status_of_the_old_one(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Whatever was there: what no longer holds goes, what is new comes, and nothing else is touched."""
    result = copy.deepcopy(old)
    model.merge(result, merge_patch(old, new))
    assert result == new


@hypothesis.given(STATUSES)
def test_nothing_to_change_is_an_empty_patch(status: dict[str, Any]) -> None:
    assert merge_patch(status, copy.deepcopy(status)) == {}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "7"}, 7.0), ({}, 0.0), ({"Retry-After": "Tue, 24 Nov 2026 06:00:00 GMT"}, 0.0), (None, 0.0)],
)
def test_the_server_may_ask_for_patience(headers: dict[str, str] | None, seconds: float) -> None:
    error = ApiException(status=429, reason="Too Many Requests")
    error.headers = headers
    assert _retry_after(error) == seconds


@pytest.mark.parametrize(
    "error",
    [ApiException(status=500, reason="x"), aiohttp.ClientConnectionError(), TimeoutError(), ConnectionResetError()],
)
async def test_a_request_that_fails_brings_the_plan_back_later(error: Exception) -> None:
    """And only that plan: the workers go on."""

    class Down(model.ModelApi):
        async def list_pods(self, namespace: str, task: str) -> list[model.Object]:
            raise error if (namespace, bool(task)) == (model.NAMESPACE, True) else AssertionError

    cluster = model.Cluster()
    queue = Later()
    controller = Controller(Down(cluster), Store(), queue, POLICY, now=lambda: cluster.now)
    cluster.create_plan("alpha", {"endpoints": ["a.example"], "templates": ["t"]})
    controller.plan_event("ADDED", cluster.plans["alpha"])
    with pytest.raises(ExceptionGroup) as ended:
        await controller.run(workers=2)
    assert ended.group_contains(Enough)
    assert queue.failed == [PlanName(model.NAMESPACE, "alpha")]


class Enough(Exception):
    """The test has seen what it wanted to see."""


class Later(WorkQueue):
    """Ends the workers once the failed plan is done."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: list[PlanName] = []

    def add_failed(self, name: PlanName, at_least: float = 0.0) -> float:
        self.failed.append(name)
        return at_least

    def done(self, name: PlanName) -> None:
        super().done(name)
        raise Enough
