"""A stranger with a namespace of his own: floods of events and edits, and objects that claim to belong to others' plans."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest

from scanplan.api import labels
from tests.fixtures.control_plane import make_namespace
from tests.fixtures.operators import StartOperator
from tests.integration import hostile
from tests.integration.apiserver import JOBS, PLANS, PODS, ApiServer, Object, Refused
from tests.integration.scene import Scene

pytestmark = pytest.mark.integration

EVENTS = "/api/v1/namespaces/{}/events"
ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e\r\nforged line"
EDITS = 1_000
FLOOD = 300


@pytest.fixture
def stranger(alone: Scene) -> Scene:
    namespace = f"{alone.namespace[:50]}-stranger"
    make_namespace(alone.api, namespace)
    return Scene(alone.api, alone.kubectl, namespace, alone._audit_log)


def event(namespace: str, number: int) -> Object:
    return {
        "metadata": {"name": f"flood-{number}"},
        "involvedObject": {
            "apiVersion": labels.API_VERSION,
            "kind": labels.KIND,
            "namespace": namespace,
            "name": "mine",
        },
        "reason": "Completed",
        "message": ESCAPES * 20,
        "type": "Normal",
    }


def claiming(made: Object, plan: Object, job: Object) -> Object:
    """An object that says that it is another plan's: by owner, labels and annotations, with finalizers and much of a history."""
    forged = copy.deepcopy(made)
    metadata = forged["metadata"]
    owner = {"apiVersion": labels.API_VERSION, "kind": labels.KIND, "controller": True, "blockOwnerDeletion": True}
    metadata["ownerReferences"] = [owner | {"name": plan["metadata"]["name"], "uid": plan["metadata"]["uid"]}]
    metadata["labels"] = {**metadata["labels"], **job["metadata"]["labels"]}
    metadata["finalizers"] = ["example.com/never"]
    metadata["managedFields"] = [
        {
            "manager": f"manager-{number}-{hostile.text(100, number)}",
            "operation": "Update",
            "apiVersion": "v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {f"f:{hostile.text(1_000, number)}": {}}},
        }
        for number in range(100)
    ]
    return forged


def attempt(api: ApiServer, path: str, body: Object) -> None:
    """Kubernetes' own refusals are as good as ours."""
    try:
        api.create(path, body)
    except Refused as refusal:
        if refusal.status >= 500:
            raise


def test_floods_and_forged_owners_of_a_stranger_change_nothing_for_others(
    alone: Scene, stranger: Scene, start_operator: StartOperator
) -> None:
    """Lost otherwise: another team's scan, or its truth, by what anybody may do in a namespace of his own."""
    operator = start_operator(SCANPLAN_NAMESPACES=f"{alone.namespace},{stranger.namespace}")
    operator.wait_until_watching()
    alone.apply()
    alone.started()
    plan, job = alone.plan(), alone.job_of()
    stranger.apply("mine", suspend=True)
    path = f"{PLANS.format(stranger.namespace)}/mine"

    def edit(number: int) -> None:
        stranger.api.patch(path, {"spec": {"priority": number % 10, "runId": f"run-{number}"}})

    with ThreadPoolExecutor(hostile.CONNECTIONS) as pool:
        for number in range(10):
            attempt(alone.api, JOBS.format(stranger.namespace), claiming(hostile.forged_job(number), plan, job))
            attempt(alone.api, PODS.format(stranger.namespace), claiming(hostile.forged_pod(number), plan, job))
        flood = pool.map(
            lambda number: alone.api.create(EVENTS.format(stranger.namespace), event(stranger.namespace, number)),
            range(FLOOD),
        )
        edits = pool.map(edit, range(EDITS))
        alone.complete()  # in the midst of it
        list(flood)
        list(edits)
    last = stranger.plan("mine")["metadata"]["generation"]
    stranger.until(lambda each: each.get("status", {}).get("observedGeneration") == last, "mine")
    assert stranger.plan("mine")["status"]["phase"] == "Suspended"
    assert alone.plan()["status"]["phase"] == "Completed"
    assert [each["metadata"]["name"] for each in alone.jobs()] == [job["metadata"]["name"]]
    assert operator.alive
