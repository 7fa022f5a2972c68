"""`PynisherPlugin`: what can be limited, what calls are given, and what is heard of it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from asyncio import Future
from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from functools import partial
from itertools import permutations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import TypeVar

import amltk
from amltk import Event, Scheduler
from amltk.backends import Sequential
from amltk.exceptions import (
    AmltkError,
    CpuTimeoutException,
    MemoryLimitException,
    PluginError,
    PluginNotInstalledError,
    WallTimeoutException,
    WorkerLostError,
)
from amltk.pynisher import PynisherPlugin
from amltk.pynisher.limited import Limited
from amltk.scheduling import Call, ExitCode, Retry, WarningFilterPlugin
from amltk.scheduling.around import Around
from amltk.scheduling.task_plugin import TaskPlugin
from tests.hand_driven import HandDrivenRun, HandJob, hand_driven, submitted
from tests.helpers import Boom, echo, pid

R = TypeVar("R")

EVENTS: tuple[Event, ...] = (
    PynisherPlugin.TIMEOUT,
    PynisherPlugin.WALL_TIME_LIMIT_REACHED,
    PynisherPlugin.CPU_TIME_LIMIT_REACHED,
    PynisherPlugin.MEMORY_LIMIT_REACHED,
)

# What can be limited.


def test_what_is_supported() -> None:
    """
    It is pynisher that knows; on Linux all of it.
    """
    assert PynisherPlugin.supports("memory")
    assert PynisherPlugin.supports("cpu_time")
    assert PynisherPlugin.supports("wall_time")
    with pytest.raises(ValueError, match=r"'decorator' is nothing .* memory, cpu_time, wall_time"):
        PynisherPlugin.supports("decorator")  # type: ignore[arg-type]


def test_what_is_not_supported_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    On macOS memory cannot be limited: the plugin is not made, nor a call with such a limit.
    """
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not PynisherPlugin.supports("memory")
    with pytest.raises(ValueError, match="`memory_limit` cannot be kept"):
        PynisherPlugin(memory_limit=(1, "GB"))
    with pytest.raises(ValueError, match="`memory_limit` cannot be kept"):
        PynisherPlugin.with_limits(Call.of(echo, 1), memory_limit=(1, "GB"))
    PynisherPlugin(wall_time_limit=1, cpu_time_limit=1)


def test_a_system_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Nothing is supported there.
    """
    monkeypatch.setattr(sys, "platform", "toaster")
    assert not PynisherPlugin.supports("wall_time")


def test_without_pynisher_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Before any call is made.
    """
    monkeypatch.setitem(sys.modules, "pynisher", None)
    with pytest.raises(PluginNotInstalledError, match=r'pip install "amltk\[pynisher\]"'):
        PynisherPlugin(wall_time_limit=1)


@pytest.mark.parametrize("name", ["memory_limit", "cpu_time_limit", "wall_time_limit"])
def test_limits_are_looked_at_when_the_plugin_is_made(name: str) -> None:
    """
    And when a call is given others.
    """
    wrong: dict[Any, Any]
    for wrong, kind in (
        ({name: 0}, ValueError),
        ({name: (1, "parsecs")}, ValueError),
        ({name: "1"}, TypeError),
    ):
        with pytest.raises(kind, match=name):
            PynisherPlugin(**wrong)
        with pytest.raises(kind, match=name):
            PynisherPlugin.with_limits(Call.of(echo, 1), **wrong)


def test_a_way_to_start_processes_that_nobody_knows() -> None:
    """
    The error names the field; a context is as good as its name.
    """
    with pytest.raises(ValueError, match="`context='teleport'` is no way to start a process"):
        PynisherPlugin(context="teleport")  # type: ignore[arg-type]
    with hand_driven() as run:
        job = submitted_job(run, PynisherPlugin(wall_time_limit=1, context=get_context("spawn")))
        assert limited_in(job).start_method == "spawn"


def test_other_keywords_are_no_limits() -> None:
    """
    A limit that is called otherwise is refused, and not ignored.
    """
    with pytest.raises(TypeError, match="'wall_time'"):
        PynisherPlugin.with_limits(Call.of(echo, 1), wall_time=1)  # type: ignore[call-arg]


# What is attached to a task.


def test_it_is_a_frozen_policy() -> None:
    """
    It is compared by its limits, and written as it was made.
    """
    limits = PynisherPlugin(memory_limit=(1.5, "GB"), context="fork")
    assert limits == PynisherPlugin((1.5, "GB"), context="fork")
    assert "memory_limit=(1.5, 'GB')" in repr(limits)
    with pytest.raises(FrozenInstanceError):
        limits.memory_limit = 1  # type: ignore[misc]


def test_it_belongs_to_one_task() -> None:
    """
    A copy can be attached to another one.
    """
    scheduler, limits = Scheduler.with_sequential(), PynisherPlugin(wall_time_limit=1)
    scheduler.task(echo, plugins=limits)
    with pytest.raises(PluginError, match="copy"):
        scheduler.task(echo, plugins=limits)
    assert scheduler.task(echo, plugins=limits.copy()).plugins == (limits,)


def test_a_task_has_one_of_them() -> None:
    """
    Two would not agree whose limit holds.
    """
    scheduler = Scheduler.with_sequential()
    with pytest.raises(PluginError, match="one plugin"):
        scheduler.task(echo, plugins=[PynisherPlugin(wall_time_limit=n) for n in (1, 2)])


def test_without_limits_a_call_stays_where_it_is() -> None:
    """
    There is no process for it.
    """
    scheduler = Scheduler(Sequential())
    task = scheduler.task(pid, plugins=PynisherPlugin())
    pids: list[int] = []
    task.on_result.add(lambda _, number: pids.append(number))
    scheduler.on_start(task)
    scheduler.run()
    assert pids == [os.getpid()]


def test_what_others_see_of_a_limited_call() -> None:
    """
    The function that was asked for; errors name it, too.
    """
    with hand_driven() as run:
        task = run.scheduler.task(echo, plugins=PynisherPlugin(wall_time_limit=1))
        run.begin(end_on_empty=False)
        future = submitted(run, lambda: task(1))
        assert future.call == Call(echo, (1,), {})
        job = run.executor.jobs[0]
        assert job.function.__qualname__ == "echo"
        assert pickle.loads(pickle.dumps(job.function)) == job.function
        run.end()


# Limits of a call.


def submitted_job(run: HandDrivenRun, *plugins: TaskPlugin) -> HandJob:
    """What an executor gets for a call of a task with these plugins."""
    task = run.scheduler.task(echo, plugins=plugins)
    run.begin(on_exception="ignore", end_on_empty=False)
    run.do(lambda: task(1))
    return run.executor.jobs[-1]


def limited_in(job: HandJob) -> Limited:
    assert isinstance(job.function, Limited)
    return job.function


def grow(call: Call[R], attempt: int) -> Call[R]:
    return PynisherPlugin.with_limits(call, wall_time_limit=10 * attempt)


@pytest.mark.parametrize("limits_first", [True, False])
def test_a_call_with_other_limits(limits_first: bool) -> None:
    """
    What was not given stays, on each further attempt, and there is one process for all of it.
    """
    limits = PynisherPlugin(memory_limit=(1, "GB"), wall_time_limit=10, context="forkserver")
    retry = Retry(attempts=3, on=PynisherPlugin.TimeoutException, change=grow)
    with hand_driven() as run:
        submitted_job(run, *((limits, retry) if limits_first else (retry, limits)))
        for seconds in (10, 20, 30):
            job = run.executor.jobs[-1]
            limited = limited_in(job)
            assert limited.function is echo
            assert limited.start_method == "forkserver"
            assert limited.limits.get("wall_time_limit") == seconds
            assert limited.limits.get("memory_limit") == (1, "GB")
            assert limited.limits.get("cpu_time_limit") is None
            run.do(partial(job.fail, WallTimeoutException("too long")))
        assert len(run.executor.jobs) == 3
        run.end()


@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
def test_other_limits_among_plugins_that_wrap_the_function(order: tuple[int, ...]) -> None:
    """
    In whichever order they stand there is one process, and what others wrap is inside of it.
    """
    plugins: list[TaskPlugin] = [
        PynisherPlugin(wall_time_limit=10),
        WarningFilterPlugin("error"),
        Retry(on=PynisherPlugin.TimeoutException, change=grow),
    ]
    with hand_driven() as run:
        job = submitted_job(run, *(plugins[n] for n in order))
        run.do(lambda: job.fail(WallTimeoutException("too long")))
        for seconds, job in zip((10, 20), run.executor.jobs, strict=True):
            limited = limited_in(job)
            assert limited.limits.get("wall_time_limit") == seconds
            inside: Any = limited.function
            assert type(inside) is Around
            assert inside.function is echo
        run.end()


def test_a_change_that_makes_no_sense_goes_where_errors_go() -> None:
    """
    The call ends with its own exception.
    """
    heard: list[BaseException] = []
    with hand_driven() as run:
        retry = Retry(
            on=Boom, change=lambda call, _: PynisherPlugin.with_limits(call, cpu_time_limit=-1)
        )
        job = submitted_job(run, PynisherPlugin(wall_time_limit=1), retry)
        run.scheduler.tasks[0].on_exception.add(lambda _, error: heard.append(error))
        run.do(lambda: job.fail(Boom()))
        assert [type(error) for error in heard] == [Boom]
        run.end()


# Events.


HEARD: Mapping[type[Exception], set[Event]] = {
    WallTimeoutException: {EVENTS[0], EVENTS[1]},
    CpuTimeoutException: {EVENTS[0], EVENTS[2]},
    MemoryLimitException: {EVENTS[3]},
    TimeoutError: set(),
    MemoryError: set(),
    WorkerLostError: set(),
}


@pytest.mark.parametrize("kind", HEARD)
def test_each_limit_has_its_event(kind: type[Exception]) -> None:
    """
    It passes the exception, and nothing else; other exceptions are none of its business.
    """
    with hand_driven() as run:
        job = submitted_job(run, PynisherPlugin(wall_time_limit=1))
        task = run.scheduler.tasks[0]
        heard: list[tuple[object, ...]] = []

        def hear(event: object, *args: object) -> None:
            heard.append((event, *args))

        for event in EVENTS:
            task.emitter.on(event.name)(partial(hear, event))
        error = kind("by hand")
        run.do(lambda: job.fail(error))
        assert len(heard) == len(HEARD[kind])
        assert set(heard) == {(event, error) for event in HEARD[kind]}
        run.end()


def test_a_limit_is_heard_of_while_the_run_closes() -> None:
    """
    Though nothing is attempted again then.
    """
    with hand_driven() as run:
        job = submitted_job(run, Retry(), PynisherPlugin(wall_time_limit=1))
        task = run.scheduler.tasks[0]
        run.do(run.scheduler.stop)
        run.do(lambda: job.fail(WallTimeoutException("x")))
        assert run.running.result().code is ExitCode.STOPPED
        assert task.event_counts["pynisher-timeout"] == 1
        assert task.event_counts["retry"] == 0
        assert task.event_counts["on_exception"] == 1


def test_a_limit_of_a_cancelled_call_is_not_heard_of() -> None:
    """
    Nobody hears what comes of it.
    """
    with hand_driven() as run:
        job = submitted_job(run, PynisherPlugin(wall_time_limit=1))
        task = run.scheduler.tasks[0]
        run.do(job.start)
        run.do(task.futures()[0].cancel)
        run.do(lambda: job.fail(WallTimeoutException("x")))
        assert task.event_counts["pynisher-timeout"] == 0
        run.end()


def test_whoever_hears_of_a_limit_may_cancel_the_call() -> None:
    """
    It is not attempted again then, and nobody says so.
    """
    with hand_driven() as run:
        job = submitted_job(run, PynisherPlugin(wall_time_limit=1), Retry())
        task = run.scheduler.tasks[0]
        cancelled: list[Future[Any]] = []
        task.on_cancelled.add(cancelled.append)
        task.on("pynisher-timeout").add(lambda _: task.futures()[0].cancel())
        run.do(lambda: job.fail(WallTimeoutException("x")))
        assert len(cancelled) == 1
        assert task.event_counts["retry"] == 0
        assert len(run.executor.jobs) == 1
        run.end()


# Exceptions.


def test_what_the_exceptions_are() -> None:
    """
    Each is one of this library, and one that other code knows.
    """
    for kind, known in {
        PynisherPlugin.TimeoutException: TimeoutError,
        PynisherPlugin.WallTimeoutException: PynisherPlugin.TimeoutException,
        PynisherPlugin.CpuTimeoutException: PynisherPlugin.TimeoutException,
        PynisherPlugin.MemoryLimitException: MemoryError,
    }.items():
        assert issubclass(kind, AmltkError)
        assert issubclass(kind, known)


PICKLED = """
import pickle
{first}
{second}

def raised(error):
    try:
        try:
            raise KeyError("cause")
        except KeyError as cause:
            raise error from cause
    except Exception as caught:
        return caught

for kind in (
    exceptions.TimeoutException,
    exceptions.WallTimeoutException,
    exceptions.CpuTimeoutException,
    exceptions.MemoryLimitException,
):
    for args in ((), ("why",), (2, "why")):
        for error in (kind(*args), raised(kind(*args))):
            error.add_note("a note")
            error.code = 3
            again = pickle.loads(pickle.dumps(error))
            assert type(again) is kind, again
            assert (again.args, str(again)) == (error.args, str(error)), again
            assert (again.__notes__, again.code) == (["a note"], 3), again
"""


@pytest.mark.parametrize("distributed_first", [True, False])
def test_exceptions_survive_being_sent_by_dask(distributed_first: bool, tmp_path: Path) -> None:
    """
    It imports tblib, which pickles exceptions in its own way; what was added to them stays.
    """
    imports = [
        "import distributed, tblib.pickling_support; tblib.pickling_support.install()",
        "from amltk import exceptions",
    ]
    first, second = imports if distributed_first else imports[::-1]
    path = tmp_path / "p.py"
    path.write_text(PICKLED.format(first=first, second=second))
    source = str(Path(amltk.__file__).parents[1])
    subprocess.run([sys.executable, str(path)], env={"PYTHONPATH": source}, check=True)


def test_what_was_added_to_an_exception_is_sent_with_it() -> None:
    """
    Notes and attributes, as with any other exception.
    """
    for kind in (PynisherPlugin.WallTimeoutException, PynisherPlugin.MemoryLimitException):
        error: Any = kind("why")
        error.add_note("a note")
        error.code = 3
        again = pickle.loads(pickle.dumps(error))
        assert (again.args, again.__notes__, again.code) == (("why",), ["a note"], 3)


def test_exceptions_are_known_without_pynisher() -> None:
    """
    Neither they nor the plugin's module load it.
    """
    code = "import sys, amltk.exceptions, amltk.pynisher; sys.exit('pynisher' in sys.modules)"
    source = str(Path(amltk.__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": source}, check=True)
