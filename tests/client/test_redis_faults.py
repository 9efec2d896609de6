"""The Redis queue when things go wrong: errors of every class, killed workers, a Redis that is away or empty."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from rq import Callback, Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from scanplan.api.documents.words import ErrorClass
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client import models, settings
from scanplan.client.errors import InvalidPayload, QueueUnavailable, UnknownTask
from scanplan.client.models import QueueHealth, TaskStatus
from scanplan.client.queues import redis_store
from scanplan.client.queues.redis import WORKER_FUNCTION, RQTaskQueue, ScanQueue
from scanplan.client.queues.redis_store import RedisStore
from scanplan.client.queues.workers import requeue_lost
from tests.client.laboratory import Laboratory
from tests.client.servers import RedisServer
from tests.cluster import programs
from tests.doubles import Doubles
from tests.fixtures.queues import StartWorker
from tests.fixtures.scans import web_application
from tests.kubectl import eventually

pytestmark = pytest.mark.usefixtures("redis_queue")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def store_of(server: RedisServer) -> RedisStore:
    return RedisStore(server.client(), settings.load_settings())


def attempts(laboratory: Laboratory, run_id: str = "nightly") -> int:
    return len(list(laboratory.data.glob(f"ui_projects/{run_id}/tasks/*/shards/*/attempt-*")))


# errors by class


def test_a_target_that_comes_back_is_scanned(
    laboratory: Laboratory, start_worker: StartWorker, doubles: Doubles
) -> None:
    port = free_port()
    start_worker()
    task_id = laboratory.submit(laboratory.plan(endpoints=[f"http://127.0.0.1:{port}"]))
    laboratory.until(task_id, TaskStatus.RETRYING)
    with web_application(doubles.webapp, "-listen", f"127.0.0.1:{port}"):
        result = laboratory.result(task_id)
    assert result.success
    assert result.finding_count == 14
    assert attempts(laboratory) >= 2


def test_temporary_errors_come_again_as_often_as_the_settings_say(
    laboratory: Laboratory, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANPLAN_RETRY_TEMPORARY", "2")
    start_worker()
    task_id = laboratory.submit(laboratory.plan(endpoints=[f"http://127.0.0.1:{free_port()}"]))
    result = laboratory.result(task_id)
    assert (result.status, result.error_class) == (TaskStatus.FAILED, ErrorClass.TEMPORARY)
    assert result.reason is Reason.ENDPOINTS_UNREACHABLE
    assert attempts(laboratory) == 3


def test_a_retry_takes_over_what_earlier_attempts_have_scanned(
    laboratory: Laboratory, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: what the first attempt of a long task has scanned, once it is older than the idempotency window."""
    window = {
        "SCANPLAN_IDEMPOTENCY_WINDOW": "1",
        "SCANPLAN_RETRY_TEMPORARY": "1",
        "SCANPLAN_RETRY_TEMPORARY_SECONDS": "3",
    }
    for name, value in window.items():
        monkeypatch.setenv(name, value)
    start_worker(SCANPLAN_MAX_ENDPOINTS_PER_SHARD="1", **window)
    away = f"http://localhost:{free_port()}"
    result = laboratory.result(laboratory.submit(laboratory.plan(endpoints=[laboratory.webapp.url, away])))
    assert (result.status, result.finding_count) == (TaskStatus.FAILED, 14)
    assert attempts(laboratory) == 3


def test_an_unknown_error_comes_once_more(laboratory: Laboratory, start_worker: StartWorker) -> None:
    start_worker()
    task_id = laboratory.submit(laboratory.plan(templates=[laboratory.template("dies", fault="exit:42")]))
    result = laboratory.result(task_id)
    assert (result.status, result.error_class) == (TaskStatus.FAILED, ErrorClass.UNKNOWN)
    assert attempts(laboratory) == 2


def test_a_fatal_error_does_not(laboratory: Laboratory, start_worker: StartWorker) -> None:
    start_worker()
    task_id = laboratory.submit(laboratory.plan(templates=["no-such-template.yaml"]))
    assert laboratory.result(task_id).error_class is ErrorClass.FATAL
    assert attempts(laboratory) == 1


# workers that die


def horse_of(server: RedisServer, job_id: str) -> int:
    """The process that works on the job: the newest child of the worker that the job names (an older one is the scheduler)."""
    job = Job.fetch(job_id, connection=server.client(), serializer=JSONSerializer)
    worker = server.client().hget(f"rq:worker:{job.worker_name}", "pid")
    assert isinstance(worker, bytes)
    command = ["pgrep", "--newest", "--parent", worker.decode()]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_killed_attempt_is_taken_up_again_and_nothing_is_lost(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer
) -> None:
    start_worker()
    task_id = laboratory.submit(laboratory.slow_plan(milliseconds=3000))
    laboratory.until(task_id, TaskStatus.RUNNING)
    laboratory.until_something_is_found()
    os.kill(horse_of(redis_server, task_id), signal.SIGKILL)
    laboratory.until(task_id, TaskStatus.RETRYING, TaskStatus.COMPLETED)
    result = laboratory.result(task_id)
    assert result.success
    assert result.finding_count == 16
    assert attempts(laboratory) == 2


def test_what_is_killed_again_and_again_fails_in_the_end(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANPLAN_RETRY_TEMPORARY", "1")
    laboratory.queue = RQTaskQueue(redis_server.url)
    start_worker(SCANPLAN_RETRY_TEMPORARY="1")
    task_id = laboratory.submit(laboratory.slow_plan())
    for attempt in (1, 2):
        laboratory.until_something_is_found(attempt=attempt)
        os.kill(horse_of(redis_server, task_id), signal.SIGKILL)
        laboratory.until(task_id, TaskStatus.RETRYING, TaskStatus.FAILED)
    result = laboratory.result(task_id)
    assert (result.status, result.reason) == (TaskStatus.FAILED, Reason.SCANNER_KILLED)
    assert [found["template-id"] for found in laboratory.findings(result)] == ["first"], "what the attempts had found"
    assert requeue_lost(store_of(redis_server), older_than=0) == 0
    assert redis_server.client().zcard("scanplan:open") == 0


def test_the_task_of_a_dead_machine_is_another_workers(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer
) -> None:
    slow = laboratory.template("slow", fault="slow:3000")
    start_worker(SCANPLAN_WORKER_HEARTBEAT="1", WORKER_CONCURRENCY="1")
    laboratory.until(laboratory.submit(laboratory.plan("other", templates=[slow])), TaskStatus.RUNNING)
    doomed = start_worker(SCANPLAN_WORKER_HEARTBEAT="1", WORKER_CONCURRENCY="1")
    task_id = laboratory.submit(laboratory.slow_plan(milliseconds=3000))
    laboratory.until(task_id, TaskStatus.RUNNING)
    laboratory.until_something_is_found()
    horse = horse_of(redis_server, task_id)
    doomed.kill_all()
    os.kill(horse, signal.SIGKILL)
    result = laboratory.result(task_id)
    assert result.success
    assert result.finding_count == 16


def test_a_scan_whose_worker_has_died_stops_so_that_nobody_scans_twice(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer
) -> None:
    first = start_worker(SCANPLAN_WORKER_HEARTBEAT="1", WORKER_CONCURRENCY="1")
    task_id = laboratory.submit(laboratory.slow_plan())
    laboratory.until(task_id, TaskStatus.RUNNING)
    laboratory.until_something_is_found()
    horse = horse_of(redis_server, task_id)
    first.kill_all()
    eventually(lambda: not programs.lives(horse))
    assert laboratory.queue.get_task_status(task_id) in {TaskStatus.RUNNING, TaskStatus.RETRYING}


def test_a_worker_that_is_told_to_stop_gives_its_task_back(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer
) -> None:
    """However often that happens: a rolling update or a drained node is nobody's failure."""
    task_id = laboratory.submit(laboratory.slow_plan(milliseconds=5000))
    for attempt in range(1, 5):
        stopped = start_worker(WORKER_CONCURRENCY="1")
        laboratory.until_something_is_found(attempt=attempt)
        stopped.process.terminate()
        assert stopped.process.wait() == 0
        assert laboratory.queue.get_task_status(task_id) is TaskStatus.PENDING
    assert store_of(redis_server).failures(task_id) == 0
    start_worker()
    result = laboratory.result(task_id)
    assert result.success
    assert result.finding_count == 16


def test_a_task_lost_between_queue_and_worker_is_put_back(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer
) -> None:
    task_id = laboratory.submit(laboratory.plan())
    assert redis_server.client().lpop("rq:queue:security_scans") == task_id.encode()  # and then the worker dies
    assert requeue_lost(store_of(redis_server)) == 0  # it may be on its way
    assert requeue_lost(store_of(redis_server), older_than=0) == 1
    assert requeue_lost(store_of(redis_server), older_than=0) == 0
    start_worker()
    assert laboratory.result(task_id).success


def test_a_check_says_whether_workers_are_at_work(start_worker: StartWorker) -> None:
    """By it Kubernetes knows when an update has come through."""

    def check(**variables: str) -> int:
        command = [sys.executable, "-m", "scanplan", "worker", "--check"]
        return subprocess.run(
            command, env={**os.environ, "WORKER_CONCURRENCY": "2", **variables}, check=False
        ).returncode

    assert check() == os.EX_UNAVAILABLE
    start_worker(WORKER_CONCURRENCY="2")
    eventually(lambda: check() == os.EX_OK)
    assert check(SCANPLAN_KEY_PREFIX="other") == os.EX_UNAVAILABLE
    assert check(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0") == os.EX_UNAVAILABLE


# jobs of strangers


def test_who_can_write_to_redis_runs_no_code_of_theirs_in_a_worker(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer
) -> None:
    """RQ imports and calls whatever names it finds there: functions, callbacks, addresses to tell."""
    stranger = Queue("security_scans", connection=redis_server.client(), serializer=JSONSerializer)
    marker = laboratory.folder / "made-by-a-stranger"
    foreign = stranger.enqueue("os.mkdir", str(marker))
    told = {"on_success": Callback("builtins.print"), "on_failure": Callback("builtins.print")}
    ours = stranger.enqueue(WORKER_FUNCTION, models.payload_of(laboratory.plan()), **told)
    worker = start_worker("--burst", WORKER_CONCURRENCY="1")
    worker.process.wait()
    assert not marker.exists()
    assert foreign.get_status() is JobStatus.FAILED
    assert ours.get_status() is JobStatus.FINISHED
    assert "redis.client.Redis" not in worker.text()


# claims


def test_a_claim_lives_as_long_as_the_scan_runs(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a scan that takes longer than the idempotency window has no claim any more, and its plan is scanned twice."""
    monkeypatch.setenv("SCANPLAN_IDEMPOTENCY_WINDOW", "600")
    laboratory.queue = RQTaskQueue(redis_server.url)
    start_worker(SCANPLAN_IDEMPOTENCY_WINDOW="600")
    plan = laboratory.plan(templates=[laboratory.template("slow", fault="slow:600000")])
    claim = store_of(redis_server).claim_key(models.generate_task_key(plan))
    task_id = laboratory.submit(plan)
    laboratory.until(task_id, TaskStatus.RUNNING)
    left = [redis_server.client().pttl(claim)]

    def renewed_thrice() -> bool:
        left.append(redis_server.client().pttl(claim))
        return sum(later > earlier for earlier, later in pairwise(left)) >= 3

    eventually(renewed_thrice)
    assert all(0 < each <= 600_000 for each in left)
    assert laboratory.submit(plan) == task_id
    assert laboratory.queue.cancel_task(task_id)
    laboratory.until(task_id, TaskStatus.CANCELLED)
    assert attempts(laboratory) == 1


def test_a_submitter_that_dies_leaves_no_claim_behind(
    laboratory: Laboratory, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = laboratory.plan()

    def die(*_: object, **__: object) -> None:
        raise redis.exceptions.ConnectionError("the submitter's network died")

    with monkeypatch.context() as patched:
        patched.setattr(redis.client.Pipeline, "execute", die)
        with pytest.raises(QueueUnavailable):
            laboratory.submit(plan)
    assert redis_server.client().keys("scanplan:*") == []
    assert redis_server.client().keys("rq:job:*") == []
    assert laboratory.submit(plan) == models.task_id_of(plan)
    assert laboratory.queue.health().queue_size == 1


def test_a_scan_exists_for_as_long_as_its_claim(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer, redis_queue: RQTaskQueue
) -> None:
    """Lost otherwise: the scans of all further nights, in a program that asks whether one exists before it submits."""
    start_worker()
    plan = laboratory.plan()
    assert not redis_queue.is_answered(plan)
    task_id = laboratory.submit(plan)
    assert redis_queue.is_answered(plan)
    assert laboratory.result(task_id).success
    assert redis_queue.is_answered(plan)
    redis_server.client().delete(store_of(redis_server).claim_key(models.generate_task_key(plan)))
    assert not redis_queue.is_answered(plan)
    assert redis_queue.get_task_status(task_id) is TaskStatus.COMPLETED


def test_a_claim_without_a_task_holds_nobody_up(laboratory: Laboratory, redis_server: RedisServer) -> None:
    plan = laboratory.plan()
    task_id = laboratory.submit(plan)
    client = redis_server.client()
    client.delete(f"rq:job:{task_id}", "rq:queue:security_scans")
    assert client.exists(store_of(redis_server).claim_key(models.generate_task_key(plan)))
    assert laboratory.submit(plan) == task_id
    assert laboratory.queue.get_task_status(task_id) is TaskStatus.PENDING
    assert client.llen("rq:queue:security_scans") == 1


def test_a_waiting_task_is_cancelled_and_never_runs(laboratory: Laboratory, start_worker: StartWorker) -> None:
    task_id = laboratory.submit(laboratory.plan())
    assert laboratory.queue.get_task_status(task_id) is TaskStatus.PENDING
    assert laboratory.queue.cancel_task(task_id)
    assert laboratory.result(task_id).status is TaskStatus.CANCELLED
    start_worker("--burst").process.wait()
    assert laboratory.queue.get_task_status(task_id) is TaskStatus.CANCELLED
    assert attempts(laboratory) == 0


def test_a_task_that_is_cancelled_as_a_worker_takes_it_never_runs(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer
) -> None:
    """Lost otherwise: the answer that it is cancelled. The whole scan ran, and its result took the place of that."""
    client = redis_server.client()
    task_id = laboratory.submit(laboratory.plan())
    taken = Job.fetch(task_id, connection=client, serializer=JSONSerializer)
    assert laboratory.queue.cancel_task(task_id)
    everlasting = [str(key) for key in client.scan_iter() if client.ttl(key) == -1]
    assert not [key for key in everlasting if task_id in key or "canceled" in key]
    ScanQueue(taken.origin, connection=client).enqueue_job(taken)  # by a worker or a scheduler that has read it before
    start_worker("--burst").process.wait()
    assert laboratory.result(task_id).status is TaskStatus.CANCELLED
    assert attempts(laboratory) == 0
    assert laboratory.queue.statistics().tasks == {"cancelled": 1}


def test_a_task_that_is_cancelled_between_two_attempts_keeps_what_it_has_found(
    laboratory: Laboratory, start_worker: StartWorker
) -> None:
    """Lost otherwise: the shards that the attempts before have scanned."""
    start_worker(SCANPLAN_MAX_ENDPOINTS_PER_SHARD="1", SCANPLAN_RETRY_TEMPORARY_SECONDS="86400")
    away = f"http://localhost:{free_port()}"
    task_id = laboratory.submit(laboratory.plan(endpoints=[laboratory.webapp.url, away]))
    laboratory.until(task_id, TaskStatus.RETRYING)
    assert laboratory.queue.cancel_task(task_id)
    result = laboratory.result(task_id)
    assert (result.status, result.finding_count) == (TaskStatus.CANCELLED, 14)
    assert attempts(laboratory) == 2


# priorities and tenants


def test_workers_take_the_highest_priority_first(laboratory: Laboratory, start_worker: StartWorker) -> None:
    for priority in (1, 5, 9, 10):
        laboratory.submit(laboratory.plan(f"run-{priority}", priority=priority))
    assert laboratory.queue.health().queue_size == 4
    start_worker("--burst", WORKER_CONCURRENCY="1").process.wait()
    begun = {path.parent.name: path.stat().st_mtime_ns for path in laboratory.data.glob("ui_projects/*/tasks")}
    assert sorted(begun, key=lambda run: begun[run]) == ["run-10", "run-9", "run-5", "run-1"]


def test_tenants_of_one_redis_do_not_meet(
    laboratory: Laboratory, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = laboratory.plan()
    task_id = laboratory.submit(plan)
    monkeypatch.setenv("SCANPLAN_KEY_PREFIX", "other")
    other = RQTaskQueue(redis_server.url)
    with pytest.raises(UnknownTask):
        other.get_task_status(task_id)
    assert other.submit_task("scan", models.payload_of(plan)) == task_id
    assert other.cancel_task(task_id)
    assert laboratory.queue.get_task_status(task_id) is TaskStatus.PENDING
    assert (laboratory.queue.health().queue_size, other.health().queue_size) == (1, 0)


# what may be in Redis


def test_code_in_a_payload_is_not_run(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer
) -> None:
    """Whoever can write to Redis must not be able to run programs in workers, which pickle would let them."""
    mark = laboratory.folder / "pwned"
    attack = b"cos\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR."
    client = redis_server.client()
    client.hset(
        "rq:job:attack", mapping={"data": attack, "status": "queued", "created_at": "2026-11-24T00:00:00.000000Z"}
    )
    client.rpush("rq:queue:security_scans", "attack")
    start_worker("--burst").process.wait()
    assert not mark.exists()
    with pytest.raises(InvalidPayload, match="holds no scan task"):
        laboratory.queue.get_task_result("attack")


def test_a_damaged_result_is_an_error_and_no_answer(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer
) -> None:
    start_worker()
    task_id = laboratory.submit(laboratory.plan())
    laboratory.result(task_id)
    redis_server.client().set(f"scanplan:task_result:{task_id}", '{"success": true}')
    with pytest.raises(InvalidPayload, match="run_id"):
        laboratory.queue.get_task_result(task_id)
    assert laboratory.submit(laboratory.plan()) == task_id
    assert laboratory.result(task_id).finding_count == 14


# Redis itself


def test_a_flush_loses_no_result_that_has_artifacts(
    laboratory: Laboratory, start_worker: StartWorker, redis_server: RedisServer
) -> None:
    start_worker()
    task_id = laboratory.submit(laboratory.plan())
    before = laboratory.result(task_id)
    redis_server.client().flushall()
    after = laboratory.result(task_id)
    assert after.success
    assert (after.finding_count, after.findings, after.artifacts) == (
        before.finding_count,
        before.findings,
        before.artifacts,
    )
    assert laboratory.queue.find_task("nightly") == task_id


def test_without_redis_everything_says_so(
    laboratory: Laboratory, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "_ANSWER_SECONDS", 0.3)
    server = own_redis.start()
    queue = RQTaskQueue(server.url)
    payload = models.payload_of(laboratory.plan())
    task_id = queue.submit_task("scan", payload)

    def refuses() -> None:
        with pytest.raises(QueueUnavailable):
            queue.submit_task("scan", payload)
        for call in (queue.get_task_status, queue.get_task_result, queue.cancel_task, queue.find_task):
            with pytest.raises(QueueUnavailable):
                call(task_id)
        assert queue.health() == QueueHealth(0, 0, 0, False)

    server.freeze()
    refuses()
    server.thaw()
    eventually(server.answers)
    assert queue.get_task_status(task_id) is TaskStatus.PENDING
    server.kill()
    refuses()
    server.start()  # empty: it was the only store
    with pytest.raises(UnknownTask):
        queue.get_task_status(task_id)
    assert queue.submit_task("scan", payload) == task_id


def test_a_scan_outlives_a_restart_of_redis(
    laboratory: Laboratory, own_redis: RedisServer, start_worker: StartWorker
) -> None:
    server = own_redis.start()
    laboratory.queue = RQTaskQueue(server.url)
    start_worker(REDIS_URL=server.url)
    task_id = laboratory.submit(laboratory.slow_plan(milliseconds=3000))
    laboratory.until(task_id, TaskStatus.RUNNING)
    laboratory.until_something_is_found()
    server.kill()
    server.start()
    eventually(lambda: server.client().exists(f"scanplan:task_result:{task_id}"))
    result = laboratory.result(task_id)
    assert result.success
    assert result.finding_count == 16


def test_rqs_own_worker_does(laboratory: Laboratory, redis_server: RedisServer) -> None:
    """The command that the users' supervisors have: nothing of ours is needed beside the library."""
    task_id = laboratory.submit(laboratory.plan())
    command = ["worker", "--serializer", "json", "--job-class", "scanplan.client.queues.redis.ScanJob"]
    command += ["--url", redis_server.url, "--burst", "security_scans"]
    program = Path(sys.prefix) / "bin/rq"
    done = subprocess.run([program, *command], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert laboratory.result(task_id).success
