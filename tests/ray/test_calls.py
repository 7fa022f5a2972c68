"""Calls on a Ray of this machine: what arrives, what is cancelled, what becomes of the dead."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

from amltk import Scheduler
from amltk.backends import Given, abilities_of
from amltk.backends.ray import Ray, RayExecutor, connector, crew
from amltk.backends.ray.line import Line, connected
from amltk.exceptions import (
    BackendUnavailableError,
    ExecutorBrokenError,
    NotPicklableError,
    WorkerLostError,
)
from amltk.scheduling import CallLimiter, ExitCode, Retry
from tests.helpers import (
    Boom,
    CannotComeBack,
    Gate,
    all_accounted_for,
    die,
    echo,
    fail,
    future_of,
    keywords,
    pid,
    raise_what_cannot_come_back,
    return_a_lock,
    wait_at,
)
from tests.ray.conftest import on_local

pytestmark = [pytest.mark.usefixtures("shared_ray"), pytest.mark.timeout(120, func_only=True)]

NAMES = ("key", "num_cpus", "num_gpus", "memory", "resources", "runtime_env", "max_retries", "name",
         "scheduling_strategy", "fn", "function", "packed", "self", "args", "kwargs")  # fmt: skip
"""Keywords that Ray, or one of us, has names for."""


class Refused(Exception):
    """Its constructor takes several arguments, and all of them are passed on."""

    def __init__(self, what: str, code: int, why: str = "because") -> None:
        super().__init__(what, code, why)
        self.code = code


def refuse() -> NoReturn:
    raise Refused("no", 42, "why not")


def start_children_and_wait_at(path: str, gate: str) -> None:
    """Start a process with one of its own, in other sessions, and wait for them."""
    child = "import subprocess, sys; subprocess.run(['cat', sys.argv[1]], start_new_session=True)"
    with subprocess.Popen(["python3", "-c", child, gate], start_new_session=True) as process:
        Path(path).write_text(f"{os.getpid()} {process.pid}")


def is_alive(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], bool]) -> None:
    """Wait for what other processes do, and tell nobody of."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.01)


def hang_up_later(gate: str) -> int:
    """Close that when this is not computed any more; returns who does it."""
    threading.Thread(target=hang_up_at, args=(gate,)).start()
    return os.getpid()


def hang_up_at(gate: str) -> None:
    wait_at(gate)
    hang_up()


def hang_up_and_wait_at(gate: str) -> None:
    hang_up()
    wait_at(gate)


def hang_up() -> None:
    """Close what outcomes go through."""
    for thing in gc.get_objects():
        if isinstance(thing, Line):
            thing.close()


def die_the_first_time(flag: str) -> str:
    if not Path(flag).exists():
        Path(flag).touch()
        die()
    return "alive"


def results_of(scheduler: Scheduler) -> list[Any]:
    results: list[Any] = []
    scheduler.on_future_result.add(lambda _, result: results.append(result))
    return results


# What arrives.


def test_keywords_are_the_functions(executor: RayExecutor) -> None:
    """
    Also those that Ray has itself.
    """
    named = {name: name.upper() for name in NAMES}
    assert executor.submit(keywords, 0, **named).result() == ((0,), named)


def test_functions_of_the_program_arrive_by_value(executor: RayExecutor) -> None:
    """
    Lambdas, and what they refer to.
    """
    factor = 3
    assert executor.submit(lambda: factor * 5).result() == 15


def test_an_exception_arrives_as_it_was(executor: RayExecutor) -> None:
    """
    With all arguments of its constructor, and with the traceback that it had.
    """
    error = executor.submit(refuse).exception()
    assert type(error) is Refused
    assert (error.args, error.code) == (("no", 42, "why not"), 42)
    assert "in refuse" in str(error.__cause__)
    with pytest.raises(Boom, match="failed"):
        executor.submit(fail).result()


def test_what_cannot_be_pickled_is_the_error_of_its_call(executor: RayExecutor) -> None:
    """
    A function, an argument, a result, an exception: the text says what and why. Others go on.
    """
    lock = threading.Lock()
    calls: dict[str, Any] = {
        r"Cannot send .*<lambda>\(\).*lock": executor.submit(lambda: lock),
        r"Cannot send echo\(\).*lock": executor.submit(echo, lock),  # type: ignore[arg-type]
        "Cannot send back what return_a_lock.*lock": executor.submit(return_a_lock),
        "The call raised CannotComeBack": executor.submit(raise_what_cannot_come_back),
    }
    assert executor.submit(echo, 5).result() == 5
    for why, call in calls.items():
        with pytest.raises(NotPicklableError, match=why):
            call.result()
    assert CannotComeBack.__name__ in str(calls.popitem()[1].exception())


def test_large_things_arrive(executor: RayExecutor) -> None:
    """
    More than fits into a message of Ray.
    """
    assert len(executor.submit(bytes, 3_000_000).result()) == 3_000_000
    assert executor.submit(len, bytes(3_000_000)).result() == 3_000_000


def test_each_call_has_what_its_recipe_asks_for() -> None:
    """
    As many run at once as there is room for; the environment is the one that was asked for.
    """
    with on_local(runtime_env={"env_vars": {"AMLTK_TEST": "here"}}).open() as executor:
        assert executor.submit(os.getenv, "AMLTK_TEST").result() == "here"
    with on_local(resources={"pen": 1}).open() as executor:
        assert len(set(executor.map(_pid_of, range(10)))) == 1  # there is one pen


def _pid_of(_: int) -> int:
    return os.getpid()


def test_a_worker_can_be_replaced_after_each_call() -> None:
    """
    So that what a call leaves behind in its process is gone.
    """
    with on_local(max_tasks_per_child=1).open() as executor:
        calls = [executor.submit(pid) for _ in range(3)]
        assert len({call.result() for call in calls}) == 3


# What is running, and what is cancelled.


def test_it_is_known_what_is_running(executor: RayExecutor, tmp_path: Path) -> None:
    """
    A call runs when a worker computes it, not when it waits for one, and not when it is done.
    """
    with Gate(tmp_path / "gate") as gate:
        first = executor.submit(wait_at, gate.path)
        gate.hold()
        others = [executor.submit(wait_at, gate.path) for _ in range(3)]
        assert first.running()
        assert not others[-1].running()
        gate.let_go()
        wait([first, *others])
    assert not any(call.running() for call in [first, *others])


def test_a_call_that_is_cancelled_ends_with_all_it_has_started(
    executor: RayExecutor, tmp_path: Path
) -> None:
    """
    The process of its worker, its children, and theirs, whatever sessions they are in; nothing else.
    """
    pids, mark = tmp_path / "pids", tmp_path / "mark"
    with Gate(tmp_path / "gate") as gate, Gate(tmp_path / "other") as other:
        doomed = executor.submit(start_children_and_wait_at, str(pids), gate.path)
        gate.hold()
        until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        goes_on = executor.submit(wait_at, other.path)
        other.hold()
        waits = executor.submit(Path.touch, mark)
        assert waits.cancel()
        assert doomed.cancel()
        assert doomed.cancelled()
        assert not doomed.running()
        with pytest.raises(CancelledError):
            doomed.result()
        worker, child = map(int, pids.read_text().split())
        until(lambda: not is_alive(worker) and not is_alive(child))
        until(lambda: not [p for p in psutil.process_iter() if is_cat_of(gate, p)])
        other.let_go()
        assert goes_on.result() == ""
        assert executor.submit(echo, 5).result() == 5
    assert not mark.exists()


def is_cat_of(gate: Gate, process: psutil.Process) -> bool:
    try:
        return process.cmdline() == ["cat", gate.path]
    except psutil.Error:
        return False


def test_what_is_done_is_not_cancelled(executor: RayExecutor) -> None:
    """
    `cancel` says so, and again.
    """
    call = executor.submit(echo, 5)
    assert call.result() == 5
    assert not call.cancel()
    assert call.result() == 5


def test_a_run_that_does_not_wait_ends_its_calls_alone(tmp_path: Path) -> None:
    """
    At once, with what they have started; the calls of another scheduler on the same Ray go on.
    """
    pids = tmp_path / "pids"
    scheduler = Scheduler(on_local(num_cpus=0.5))
    with (
        on_local(num_cpus=0.5).open() as executor,
        Gate(tmp_path / "gate") as gate,
        Gate(tmp_path / "other") as other,
    ):
        goes_on = executor.submit(wait_at, other.path)
        other.hold()

        @scheduler.on_start
        def begin() -> None:
            scheduler.submit(start_children_and_wait_at, str(pids), gate.path)
            for _ in range(10):
                scheduler.submit(wait_at, gate.path)
            gate.hold()
            until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
            scheduler.stop()

        assert scheduler.run(wait=False).code is ExitCode.STOPPED
        assert not any(is_alive(int(one)) for one in pids.read_text().split())
        other.let_go()
        assert goes_on.result() == ""
    assert scheduler.event_counts[scheduler.FUTURE_CANCELLED] == 11
    assert all_accounted_for(scheduler)


# Workers that die.


def test_a_worker_that_dies_costs_its_call_alone(executor: RayExecutor, tmp_path: Path) -> None:
    """
    What others compute goes on, what waits is computed, and new calls are taken.
    """
    with Gate(tmp_path / "gate") as gate:
        goes_on = executor.submit(wait_at, gate.path)
        gate.hold()
        dies = executor.submit(die)
        waits = [executor.submit(echo, n) for n in range(5)]
        with pytest.raises(WorkerLostError, match=r"died.*die\(\).*not started again"):
            dies.result()
        assert [call.result() for call in waits] == list(range(5))
        gate.let_go()
        assert goes_on.result() == ""


def test_a_worker_that_leaves_is_an_error_of_its_call(executor: RayExecutor) -> None:
    """
    `os._exit` says nothing to anybody, nor does a signal; `sys.exit` ends the call, not the worker.
    """
    assert isinstance(executor.submit(os._exit, 3).exception(), WorkerLostError)
    asked_to_end = executor.submit(signal.raise_signal, signal.SIGTERM)
    assert isinstance(asked_to_end.exception(), WorkerLostError)
    assert isinstance(executor.submit(exit, 3).exception(), SystemExit)


def test_a_connection_that_breaks_costs_its_call(executor: RayExecutor) -> None:
    """
    The worker is alive, but nothing can be heard of it any more: another one takes its place.
    """
    process = executor.submit(pid).result()
    error = executor.submit(hang_up).exception()
    assert isinstance(error, WorkerLostError)
    assert "connection to it broke" in str(error)
    assert [executor.submit(echo, n).result() for n in range(5)] == list(range(5))
    until(lambda: not is_alive(process))


def test_a_worker_whose_connection_breaks_is_replaced(tmp_path: Path) -> None:
    """
    Also if it has nothing to do then, and if there is no other place for the one that takes its own.
    """
    with (
        on_local(num_cpus=2).open() as executor,
        Gate(tmp_path / "gate") as gate,
        Gate(tmp_path / "idle") as idle,
    ):
        first = executor.submit(hang_up_later, idle.path).result()
        idle.let_go()
        until(lambda: not is_alive(first))
        assert executor.submit(echo, 1).result() == 1
        broken = executor.submit(hang_up_at, gate.path)
        waits = executor.submit(echo, 2)
        gate.hold()
        gate.let_go()
        assert isinstance(broken.exception(), WorkerLostError)
        assert waits.result() == 2


def test_a_worker_that_nobody_can_talk_to_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Though it goes on computing: what comes of it, nobody would hear.
    """
    monkeypatch.setattr(crew, "WORD", 0.5)
    with on_local().open() as executor, Gate(tmp_path / "gate") as gate:
        call = executor.submit(hang_up_and_wait_at, gate.path)
        assert isinstance(call.exception(), WorkerLostError)
        assert executor.submit(echo, 1).result() == 1


def test_a_worker_that_cannot_be_reached_is_no_loss(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Another one is started, and the log says so; after three in a row the executor is broken.
    """
    troubles = deque([OSError("no route")] * 2)

    def connect(host: str, port: int, key: bytes) -> Line:
        if troubles:
            raise troubles.popleft()
        return connected(host, port, key)

    monkeypatch.setattr(connector, "connected", connect)
    with on_local(max_workers=1).open() as executor:
        assert executor.submit(echo, 1).result() == 1
    assert caplog.text.count("no route") == 2
    troubles.extend([OSError("no way")] * 3)
    with (
        on_local(max_workers=1).open() as executor,
        pytest.raises(ExecutorBrokenError, match=r"cannot be reached.*no way"),
    ):
        executor.submit(echo, 1).result()


def test_what_nobody_can_bear_ends_all_that_is_computed(tmp_path: Path) -> None:
    """
    A callback that raises what is no `Exception` ends the thread that it is called in, as it does
    with other executors. Nobody waits for ever.
    """

    def leave(_: Future[str]) -> None:
        raise SystemExit

    with (
        on_local(num_cpus=1).open() as executor,
        Gate(tmp_path / "gate") as gate,
        Gate(tmp_path / "other") as other,
    ):
        running = executor.submit(wait_at, gate.path)
        gate.hold()
        last = executor.submit(wait_at, other.path)
        last.add_done_callback(leave)
        other.hold()
        other.let_go()
        assert isinstance(running.exception(), WorkerLostError)
        with pytest.raises(ExecutorBrokenError, match="failed: SystemExit"):
            executor.submit(echo, 2)


def test_an_idle_worker_that_dies_costs_a_call_at_most(executor: RayExecutor) -> None:
    """
    The call that is given to it before that is known is the only one that may be lost.
    """
    process_id = executor.submit(pid).result()
    with suppress(ProcessLookupError):  # Ray may have ended it, since there was nothing to do
        os.kill(process_id, signal.SIGKILL)
    until(lambda: not is_alive(process_id))
    errors = [executor.submit(echo, n).exception() for n in range(5)]
    assert [type(error) for error in errors if error is not None] in ([], [WorkerLostError])
    assert errors[-1] is None


def test_a_lost_call_can_be_tried_again(tmp_path: Path) -> None:
    """
    A `Retry` sees that it was lost, and counts that apart.
    """
    scheduler = Scheduler(on_local())
    task = scheduler.task(die_the_first_time, plugins=Retry(attempts=1, max_lost=2))
    always = scheduler.task(die, plugins=Retry(attempts=1, max_lost=2))
    results = results_of(scheduler)
    scheduler.on_start.add(lambda: [task(str(tmp_path / "flag")), always()])
    errors: list[BaseException] = []
    always.on_exception.add(lambda _, error: errors.append(error))
    scheduler.run(on_exception="ignore")
    assert results == ["alive"]
    assert [type(error) for error in errors] == [WorkerLostError]


# Schedulers.


def test_no_more_calls_run_than_a_limiter_lets() -> None:
    """
    A chain of calls, one after the other.
    """
    scheduler = Scheduler(on_local())
    task = scheduler.task(echo, plugins=CallLimiter(max_concurrent=1, max_calls=5))
    results = results_of(scheduler)
    scheduler.on_start.add(lambda: task(0))
    scheduler.on_start.add(lambda: task(-1))
    task.on_result.add(lambda _, n: task(n + 1))
    scheduler.run()
    assert results == [0, 1, 2, 3, 4]
    assert task.event_counts[CallLimiter.CONCURRENT_LIMIT_REACHED] == 1


def test_schedulers_share_a_ray_and_can_run_again() -> None:
    """
    At the same time in one event loop, and each of them once more.
    """
    schedulers = [Scheduler(on_local(max_workers=1)) for _ in range(3)]
    results = [results_of(scheduler) for scheduler in schedulers]
    for n, scheduler in enumerate(schedulers):
        scheduler.on_start.add(partial(submit_echo, scheduler, n))

    async def together() -> None:
        await asyncio.gather(*(scheduler.async_run() for scheduler in schedulers))

    for _ in range(2):
        asyncio.run(together(), debug=False)
    assert results == [[0, 0], [1, 1], [2, 2]]


def submit_echo(scheduler: Scheduler, n: int) -> None:
    future_of(scheduler.submit(echo, n))


def test_an_executor_can_be_given_and_kept() -> None:
    """
    It is known what it can do, and it stays open if that is said.
    """
    with on_local().open() as executor:
        kept = Scheduler(executor, terminate=False)
        results = results_of(kept)
        kept.on_start.add(partial(submit_echo, kept, 1))
        kept.run()
        kept.run(wait=False)
        assert results == [1, 1]
        assert executor.submit(echo, 2).result() == 2
        assert abilities_of(Given(executor)).stops_running
        assert repr(executor).startswith("<RayExecutor on Ray(")
        assert repr(executor).endswith("open>")
    assert repr(executor).endswith("shut down>")
    with pytest.raises(RuntimeError, match=r"shutdown\(\)"):
        executor.submit(echo, 3)


def test_an_executor_that_is_forgotten_shuts_down() -> None:
    """
    Its calls are computed first.
    """
    call = on_local().open().submit(echo, 5)
    assert call.result() == 5


# What is refused.


@pytest.mark.parametrize(
    ("asks_for", "why"),
    [
        ({"num_cpus": 3}, r"CPU: 3.*no node.*Its nodes have CPU: 2"),
        ({"num_gpus": 1}, r"CPU: 1, GPU: 1"),
        ({"memory": 2**60}, r"memory: 1\.15\d*e\+18"),
        ({"resources": {"pen": 2}}, r"pen: 2.*pen: 1"),
        ({"resources": {"license": 1}}, r"license: 1"),
    ],
    ids=["cpus", "gpus", "memory", "more than there is", "what nobody has"],
)
def test_what_no_node_has_is_refused(asks_for: dict[str, Any], why: str) -> None:
    """
    When it is opened, in a moment: Ray would have the calls wait for ever.
    """
    with pytest.raises(BackendUnavailableError, match=why):
        on_local(**asks_for).open()


def test_another_ray_is_refused() -> None:
    """
    A process has one at a time: the error says which, and what to do.
    """
    for other in (Ray(local_cpus=3), Ray("auto"), Ray("127.0.0.1:6379")):
        with pytest.raises(BackendUnavailableError, match="one at a time"):
            other.open()


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"working_dir": "/does/not/exist"}, "/does/not/exist"),
        ({"env_vars": {"A": 1}}, "env_vars"),
        ({"pip": 5}, "pip"),
    ],
    ids=["directory", "variables", "packages"],
)
def test_an_environment_that_makes_no_sense_is_refused(
    environment: dict[str, Any], why: str
) -> None:
    """
    When it is opened, with what Ray has against it.
    """
    with pytest.raises(BackendUnavailableError, match=f"each call asks for.*{why}"):
        on_local(runtime_env=environment).open()


def test_an_environment_that_cannot_be_made_breaks_the_executor() -> None:
    """
    Nobody waits for ever: after three attempts all calls end, with the reason.
    """
    nowhere = {"working_dir": "file:///does/not/exist.zip"}
    with on_local(runtime_env=nowhere, max_workers=1).open() as executor:
        calls = [executor.submit(echo, n) for n in range(3)]
        for call in calls:
            with pytest.raises(ExecutorBrokenError, match="Ray cannot start a worker"):
                call.result()
        with pytest.raises(ExecutorBrokenError, match="Ray cannot start a worker"):
            executor.submit(echo, 5)
