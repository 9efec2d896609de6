"""Reports over HTTP: what a reader of one would miss."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from scanplan.api import layout
from scanplan.client.models import ScanResult
from scanplan.findings.exceptions import Match, ScanException, Suppressor
from scanplan.report import sarif
from scanplan.web.api.blocking import Calls
from scanplan.web.artifacts import reports
from tests.unit.report import events

RESULT = ScanResult(
    run_id="r", success=True, endpoint_count=1, finding_count=7, duration_ms=0, task_id="t", artifact_path="p"
)
KNOWN = ScanException(name="known", match=Match(templates=("known",)), expires_at=datetime(2027, 6, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("query", "shown"), [("", ["open"]), ("?include_suppressed=true", ["known"] * 5)], ids=["open", "all"]
)
async def test_accepted_findings_take_no_room_in_sarif(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, shown: list[str]
) -> None:
    """Lost otherwise: open findings, whose alerts GitHub closes."""
    monkeypatch.setattr(sarif, "MAX_RESULTS", 5)
    high = {"template-id": "known", "info": {"severity": "high"}}
    known = [events.event(**high, **{"matched-at": f"https://h/{number}"}) for number in range(6)]
    found = [*known, events.event(**{"template-id": "open"})]
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / layout.FINDINGS).write_bytes(b"".join(events.lines(found)))
    (tmp_path / "p" / layout.METADATA).write_bytes(msgspec.json.encode(events.record(events.read(found))))
    calls = Calls()

    async def answer(request: web.Request) -> web.StreamResponse:
        suppressed = Suppressor([KNOWN], datetime(2026, 11, 24, tzinfo=UTC))
        return await reports.send(request, tmp_path, RESULT, "sarif", calls, suppressed)

    application = web.Application()
    application.router.add_get("/", answer)
    async with TestClient(TestServer(application)) as client:
        response = await client.get(f"/{query}")
        (run,) = json.loads(await response.text())["runs"]
    calls.close()
    assert [each["ruleId"] for each in run["results"]] == shown
