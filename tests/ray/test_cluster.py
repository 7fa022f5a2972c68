"""A Ray cluster of three nodes: what is computed where, and what becomes of it when a node is lost."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from amltk import Scheduler
from amltk.backends.ray import Ray, ending
from amltk.exceptions import BackendUnavailableError, WorkerLostError
from amltk.scheduling import ExitCode, Retry
from tests.helpers import Gate, die, echo, free_ports, program, wait_at
from tests.ray.cluster import RayCluster, until
from tests.ray.conftest import STARTING, ray_cluster

pytestmark = pytest.mark.timeout(180, func_only=True)

NODES = ("head", "left", "right")

NEVER = 10_000
"""Seconds that no test goes on for: what waits so long for an answer does not end in time."""


def node_of() -> str:
    """On which node this is computed."""
    return ray.get_runtime_context().get_node_id()


def wait_on_a_node(gate: str) -> str:
    wait_at(gate)
    return node_of()


def start_a_child_and_wait_at(path: str, gate: str) -> None:
    with subprocess.Popen(
        ["cat", gate], stdout=subprocess.DEVNULL, start_new_session=True
    ) as child:
        Path(path).write_text(f"{os.getpid()} {child.pid}")


def lose_a_node_the_first_time(flag: str, gate: str) -> str:
    if Path(flag).exists():
        return "alive"
    Path(flag).touch()
    return wait_at(gate)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def on(cluster: RayCluster, **said: Any) -> Ray:
    return Ray(cluster.address, timeout=STARTING, **said)


def test_calls_are_computed_on_all_nodes(cluster: RayCluster, tmp_path: Path) -> None:
    """
    As many at once as there is room for on all of them.
    """
    with on(cluster).open() as executor, Gate(tmp_path / "gate") as gate:
        held = [executor.submit(wait_on_a_node, gate.path) for _ in range(7)]
        until(lambda: [call.running() for call in held] == [*[True] * 6, False])
        gate.let_go()
        assert len({call.result() for call in held}) == len(NODES)


def test_a_call_is_computed_where_there_is_what_it_asks_for(cluster: RayCluster) -> None:
    """
    Schedulers that ask for different things share the cluster.
    """
    places: dict[str, str] = {}
    for name in NODES:
        with on(cluster, resources={name: 1}).open() as executor:
            places[name] = executor.submit(node_of).result()
    assert len(set(places.values())) == len(NODES)


def test_what_no_node_has_is_refused(cluster: RayCluster) -> None:
    """
    Also if all of them together have it.
    """
    with pytest.raises(
        BackendUnavailableError, match=r"CPU: 4.*Its nodes have CPU: 2.*; or CPU: 2"
    ):
        on(cluster, num_cpus=4).open()
    with pytest.raises(BackendUnavailableError, match="left: 1, right: 1"):
        on(cluster, resources={"left": 1, "right": 1}).open()


@pytest.mark.parametrize("node", NODES)
def test_a_call_on_any_node_ends_with_all_it_has_started(
    cluster: RayCluster, node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    With `run(wait=False)`, and when it is over.
    """
    monkeypatch.setattr(ending, "PATIENCE", 100.0)
    scheduler = Scheduler(on(cluster, resources={node: 1}))
    pids = tmp_path / "pids"
    with Gate(tmp_path / "gate") as gate:

        @scheduler.on_start
        def begin() -> None:
            scheduler.submit(start_a_child_and_wait_at, str(pids), gate.path)
            gate.hold()
            until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
            scheduler.stop()

        assert scheduler.run(wait=False).code is ExitCode.STOPPED
        assert not any(is_alive(int(pid)) for pid in pids.read_text().split())


@pytest.mark.parametrize("node", NODES)
def test_a_worker_that_dies_costs_its_call_alone(
    cluster: RayCluster, node: str, tmp_path: Path
) -> None:
    """
    Whatever node it is on.
    """
    with on(cluster, resources={node: 1}).open() as executor, Gate(tmp_path / "gate") as gate:
        goes_on = executor.submit(wait_at, gate.path)
        gate.hold()
        assert isinstance(executor.submit(die).exception(), WorkerLostError)
        assert executor.submit(echo, 5).result() == 5
        gate.let_go()
        assert goes_on.result() == ""


def test_the_cluster_of_this_machine_is_found(
    cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    `"auto"` means the one that `RAY_ADDRESS` names; it goes on after the run.
    """
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    for _ in range(2):
        with Ray("auto", timeout=STARTING).open() as executor:
            assert executor.submit(echo, 5).result() == 5
    assert not ray.is_initialized()
    assert all(node.process.poll() is None for node in cluster.nodes.values())


def test_who_is_connected_stays_connected(cluster: RayCluster) -> None:
    """
    The Ray that the program has connected to is used, and left as it is.
    """
    ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        me = ray.get_runtime_context().get_worker_id()
        for recipe in (on(cluster), Ray("auto"), Ray()):
            scheduler = Scheduler(recipe)
            scheduler.on_start.add(lambda: scheduler.submit(echo, 5))  # noqa: B023
            scheduler.run()
            scheduler.run(wait=False)
            assert ray.get_runtime_context().get_worker_id() == me
        assert ray.get(ray.remote(echo).remote(5)) == 5
        with pytest.raises(BackendUnavailableError, match="how big it is, the program has said"):
            Ray(local_cpus=1).open()
    finally:
        ray.shutdown()


def test_a_node_that_is_lost_costs_its_calls_alone(cluster: RayCluster, tmp_path: Path) -> None:
    """
    A `Retry` has them computed on another, when there is one.
    """
    cluster.join("spare")
    scheduler = Scheduler(on(cluster, num_cpus=0, resources={"spare": 1}, autoscaling=True))
    retried = scheduler.task(lose_a_node_the_first_time, plugins=Retry(max_lost=1))
    results: list[object] = []
    lost: list[BaseException] = []
    scheduler.on_future_result.add(lambda _, result: results.append(result))
    with Gate(tmp_path / "gate") as gate, Gate(tmp_path / "other") as other:

        @scheduler.on_start
        def begin() -> None:
            retried(str(tmp_path / "flag"), gate.path)
            gate.hold()
            scheduler.submit(wait_at, other.path)
            other.hold()
            cluster.kill("spare")

        @scheduler.on_future_exception
        def another_one(_: object, error: BaseException) -> None:
            lost.append(error)
            cluster.join("spare")

        scheduler.run(on_exception="ignore")
    cluster.kill("spare")
    assert results == ["alive"]
    assert [type(error) for error in lost] == [WorkerLostError]


# Where nobody is.


def test_where_nobody_listens_nothing_is_opened() -> None:
    """
    The error comes at once, and says where and what to do.
    """
    with pytest.raises(BackendUnavailableError, match=r"127.0.0.1:\d+: nothing listens there"):
        Ray(f"127.0.0.1:{free_ports(1)[0]}", timeout=NEVER).open()
    with pytest.raises(BackendUnavailableError, match=r"no-such-host\.invalid:6379: nothing"):
        Ray("no-such-host.invalid:6379", timeout=NEVER).open()


def test_who_does_not_answer_is_no_ray() -> None:
    """
    Somebody listens there, and says nothing.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(
            BackendUnavailableError, match=f"{address}.*(more than 3 sec|Failed to)"
        ):
            Ray(address, timeout=3).open()
    assert not ray.is_initialized()


def test_where_the_environment_says_there_is_a_cluster_and_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    `auto` says so.
    """
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_ports(1)[0]}")
    code = """
from amltk.backends import Ray
from amltk.exceptions import BackendUnavailableError
try:
    Ray("auto").open()
except BackendUnavailableError as error:
    print("of this machine" in str(error))
"""
    with program(tmp_path / "p.py", code) as process:
        out, err = process.communicate()
    assert out.splitlines() == ["True"], err


def test_a_host_that_has_no_name_is_an_error() -> None:
    """
    As one where nobody listens.
    """
    with pytest.raises(BackendUnavailableError, match=r"a\.\.b:1: nothing listens there"):
        Ray("a..b:1").open()


def test_who_has_the_wrong_token_is_told_so(cluster: RayCluster, tmp_path: Path) -> None:
    """
    Long before the time to connect is up, and nothing is left.
    """
    with program(tmp_path / "p.py", STRANGER, cluster.address, str(NEVER)) as process:
        out, err = process.communicate()
    assert out.splitlines() == ["BackendUnavailableError", "True", "False"], (out, err)
    assert err == ""


STRANGER = """
import os, sys
os.environ["RAY_AUTH_TOKEN"] = "wrong" * 13
from amltk.backends import Ray
from amltk.exceptions import BackendUnavailableError

try:
    Ray(sys.argv[1], timeout=int(sys.argv[2])).open()
except BackendUnavailableError as error:
    print(type(error).__name__)
    print("RAY_AUTH_TOKEN" in str(error))
import ray
print(ray.is_initialized())
"""


def test_a_cluster_that_is_gone_takes_its_calls_with_it(tmp_path: Path) -> None:
    """
    They end as lost, and the program goes on: nobody waits for ever.
    """
    gate_path = tmp_path / "gate"
    with (
        ray_cluster(tmp_path, others=()) as cluster,
        Gate(gate_path) as gate,
        program(tmp_path / "p.py", BEREFT, cluster.address, str(gate_path)) as process,
    ):
        gate.hold()
        cluster.kill("head")
        out, err = process.communicate()
    assert out.splitlines() == ["{'WorkerLostError'}", "BackendUnavailableError", "done"], err
    assert err == ""


BEREFT = """
import sys
from amltk import Scheduler
from amltk.backends import Ray
from amltk.backends.ray import connecting
from amltk.exceptions import BackendUnavailableError

connecting.SILENCE = 3

def wait(gate):
    with open(gate) as pipe:
        return pipe.read()

scheduler = Scheduler.with_ray(sys.argv[1])
errors = []
scheduler.on_start.add(lambda: scheduler.submit(wait, sys.argv[2]))
scheduler.on_future_exception.add(lambda _, error: errors.append(type(error).__name__))
scheduler.run(on_exception="ignore")
print(set(errors))
try:
    Ray(sys.argv[1]).open()
except BackendUnavailableError as error:
    print(type(error).__name__)
print("done")
"""
