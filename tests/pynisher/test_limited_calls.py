"""What becomes of calls with limits, on every backend."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from typing_extensions import TypeVar

from amltk import Scheduler
from amltk.backends import Loky, Processes, Sequential, Threads
from amltk.backends.base import Backend
from amltk.exceptions import NotPicklableError, WorkerLostError
from amltk.pynisher import PynisherPlugin, cpu_meter
from amltk.pynisher.limited import Limited
from amltk.pynisher.limits import Limits
from amltk.scheduling import Call, ExitCode, Retry, WarningFilterPlugin
from amltk.scheduling.task_plugin import TaskPlugin
from tests.helpers import (
    Boom,
    all_accounted_for,
    die,
    echo,
    keywords,
    leave,
    pid,
    raise_stop_iteration,
    raise_what_cannot_come_back,
    return_a_lock,
)
from tests.pynisher.jobs import (
    LargeWhenUnpickled,
    address_space,
    allocate,
    allocate_crumbs,
    boom,
    crash,
    endless_at_first,
    handlers,
    have_children,
    large,
    leave_a_thread,
    leave_at_once,
    let_another_spin,
    let_others_compute,
    nested,
    no_memory_for_a_thread,
    raise_memory_error,
    share_cpu_time,
    sleep_for,
    spin,
    spin_with_a_profiler,
    take,
    warn,
)

R = TypeVar("R")

AMPLE = PynisherPlugin(memory_limit=(64, "GB"), cpu_time_limit=60, wall_time_limit=60)
"""Limits that nothing reaches which is not out for it."""

METHODS = ("fork", "forkserver", "spawn")


class Ran:
    """A run of one call, and what was heard of it."""

    def __init__(
        self,
        backend: Backend,
        plugins: TaskPlugin | list[TaskPlugin],
        function: Callable[..., Any],
        /,
        *args: object,
        **kwargs: object,
    ) -> None:
        self.results: list[Any] = []
        self.errors: list[BaseException] = []
        self.limits: list[tuple[str, BaseException]] = []
        scheduler = Scheduler(backend)
        task = scheduler.task(function, plugins=plugins)
        for name in ("timeout", "wall-time-limit", "cpu-time-limit", "memory-limit"):
            task.emitter.on(f"pynisher-{name}")(partial(self.hear, name))
        task.on_result.add(lambda _, result: self.results.append(result))
        task.on_exception.add(lambda _, error: self.errors.append(error))
        scheduler.on_start(lambda: task(*args, **kwargs))
        assert scheduler.run(on_exception="ignore").code is ExitCode.EXHAUSTED
        assert all_accounted_for(scheduler)

    def hear(self, name: str, error: BaseException) -> None:
        self.limits.append((name, error))

    @property
    def result(self) -> Any:
        assert (len(self.results), self.errors) == (1, [])
        return self.results[0]

    @property
    def error(self) -> BaseException:
        assert (self.results, len(self.errors)) == ([], 1)
        return self.errors[0]

    def heard(self) -> list[str]:
        """The limits that were heard of, each with the very error of the call."""
        assert all(error is self.error for _, error in self.limits)
        return [name for name, _ in self.limits]


# A call that keeps its limits.


def test_a_call_within_its_limits_is_as_without(backend: Backend) -> None:
    """
    Its arguments arrive, and what it returns.
    """
    ran = Ran(backend, AMPLE.copy(), keywords, 1, fn=2, function=3, limits=4, self=5)
    assert ran.result == ((1,), {"fn": 2, "function": 3, "limits": 4, "self": 5})
    assert ran.limits == []


def test_a_call_has_a_process_of_its_own(backend: Backend) -> None:
    """
    Which is neither this one nor that of another call.
    """
    pids = {Ran(backend, AMPLE.copy(), pid).result for _ in range(2)}
    assert len(pids - {os.getpid()}) == 2


def test_what_a_call_raises_is_raised(backend: Backend) -> None:
    """
    The type, the text, and where it came from.
    """
    error = Ran(backend, AMPLE.copy(), boom).error
    assert (type(error), str(error)) == (Boom, "as without limits")
    assert "in boom" in str(error.__cause__)


@pytest.mark.parametrize("method", METHODS)
def test_each_way_to_start_a_process(backend: Backend, method: Any) -> None:
    """
    Within each kind of worker, each kind of process can be started.
    """
    limits = PynisherPlugin(wall_time_limit=60, context=method)
    assert Ran(backend, limits, keywords, 1, a=2).result == ((1,), {"a": 2})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("limits_first", [True, False])
def test_what_other_plugins_do_they_do_in_its_process(method: Any, limits_first: bool) -> None:
    """
    Wherever they stand, and however it is started: there a warning is an error.
    """
    limits = PynisherPlugin(wall_time_limit=60, context=method)
    strict = WarningFilterPlugin("error")
    plugins: list[TaskPlugin] = [limits, strict] if limits_first else [strict, limits]
    assert str(Ran(Sequential(), plugins, warn, "heard").error) == "heard"


def test_leaving_the_program_fails_the_call(backend: Backend) -> None:
    """
    `sys.exit()` in a call is an exception like any other one, as without limits.
    """
    error = Ran(backend, AMPLE.copy(), leave, 3).error
    assert isinstance(error, SystemExit)
    assert error.code == 3


def test_what_cannot_be_sent(backend: Backend) -> None:
    """
    A result or an exception that cannot leave the process is an error that says so.
    """
    assert isinstance(Ran(backend, AMPLE.copy(), return_a_lock).error, NotPicklableError)
    error = Ran(backend, AMPLE.copy(), raise_what_cannot_come_back).error
    assert isinstance(error, NotPicklableError)
    assert "CannotComeBack: what" in str(error)


def test_an_argument_that_cannot_be_sent() -> None:
    """
    A forked process has a copy of it; for another one it is an error that names the function.
    """
    unsendable = (n for n in range(3))
    assert Ran(Sequential(), AMPLE.copy(), take, unsendable).result == "generator"
    limits = PynisherPlugin(wall_time_limit=60, context="forkserver")
    error = Ran(Sequential(), limits, take, unsendable).error
    assert isinstance(error, NotPicklableError)
    assert "take()" in str(error)


def test_what_a_future_cannot_hold(backend: Backend) -> None:
    """
    `StopIteration` is as without limits.
    """
    error = Ran(backend, AMPLE.copy(), raise_stop_iteration).error
    assert isinstance(error, RuntimeError)


def test_a_large_result(backend: Backend) -> None:
    """
    It need not fit into a pipe.
    """
    assert Ran(backend, AMPLE.copy(), large, 5_000_000).result == large(5_000_000)


def test_a_limited_call_may_have_processes(backend: Backend) -> None:
    """
    It is no daemon, whatever its worker is.
    """
    assert Ran(backend, AMPLE.copy(), have_children).result == [1, 2]


def test_limits_within_limits(backend: Backend) -> None:
    """
    A limited call may run a scheduler whose calls are limited.
    """
    assert Ran(backend, AMPLE.copy(), nested, 0.1).result == "WallTimeoutException"


def test_a_thread_that_is_left_does_not_hold_up_the_call(backend: Backend) -> None:
    """
    Though Python would wait for it.
    """
    assert Ran(backend, AMPLE.copy(), leave_a_thread).result == "done"


def test_what_a_call_has_written_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    """
    Even if its process does not come to the point where Python would write it out.
    """
    assert Ran(Sequential(), AMPLE.copy(), leave_a_thread).result == "done"
    assert capfd.readouterr().out == "said before"


def test_handlers_of_the_worker_are_as_before(backend: Backend) -> None:
    """
    A worker handles each signal as it did before it had a limited call.
    """
    scheduler = Scheduler(with_one_worker(backend))
    looking, limited = scheduler.task(handlers), scheduler.task(echo, plugins=AMPLE.copy())
    seen: list[dict[str, str]] = []
    looking.on_result.add(lambda _, found: seen.append(found))
    scheduler.on_start(looking)
    looking.on_result(limit=1)(lambda _, __: limited(1))
    limited.on_result.add(lambda _, __: looking())
    scheduler.run()
    assert len(seen) == 2
    assert seen[0] == seen[1]


def with_one_worker(backend: Backend) -> Backend:
    if isinstance(backend, Processes | Loky | Threads):
        return replace(backend, max_workers=1)
    return backend


# A call that takes too long.


def test_a_call_that_takes_too_long(backend: Backend) -> None:
    """
    It fails with what says so, and which both events pass.
    """
    ran = Ran(backend, PynisherPlugin(wall_time_limit=0.2), sleep_for, 600)
    assert type(ran.error) is PynisherPlugin.WallTimeoutException
    assert isinstance(ran.error, PynisherPlugin.TimeoutException)
    assert "sleep_for() was ended, since it did not end within" in str(ran.error)
    assert "0.2 s" in str(ran.error)
    assert ran.heard() == ["timeout", "wall-time-limit"]


def test_a_call_that_computes_too_long(backend: Backend) -> None:
    """
    Time counts in which the process computes; waiting does not.
    """
    limits = PynisherPlugin(cpu_time_limit=(300, "ms"))
    assert Ran(backend, limits.copy(), sleep_for, 0.4).result == 0.4
    ran = Ran(backend, limits.copy(), spin)
    assert type(ran.error) is PynisherPlugin.CpuTimeoutException
    assert "spin() was ended, since it has used up its `cpu_time_limit` of 0.3 s" in str(ran.error)
    assert ran.heard() == ["timeout", "cpu-time-limit"]


def cpu_time_of(limits: Limits, function: Callable[[], object]) -> float:
    """The CPU time of this process' children that a limited call costs."""
    before = os.times()
    with pytest.raises(PynisherPlugin.CpuTimeoutException):
        Limited(function, limits, "fork")()
    after = os.times()
    return (
        after.children_user
        + after.children_system
        - (before.children_user + before.children_system)
    )


@pytest.mark.parametrize("seconds", [0.2, 0.7, 1.3])
def test_cpu_time_is_never_rounded_down(seconds: float) -> None:
    """
    limit <= what it got, and no whole second is waited for.

    The system looks from time to time who computes, so its own figures differ by some per cent.
    """
    assert 0.85 * seconds < cpu_time_of({"cpu_time_limit": seconds}, spin) < seconds + 0.5


@pytest.mark.parametrize("function", [let_others_compute, let_another_spin])
def test_cpu_time_of_what_a_call_has_started_counts(function: Callable[[], object]) -> None:
    """
    Of those that go on and of those that have ended, whatever the call itself does.
    """
    ran = Ran(Sequential(), PynisherPlugin(cpu_time_limit=0.7, wall_time_limit=50), function)
    assert type(ran.error) is PynisherPlugin.CpuTimeoutException
    assert "used up its `cpu_time_limit` of 0.7 s" in str(ran.error)
    assert ran.heard() == ["timeout", "cpu-time-limit"]


@pytest.fixture
def nobody_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process has only what the system does to it."""
    monkeypatch.setattr(cpu_meter, "SHORTEST", 3600.0)


@pytest.mark.usefixtures("nobody_adds_up")
def test_a_call_that_takes_the_timer_away() -> None:
    """
    At the latest the next whole second counts.
    """
    used = cpu_time_of({"cpu_time_limit": 0.3}, spin_with_a_profiler)
    assert 0.9 <= used < 1.5


@pytest.mark.usefixtures("nobody_adds_up")
def test_cpu_time_is_limited_for_each_process() -> None:
    """
    A process that the call starts has no more than the call, rounded up to whole seconds.
    """
    ended = Limited(share_cpu_time, {"cpu_time_limit": 0.5}, "fork")(0.4)
    assert ended == -signal.SIGXCPU


def test_a_wall_time_limit_is_exact() -> None:
    """
    limit <= time, and no whole second is waited for. The best of some counts, since this machine
    may have other things to do.
    """
    for seconds in (0.1, 0.4):
        took: list[float] = []
        while len(took) < 10 and min(took, default=1) >= 1:
            begun = time.monotonic()
            with pytest.raises(PynisherPlugin.WallTimeoutException):
                Limited(sleep_for, {"wall_time_limit": seconds}, "fork")(600)
            took.append(time.monotonic() - begun)
        assert seconds <= min(took) < 1


# A call that needs too much memory.


def test_a_call_that_needs_too_much_memory(backend: Backend) -> None:
    """
    It fails with what says so, which is a `MemoryError` as well.
    """
    ran = Ran(backend, AMPLE.copy(), allocate)
    assert type(ran.error) is PynisherPlugin.MemoryLimitException
    assert isinstance(ran.error, MemoryError)
    assert "allocate() needs more memory than its `memory_limit` of 68,719,476,736 bytes" in str(
        ran.error
    )
    assert "in allocate" in str(ran.error.__cause__)
    assert ran.heard() == ["memory-limit"]


def test_a_memory_error_without_a_limit_of_memory(backend: Backend) -> None:
    """
    It is what it is.
    """
    ran = Ran(backend, PynisherPlugin(wall_time_limit=60), raise_memory_error)
    assert type(ran.error) is MemoryError
    assert ran.limits == []


def test_a_limit_below_what_the_process_has(backend: Backend) -> None:
    """
    The error says how much that is.
    """
    ran = Ran(backend, PynisherPlugin(memory_limit=(1, "KB")), echo, 1)
    assert type(ran.error) is PynisherPlugin.MemoryLimitException
    assert "`memory_limit` of echo() is 1,024 bytes, and its process has" in str(ran.error)
    assert ran.heard() == ["memory-limit"]


@pytest.mark.parametrize("function", [allocate_crumbs, no_memory_for_a_thread])
def test_memory_that_is_used_up_to_the_last_crumb(function: Callable[[], None]) -> None:
    """
    There is still enough to say so; nor is a thread that cannot be started another error.
    """
    limit = address_space() + (60 << 20)
    with pytest.raises(PynisherPlugin.MemoryLimitException, match=rf"{function.__name__}\(\)"):
        Limited(function, {"memory_limit": limit, "wall_time_limit": 50}, "fork")()


def test_a_call_whose_arguments_are_too_large() -> None:
    """
    It has not begun, and it is the limit nevertheless.
    """
    limits: Limits = {"memory_limit": (64, "GB")}
    with pytest.raises(PynisherPlugin.MemoryLimitException, match=r"take\(\) needs more memory"):
        Limited(take, limits, "forkserver")(LargeWhenUnpickled())


def test_a_library_that_leaves_for_want_of_memory() -> None:
    """
    Exit code 1, a segmentation fault, an abort: with a limit of memory, that is the likely reason.
    """
    limits: Limits = {"memory_limit": (64, "GB")}
    for with_signal in (signal.SIGSEGV, signal.SIGABRT):
        with pytest.raises(PynisherPlugin.MemoryLimitException, match=with_signal.name):
            Limited(crash, limits, "fork")(with_signal)
    with pytest.raises(PynisherPlugin.MemoryLimitException, match="exit code 1"):
        Limited(leave_at_once, limits, "fork")(1)
    with pytest.raises(WorkerLostError, match="SIGSEGV"):
        Limited(crash, {"wall_time_limit": 60}, "fork")(signal.SIGSEGV)


def test_memory_is_not_limited_where_a_result_is_sent() -> None:
    """
    What was computed within the limit arrives, though it takes as much again to send it.
    """
    n_bytes = 40 << 20
    limit = address_space() + n_bytes + (20 << 20)
    assert len(Limited(large, {"memory_limit": limit}, "fork")(n_bytes)) == n_bytes


# A process that dies of something else.


def test_a_process_that_dies_is_lost(backend: Backend) -> None:
    """
    Whether it was killed or left by itself: it is work that was lost with its worker.
    """
    killed = Ran(backend, AMPLE.copy(), die).error
    assert type(killed) is WorkerLostError
    assert "died (killed by SIGKILL)" in str(killed)
    left = Ran(backend, AMPLE.copy(), leave_at_once, 3).error
    assert type(left) is WorkerLostError
    assert "of leave_at_once() died (exit code 3)" in str(left)


def test_a_worker_with_a_call_that_dies_goes_on(processes: Backend) -> None:
    """
    The worker itself is not lost.
    """
    scheduler = Scheduler(with_one_worker(processes))
    dying, looking = scheduler.task(die, plugins=AMPLE.copy()), scheduler.task(pid)
    pids: list[int] = []
    looking.on_result.add(lambda _, number: pids.append(number))
    scheduler.on_start(looking)
    looking.on_result(limit=1)(lambda _, __: dying())
    dying.on_exception.add(lambda _, __: looking())
    scheduler.run(on_exception="ignore")
    assert len(pids) == 2
    assert pids[0] == pids[1]


def test_a_call_that_loses_its_process_is_attempted_again() -> None:
    """
    As one that was lost with its worker, and so it is not charged to the attempts.
    """
    retry = Retry(attempts=1, max_lost=2)
    scheduler = Scheduler(Threads(1))
    task = scheduler.task(die, plugins=[AMPLE.copy(), retry])
    scheduler.on_start(task)
    state = scheduler.run(on_exception="end")
    assert type(state.exception) is WorkerLostError
    assert (task.event_counts["retry"], task.event_counts["gave-up"]) == (2, 1)


# More on the next attempt.


def with_more_time(call: Call[R], attempt: int) -> Call[R]:
    call = call.with_kwargs(attempt=attempt)
    return PynisherPlugin.with_limits(call, wall_time_limit=(attempt - 1) * 30)


@pytest.mark.parametrize("limits_first", [True, False])
def test_a_longer_limit_on_the_next_attempt(backend: Backend, limits_first: bool) -> None:
    """
    Whichever of the two plugins comes first.
    """
    limits = PynisherPlugin(wall_time_limit=0.2)
    retry = Retry(on=PynisherPlugin.TimeoutException, change=with_more_time)
    plugins: list[TaskPlugin] = [limits, retry] if limits_first else [retry, limits]
    ran = Ran(backend, plugins, endless_at_first)
    assert ran.result == "attempt 2"
    assert [name for name, _ in ran.limits] == ["timeout", "wall-time-limit"]


def with_more_memory(call: Call[R], _: int) -> Call[R]:
    return PynisherPlugin.with_limits(call, memory_limit=None)


@pytest.mark.parametrize("limits_first", [True, False])
def test_more_memory_on_the_next_attempt(limits_first: bool) -> None:
    """
    The other limits stay as they are.
    """
    limits = PynisherPlugin(memory_limit=(1, "KB"), wall_time_limit=60)
    retry = Retry(on=PynisherPlugin.MemoryLimitException, change=with_more_memory)
    plugins: list[TaskPlugin] = [limits, retry] if limits_first else [retry, limits]
    ran = Ran(Processes(1), plugins, echo, 1)
    assert ran.result == 1
    assert [name for name, _ in ran.limits] == ["memory-limit"]


def test_each_attempt_at_a_limit_is_heard_of(backend: Backend) -> None:
    """
    Events are about attempts, and the outcome is about the call.
    """
    retry = Retry(attempts=3, on=PynisherPlugin.TimeoutException)
    scheduler = Scheduler(backend)
    task = scheduler.task(sleep_for, plugins=[retry, PynisherPlugin(wall_time_limit=0.1)])
    scheduler.on_start(lambda: task(600))
    state = scheduler.run(on_exception="end")
    assert isinstance(state.exception, PynisherPlugin.WallTimeoutException)
    assert task.event_counts["pynisher-timeout"] == 3
    assert task.event_counts["pynisher-wall-time-limit"] == 3
    assert (task.event_counts["retry"], task.event_counts["on_exception"]) == (2, 1)


def test_a_limit_is_an_outcome_like_any_other(parallel: Backend) -> None:
    """
    A call beyond its limit takes nothing from those beside it.
    """
    scheduler = Scheduler(parallel)
    ample = scheduler.task(sleep_for, plugins=AMPLE.copy())
    tight = scheduler.task(sleep_for, plugins=PynisherPlugin(wall_time_limit=0.2))
    results: list[float] = []
    errors: list[type[BaseException]] = []
    ample.on_result.add(lambda _, result: results.append(result))
    tight.on_exception.add(lambda _, error: errors.append(type(error)))
    for calls in (lambda: tight(600), lambda: ample(0.001), lambda: ample(0.3)) * 2:
        scheduler.on_start.add(calls)
    scheduler.run(on_exception="ignore")
    assert sorted(results) == [0.001, 0.001, 0.3, 0.3]
    assert errors == [PynisherPlugin.WallTimeoutException] * 2
