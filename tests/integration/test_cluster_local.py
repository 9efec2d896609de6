"""What everybody who tests on a local cluster relies on: it starts, it is private, it says what broke, it goes away whole."""

import contextlib
import dataclasses
import glob
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import cluster
from tests.cluster import LocalCluster, local, programs
from tests.cluster.errors import AlreadyUpError, MissingError, NotUpError, StartError, UnsupportedError
from tests.cluster.local import components, start

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="local clusters need root"),
]

COMMAND = [sys.executable, "-m", "tests.cluster"]


@pytest.fixture(scope="module", autouse=True)
def _apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """These tests' clusters are unknown to the person who runs them, and theirs to these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
        for left in cluster.clusters():
            left.down()


@pytest.fixture(scope="module")
def plane() -> Iterator[LocalCluster]:
    """A control plane that several tests share."""
    made = local.up("plane", control_plane_only=True, temporary=True)
    yield made
    made.down()


def descendants(pid: int) -> set[int]:
    """A process and all that came from it and still runs."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def host_state() -> dict[str, object]:
    """What a cluster could change on its host beside its own processes, mounts, links and cgroups."""
    sysctls = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"]
    folders = ["/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/tmp/hostpath_pv", "/opt/containerd", "/etc/cdi"]
    return {
        "firewall": subprocess.run(["iptables-save"], capture_output=True, check=True).stdout,
        "sysctls": {name: Path("/proc/sys", name).read_text() for name in sysctls},
        "folders": {folder: Path(folder).exists() for folder in folders},
    }


def traces(name: str, pids: set[int], address: str | None) -> list[str]:
    """What can still be found of a cluster."""
    found = [f"process {pid}" for pid in pids if programs.lives(pid)]
    found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if f"clusters/{name}" in line]
    links = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout
    found += [line for line in links.splitlines() if address and address.rpartition(".")[0] + "." in line]
    # `Path.glob` would fail at a folder of another cluster that goes meanwhile.
    found += glob.glob(f"/sys/fs/cgroup/**/scanplan-{name}-*", recursive=True)  # noqa: PTH207
    found += [str(path) for path in (Path(os.environ["XDG_STATE_HOME"]) / "scanplan").glob("**/*") if path.name == name]
    return found


def outer_pid(made: LocalCluster) -> int:
    return int((made.folder / "pid").read_text())


def claim(namespace: str, name: str, **spec: object) -> dict[str, Any]:
    defaults = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": defaults | spec}


def eventually(condition: Any, what: str) -> Any:
    for _ in range(600):
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError(f"{what}, after 30 s")


def test_a_claim_in_a_new_namespace_is_bound(plane: LocalCluster) -> None:
    plane.api.create("/api/v1/namespaces", {"metadata": {"name": "fresh"}})
    path = "/api/v1/namespaces/fresh/persistentvolumeclaims"
    plane.api.create(path, claim("fresh", "artifacts"))

    def bound() -> str | None:
        found = plane.api.get(f"{path}/artifacts") or {}
        return found["spec"].get("volumeName") if found.get("status", {}).get("phase") == "Bound" else None

    volume = plane.api.get(f"/api/v1/persistentvolumes/{eventually(bound, 'the claim is not bound')}")
    assert volume is not None
    folder = plane.volumes / Path(volume["spec"]["hostPath"]["path"]).name
    eventually(lambda: folder.stat().st_mode & 0o777 == 0o777, "other users than root can't write to the volume")


def test_the_audit_log_tells_who_did_what(plane: LocalCluster) -> None:
    plane.api.create("/api/v1/namespaces", {"metadata": {"name": "audited"}})

    def creators() -> list[str]:
        events = map(json.loads, plane.audit_log.read_text().splitlines())
        made = (event for event in events if event["verb"] == "create" and event["objectRef"].get("name") == "audited")
        return [event["user"]["username"] for event in made]

    eventually(lambda: creators() == ["admin"], "the creation is not in the log")


def test_what_was_stored_survives_the_death_of_api_server_and_etcd(plane: LocalCluster) -> None:
    plane.api.create("/api/v1/namespaces", {"metadata": {"name": "kept"}})
    plane.kill("kube-apiserver")
    plane.kill("etcd")
    assert plane.states()["etcd"] == "SIGKILL"
    with pytest.raises(NotUpError, match="refused"):
        plane.api.get("/api/v1/namespaces/kept")
    plane.restart("etcd")
    plane.restart("kube-apiserver")
    assert plane.api.get("/api/v1/namespaces/kept")


def test_a_taken_name_is_refused_and_can_be_reused(plane: LocalCluster) -> None:
    with pytest.raises(AlreadyUpError, match="down --name plane"):
        local.up("plane", control_plane_only=True)
    assert cluster.up("plane", control_plane_only=True, reuse=True).kubeconfig == plane.kubeconfig
    with pytest.raises(AlreadyUpError, match="control plane only"):
        cluster.up("plane", reuse=True)


def test_somebodys_own_cluster_is_used_by_its_context_only_and_left_alone(plane: LocalCluster) -> None:
    with pytest.raises(UnsupportedError, match="--context"):
        cluster.up("theirs", "existing", kubeconfig=plane.kubeconfig)
    with pytest.raises(cluster.ClusterError, match="nonsense"):
        cluster.up("theirs", "existing", kubeconfig=plane.kubeconfig, context="nonsense")
    theirs = cluster.up("theirs", "existing", kubeconfig=plane.kubeconfig, context="plane")
    assert theirs.alive
    theirs.down()
    assert cluster.find("theirs") is None
    assert plane.alive


def test_two_starts_at_once_make_two_clusters_and_both_go_without_a_trace() -> None:
    before = host_state()
    names = ["left", "right"]
    starts = [subprocess.Popen([*COMMAND, "up", "--control-plane-only", f"--name={name}"]) for name in names]
    assert [starting.wait() for starting in starts] == [os.EX_OK, os.EX_OK]

    pair = [found for name in names if isinstance(found := cluster.find(name), LocalCluster)]
    addresses = {made.node.address for made in pair}
    pids = {pid for made in pair for pid in descendants(outer_pid(made))}
    assert len(addresses) == 2
    for made in pair:
        assert made.api.get("/api/v1/namespaces/default")

    for made in pair:
        made.down()
        made.down()
    assert [trace for name in names for address in addresses for trace in traces(name, pids, address)] == []
    assert host_state() == before


def test_a_start_that_was_killed_is_ended_by_down() -> None:
    starting = subprocess.Popen([*COMMAND, "up", "--control-plane-only", "--name=orphan"])
    folder = cluster.state.home() / "orphan"
    eventually((folder / "log" / "kube-apiserver.log").exists, "the API server was not started")
    starting.kill()
    starting.wait()
    pids = descendants(int((folder / "pid").read_text()))
    found = cluster.find("orphan")
    assert isinstance(found, LocalCluster)
    address = found.node.address
    assert len(pids) > 2
    with pytest.raises(NotUpError, match="never ready"):
        cluster.up("orphan", control_plane_only=True, reuse=True)

    assert subprocess.run([*COMMAND, "down", "--name=orphan"], check=False).returncode == os.EX_OK
    assert traces("orphan", pids, address) == []


def test_a_temporary_cluster_ends_with_its_process_and_the_next_one_clears_it_away() -> None:
    """Lost otherwise: gigabytes of memory for each run of tests that is killed."""
    code = "local.up('brief', control_plane_only=True, temporary=True); print('up', flush=True); time.sleep(600)"
    starting = subprocess.Popen(
        [sys.executable, "-c", f"import time; from tests.cluster import local; {code}"], stdout=subprocess.PIPE
    )
    assert starting.stdout
    assert starting.stdout.readline() == b"up\n"
    brief = cluster.find("brief")
    assert isinstance(brief, LocalCluster)
    pids, address = descendants(outer_pid(brief)), brief.node.address
    assert brief.api.get("/api/v1/namespaces/default")
    starting.kill()
    starting.communicate()
    eventually(lambda: not any(map(programs.lives, pids)), "some of it lives on")
    local.up("next", control_plane_only=True, temporary=True).down()
    assert traces("brief", pids, address) == []


def test_a_part_that_breaks_is_named_with_its_log_and_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = components.controller_manager()
    broken = dataclasses.replace(whole, argv=(*whole.argv, "--no-such-flag"))
    monkeypatch.setattr(components, "controller_manager", lambda: broken)
    with pytest.raises(
        StartError, match=r"(?s)kube-controller-manager ended with exit code 1.*unknown flag: --no-such-flag"
    ):
        local.up("broken", control_plane_only=True)
    assert traces("broken", set(), None) == []


def test_a_cluster_that_died_says_so() -> None:
    made = local.up("mortal", control_plane_only=True)
    os.kill(outer_pid(made), signal.SIGKILL)
    eventually(lambda: not made.alive, "it still counts as alive")
    with pytest.raises(NotUpError, match="not running"):
        made.states()
    with pytest.raises(NotUpError, match="down --name mortal"):
        cluster.up("mortal", reuse=True)
    made.down()
    assert cluster.find("mortal") is None


def test_a_machine_that_lacks_something_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(start.PACKAGES, "no-such-program", "its-package")
    with pytest.raises(MissingError, match="apt-get install its-package"):
        local.up("poor")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["kubeconfig", "--name=nobody"], os.EX_UNAVAILABLE),
        (["up", "--name=Not A Name"], os.EX_USAGE),
        (["up", "--provider=cloud"], os.EX_USAGE),
        (["down", "--name=nobody"], os.EX_OK),
        (["list"], os.EX_OK),
    ],
)
def test_scripts_can_tell_what_happened_by_the_exit_code(arguments: list[str], code: int) -> None:
    assert subprocess.run([*COMMAND, *arguments], capture_output=True, check=False).returncode == code


POD: dict[str, Any] = {
    "restartPolicy": "Never",
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
}
CONTAINER: dict[str, Any] = {
    "name": "main",
    "image": components.SANDBOX_IMAGE,
    "imagePullPolicy": "Never",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
}


@pytest.fixture(scope="module")
def node() -> Iterator[LocalCluster]:
    """A whole node, with a namespace that admits only restricted pods."""
    before = host_state()
    made = local.up("whole", temporary=True)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made.api.create("/api/v1/namespaces", {"metadata": {"name": "strict", "labels": labels}})
    eventually(lambda: made.api.get("/api/v1/namespaces/strict/serviceaccounts/default"), "no service account")
    yield made
    pids = descendants(outer_pid(made))
    address = made.node.address
    made.down()
    assert traces("whole", pids, address) == []
    assert host_state() == before


def run(
    made: LocalCluster, name: str, script: str, claim_name: str | None = None, **container: object
) -> dict[str, Any]:
    """Run a shell script in a restricted pod, with a claim at /data if one is named; return its container's end."""
    volumes = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]} if claim_name else {}
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]} if claim_name else {}
    main = CONTAINER | mounts | {"command": ["sh", "-c", script], "terminationMessagePolicy": "FallbackToLogsOnError"}
    pods = "/api/v1/namespaces/strict/pods"
    made.api.create(pods, {"metadata": {"name": name}, "spec": POD | volumes | {"containers": [main | container]}})

    def ended() -> Any:
        statuses = (made.api.get(f"{pods}/{name}") or {})["status"].get("containerStatuses", [{}])
        return statuses[0].get("state", {}).get("terminated")

    return dict(eventually(ended, f"pod {name} has not ended"))


@pytest.mark.e2e
def test_a_pod_writes_to_its_claim_and_is_read_by_the_next(node: LocalCluster) -> None:
    node.api.create("/api/v1/namespaces/strict/persistentvolumeclaims", claim("strict", "shared"))
    assert run(node, "writer", "echo found > /data/it", "shared")["exitCode"] == 0
    assert run(node, "reader", "grep found /data/it", "shared")["exitCode"] == 0


@pytest.mark.e2e
def test_memory_limits_are_kept_by_the_kernel(node: LocalCluster) -> None:
    ended = run(node, "greedy", "tail /dev/zero", resources={"limits": {"memory": "32Mi"}})
    assert ended["reason"] == "OOMKilled"


@pytest.mark.e2e
def test_a_full_disk_is_really_full(node: LocalCluster) -> None:
    node.make_volume("tiny", 64 * 1024)
    tiny = claim("strict", "tiny", volumeName="tiny", storageClassName="")
    tiny["spec"]["resources"]["requests"]["storage"] = "64Ki"
    node.api.create("/api/v1/namespaces/strict/persistentvolumeclaims", tiny)
    ended = run(node, "filler", "dd if=/dev/zero of=/data/big bs=1k count=100", "tiny")
    assert ended["exitCode"] != 0
    assert "No space left on device" in ended["message"]


@pytest.mark.e2e
def test_pods_reach_services_by_name_and_the_api_server_by_address(node: LocalCluster) -> None:
    server: dict[str, Any] = CONTAINER | {
        "command": ["sh", "-c", "echo it works > /tmp/index.html; httpd -f -p 8080 -h /tmp"]
    }
    server |= {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}
    pod = POD | {"containers": [server], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    node.api.create(
        "/api/v1/namespaces/strict/pods", {"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": pod}
    )
    ports = [{"port": 80, "targetPort": 8080}]
    node.api.create(
        "/api/v1/namespaces/strict/services",
        {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}},
    )
    ask = r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 2 web.strict 80 | grep 'it works'"
    patient = (
        f"for i in $(seq 50); do {ask} && break; sleep 0.2; done && nc -w 2 {components.API_SERVICE} 443 </dev/null"
    )
    assert run(node, "client", patient)["exitCode"] == 0


@pytest.mark.e2e
def test_the_logs_of_pods_and_components_can_be_kept(node: LocalCluster, tmp_path: Path) -> None:
    run(node, "talker", "echo heard")
    node.dump_logs(tmp_path / "logs")
    assert "heard" in next((tmp_path / "logs" / "pods").glob("strict_talker_*/main/0.log")).read_text()
    assert (tmp_path / "logs" / "kubelet.log").stat().st_size > 0


@pytest.mark.e2e
def test_what_runs_in_a_cluster_reaches_nobody_outside(node: LocalCluster) -> None:
    ended = run(node, "curious", "nc -w 2 192.0.2.1 80 </dev/null")
    assert "unreachable" in ended["message"]
