"""The API server's own addresses: what is not known of them is not denied."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.aio.client import ApiException

from scanplan.api.errors import TargetDenied
from scanplan.controller.reads.api_server import LOOK_SECONDS, RETRY_SECONDS, ApiServerAddresses
from tests.unit.core.objects import POLICY


class Api:
    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    async def get_api_server_endpoints(self) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def controller(*answers: Any) -> Any:
    return SimpleNamespace(api=Api(*answers), policy=POLICY)


def slice_of(*addresses: str) -> dict[str, Any]:
    return {"endpoints": [{"addresses": [address]} for address in addresses]}


def denied(of: Any, endpoint: str) -> bool:
    try:
        of.policy.guard.check([endpoint])
    except TargetDenied:
        return True
    return False


async def test_they_are_denied_beside_all_else_and_replaced_as_control_planes_are() -> None:
    of = controller(slice_of("10.1.0.4", "fd00:9::4"), slice_of("10.1.0.5"))
    addresses = ApiServerAddresses(of)
    assert await addresses.look() == LOOK_SECONDS
    assert denied(of, "https://10.1.0.4:6443")
    assert denied(of, "https://[fd00:9::4]:6443")
    assert denied(of, "127.0.0.1")
    assert not denied(of, "10.1.0.40")
    assert await addresses.look() == LOOK_SECONDS
    assert denied(of, "10.1.0.5")
    assert not denied(of, "10.1.0.4")


@pytest.mark.parametrize("failure", [ApiException(status=403), ApiException(status=404), TimeoutError(), OSError()])
async def test_what_was_known_stays_denied_where_they_can_not_be_read(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    of = controller(slice_of("10.1.0.4"), failure, failure)
    addresses = ApiServerAddresses(of)
    await addresses.look()
    assert await addresses.look() == RETRY_SECONDS
    assert await addresses.look() == RETRY_SECONDS
    assert denied(of, "10.1.0.4")
    assert caplog.text.count("api-server-addresses.yaml") == 1


@pytest.mark.parametrize("odd", [{}, {"endpoints": None}, {"endpoints": [{}]}, slice_of("api.example")])
async def test_an_odd_slice_changes_nothing_and_is_told(odd: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    of = controller(odd)
    assert await ApiServerAddresses(of).look() == RETRY_SECONDS
    assert of.policy is POLICY
    assert "names none" in caplog.text
