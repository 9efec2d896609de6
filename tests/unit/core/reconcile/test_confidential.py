"""What comes from an object that a plan names stays out of everything that readers of plans, Jobs and ConfigMaps see."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.api.documents.task import decode_task
from scanplan.api.errors import InvalidPlan
from scanplan.core.manifests import document, jobs
from scanplan.core.observed.jobs import JobView
from scanplan.core.planning.sources import Input, Inputs, Kind, Reference
from scanplan.core.reconcile.decision import Act, DeleteJob, Rejection, StoreDocument, Write
from tests.unit.core.objects import CLAIM, INPUTS, NOW, POLICY, job, plan, task
from tests.unit.core.reconcile.test_reconcile import decide

SECRET, LIST = Reference(Kind.SECRET, "hidden", "endpoints"), Reference(Kind.CONFIG_MAP, "list")
WORDS = "the-hidden-words"
FROM: dict[Reference, dict[str, Any]] = {
    SECRET: {"endpointsFrom": [{"secretKeyRef": {"name": "hidden", "key": "hosts"}}]},
    LIST: {"endpointsFrom": [{"configMapKeyRef": {"name": "list", "key": "hosts"}}]},
}
SPEC = {"endpoints": [], **FROM[SECRET]}


def inputs(text: str, reference: Reference = SECRET, another_key: str = "unused") -> Inputs:
    content = {"hosts": text.encode(errors="surrogatepass"), another_key: b""}
    return {**INPUTS, reference: Input(files=content, labels={"scanplan.dev/use": "endpoints"})}


WRONG = [
    f"Authorization: Bearer {WORDS}",
    f"https://user:{WORDS}@a.example",
    f"a.example:{WORDS}",
    f"[{WORDS}]",
    f"http://[{WORDS}",
    f"{WORDS}/path",
    f"{WORDS}://a.example",
    f"{WORDS}!.example",
    f"{WORDS}\u2100.example",
    f"{WORDS}{'x' * 300}.example",
    f"{WORDS}.0x",
    f"http://localhost/{WORDS}",
    f"https://169.254.169.254/{WORDS}",
    f"{WORDS}\0",
]


@pytest.mark.parametrize("reference", FROM)
@pytest.mark.parametrize("line", WRONG)
def test_a_message_says_where_it_is_and_not_what(line: str, reference: Reference) -> None:
    """Lost otherwise: a Secret, to everybody who may read plans, by naming it as a list of targets."""
    of = plan(**{"endpoints": [], **FROM[reference]})
    with pytest.raises(InvalidPlan) as wrong:
        task(of, inputs=inputs(f"# ours\nhttps://a.example\n{line}\n", reference))
    assert wrong.value.message.startswith(f"{reference}, key 'hosts', line 3")
    assert WORDS not in wrong.value.message
    assert WORDS not in str(wrong.value.__cause__)


API = Reference(Kind.CONFIG_MAP, "api")
REQUESTS = {
    "openapi": b"{openapi: 3.0.0, paths: {/a: {}}}",
    "swagger": b"{swagger: '2.0', paths: {/a: {}}}",
    "jsonl": b'{"url": "http://elsewhere.example/", "request": {"raw": "GET / HTTP/1.1"}}',
}


@pytest.mark.parametrize("reference", FROM)
@pytest.mark.parametrize("mode", REQUESTS)
def test_nor_does_one_about_the_file_of_requests(mode: str, reference: Reference) -> None:
    """Lost otherwise: the same, where requests are fuzzed that go with URLs only."""
    source = {"mode": mode, "configMapKeyRef": {"name": API.name, "key": "requests"}}
    of = plan(scanner={"dast": True, "requestsFrom": source}, **{"endpoints": [], **FROM[reference]})
    known = inputs(f"https://a.example\n{WORDS}.example\n", reference)
    with pytest.raises(InvalidPlan, match=r"file of scanner\.requestsFrom") as wrong:
        task(of, inputs={**known, API: Input(files={"requests": REQUESTS[mode]})})
    assert WORDS not in wrong.value.message
    assert mode == "jsonl" or f"{reference}, key 'hosts', line 2" in wrong.value.message


@given(st.text(min_size=6).filter(lambda text: len(set(text)) > 3))
def test_no_message_repeats_a_part_of_what_cant_be_parsed(text: str) -> None:
    """Lost otherwise: the same, by a spelling that the table doesn't have."""
    line = f"{WORDS}{text}{WORDS}"
    said = ""
    try:
        task(plan(**SPEC), inputs=inputs(line))
    except InvalidPlan as error:
        said = error.message
    assert WORDS not in said


def test_keys_of_a_secret_are_not_listed() -> None:
    """Lost otherwise: what is in a Secret, by asking for a key that isn't."""
    of = plan(endpoints=[], endpointsFrom=[{"secretKeyRef": {"name": "hidden", "key": "other"}}])
    with pytest.raises(InvalidPlan) as wrong:
        task(of, inputs=inputs("a.example", another_key=WORDS))
    assert WORDS not in wrong.value.message


@pytest.mark.parametrize("count", [1, 3_000])
def test_endpoints_of_a_secret_reach_the_pods_by_a_secret_alone(count: int) -> None:
    """Lost otherwise: the endpoints, to whoever may view Jobs, pods and ConfigMaps of the namespace."""
    text = "\n".join(f"https://{WORDS}-{number}.example" for number in range(count))
    of = plan(**SPEC)
    made = task(of, inputs=inputs(text))
    for manifest in (jobs.build(made, of, POLICY), jobs.build_collector(made, of, POLICY)):
        assert WORDS not in json.dumps(manifest)
        annotations = {**manifest["metadata"]["annotations"], **manifest["spec"]["template"]["metadata"]["annotations"]}
        assert not [text for text in annotations.values() if "eyJ" in text or "H4sI" in text]
        (volume,) = [each for each in manifest["spec"]["template"]["spec"]["volumes"] if each["name"] == "task"]
        assert {kind for source in volume["projected"]["sources"] for kind in source} == {"secret"}
    parts = document.objects(made, job())
    assert {part["kind"] for part in parts} == {"Secret"}
    assert all(part["immutable"] and part["metadata"]["ownerReferences"][0]["uid"] == "job-1" for part in parts)
    assert all("scanplan.dev/use" not in part["metadata"]["labels"] for part in parts)
    content = b"".join(base64.b64decode(data) for part in parts for data in part["data"].values())
    assert decode_task(gzip.decompress(content)) == made.document


def test_what_is_in_it_is_in_no_log() -> None:
    """Lost otherwise: the endpoints, to whoever may read the operator's log after a bug of ours."""
    known = inputs(f"https://{WORDS}.example")
    made = task(plan(**SPEC), inputs=known)
    said = repr((known, made, document.pack(made, "scan"), StoreDocument(job(), document.objects(made, job()))))
    assert WORDS not in said
    assert "H4sI" not in said
    assert CLAIM in known


class TestStoring:
    of = plan(**SPEC)
    known = inputs("https://a.example")

    def job(self, **changes: Any) -> JobView:
        made = task(self.of, inputs=self.known)
        usual = {
            "name": made.job_name,
            "key": made.key,
            "document_parts": 1,
            "document_confidential": True,
            "pins": ((self.of.uid, self.of.input_digest),),
            "first_seen": NOW,
        }
        return job(**{**usual, **changes})

    def test_after_a_crash_between_job_and_secret_it_is_stored_again(self) -> None:
        """Lost otherwise: a scan whose pods wait until its deadline."""
        decision = decide(self.of, self.job(), inputs=self.known)
        assert isinstance(decision, Act)
        (action,) = decision.actions
        assert isinstance(action, StoreDocument)
        assert [part["kind"] for part in action.objects] == ["Secret"]

    def test_where_the_operator_may_not_the_plan_says_so(self) -> None:
        """Lost otherwise: why its pods don't start, which only the operator's log would say."""
        rejection = Rejection.no_document('secrets is forbidden: User "operator" cannot create resource "secrets"')
        decision = decide(self.of, self.job(), inputs=self.known, rejection=rejection)
        assert isinstance(decision, Write)
        assert decision.status
        assert "cannot create resource" in decision.status.conditions[0].message
        assert decision.requeue_after

    def test_a_job_that_waits_for_the_other_kind_is_made_again(self) -> None:
        """Lost otherwise: a scan that never starts, where a plan with the same targets inline takes it over half made."""
        decision = decide(self.of, self.job(document_confidential=False), inputs=self.known)
        assert isinstance(decision, Act)
        assert isinstance(decision.actions[0], DeleteJob)
