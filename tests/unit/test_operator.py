"""The operator's process is composed of its settings: Redis only where it is asked for, and wrong values end the start."""

from __future__ import annotations

import pytest

from scanplan import operator
from scanplan.client.errors import InvalidSettings
from scanplan.client.redis.publication import load


def test_tasks_that_are_not_shared_need_no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCANPLAN_SCANNER_IMAGE", "scanner:1")
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("SCANPLAN_SHARED_TASKS", "false")
    assert operator.load().redis is None
    monkeypatch.setenv("SCANPLAN_SHARED_TASKS", "true")
    with pytest.raises(InvalidSettings, match="REDIS_URL has to name"):
        operator.load()


@pytest.mark.parametrize(
    ("name", "value"), [("REDIS_URL", "http://user:secret@host"), ("SCANPLAN_CLUSTER_NAME", "a:b")]
)
def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=name) as caught:
        load()
    assert "secret" not in str(caught.value)
