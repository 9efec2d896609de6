"""What the operator learns of the cluster at its start: lost otherwise are scans that run without what they need."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.aio.client import ApiException

from scanplan.controller.reads import platform
from scanplan.core.planning import server_version
from scanplan.core.planning.pod_security import FIXED, OF_THE_PLATFORM, PodSecurityContext
from tests.unit.core.objects import POLICY


class Api:
    """Answers each question with the next answer of its list, and then with the last one again."""

    def __init__(self, versions: list[Any], groups: list[Any]) -> None:
        self._versions, self._groups = versions, groups

    async def version(self) -> Any:
        return self._next(self._versions)

    async def serves(self, group: str) -> Any:
        assert group == "security.openshift.io"
        return self._next(self._groups)

    def _next(self, answers: list[Any]) -> Any:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def controller(minor: str = "37", major: str = "1", groups: list[Any] | None = None, versions: Any = None) -> Any:
    known = versions or [{"major": major, "minor": minor}]
    return SimpleNamespace(api=Api(known, groups or [False]), policy=POLICY)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "RETRY_SECONDS", 0.0)


@pytest.mark.parametrize(("major", "minor"), [("1", "32"), ("1", "29+"), ("1", "9"), ("0", "99")])
async def test_an_older_server_is_named_at_the_start(major: str, minor: str) -> None:
    """It would drop backoffLimitPerIndex without a word, and one shard's failure would end the others."""
    with pytest.raises(platform.ServerTooOld, match=r"is too old: retries of single shards need 1\.33 or newer"):
        await platform.look(controller(minor, major), None)


@pytest.mark.parametrize(
    ("minor", "told"), [("33", True), ("33+", True), ("34+", True), ("35", False), ("37", False), ("40", False)]
)
async def test_what_is_missing_at_an_older_server_is_named_at_the_start(
    minor: str, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        await platform.look(controller(minor), None)
    assert (f"Kubernetes 1.{minor.strip('+')}: templatesFrom[].image needs images as volumes" in caplog.text) is told


@pytest.mark.parametrize("answer", [{}, {"major": "1"}, {"major": "", "minor": "33"}, {"major": "one", "minor": None}])
async def test_a_version_that_can_not_be_read_stops_nothing(answer: Any) -> None:
    assert server_version.parsed(answer) is None
    await platform.look(controller(versions=[answer]), None)


async def test_openshift_is_detected_where_nobody_has_chosen_a_user() -> None:
    of = controller(groups=[True])
    await platform.look(of, None)
    assert of.policy.pod_security_context == OF_THE_PLATFORM
    for other, configured in ((controller(), None), (controller(groups=[True]), PodSecurityContext(run_as_user=1000))):
        await platform.look(other, configured)
        assert other.policy.pod_security_context == FIXED


@pytest.mark.parametrize("failure", [ApiException(status=503), ApiException(status=429), TimeoutError(), OSError()])
async def test_a_server_that_does_not_answer_is_asked_again(failure: Exception) -> None:
    """A wrong guess would have every Job's pods refused."""
    of = controller(groups=[failure, failure, True])
    await platform.look(of, None)
    assert of.policy.pod_security_context == OF_THE_PLATFORM


async def test_where_discovery_is_forbidden_the_operator_works_with_its_settings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    of = controller(versions=[ApiException(status=403)])
    await platform.look(of, None)
    assert of.policy.pod_security_context == FIXED
    assert "nothing is adapted to it" in caplog.text
