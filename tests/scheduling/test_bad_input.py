"""What cannot work is refused with an error that names it; nothing is lost and nothing hangs."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from amltk import Scheduler
from amltk.backends import Loky
from amltk.backends.base import Backend
from amltk.exceptions import (
    BackendNotInstalledError,
    EventNotKnownError,
    NotPicklableError,
)
from amltk.scheduling import ExitCode, ExitState
from tests.helpers import (
    CannotBeShown,
    FailsWhenUnpickled,
    Gate,
    LeavesWhenUnpickled,
    Stubborn,
    all_accounted_for,
    echo,
    fail_stubbornly,
    raise_nothing,
    raise_stop_iteration,
    raise_text,
    raise_what_cannot_be_said,
    raise_what_cannot_come_back,
    raise_with_a_lock,
    return_a_lock,
    return_what_fails,
    return_what_leaves,
    wait_at,
)

# What goes to a worker, and what comes back.


class Answers:
    """A scheduler on two processes, and what it answered."""

    def __init__(self, processes: Backend, *calls: Callable[[], object]) -> None:
        self.scheduler = Scheduler(processes)
        self.errors: list[BaseException] = []
        self.results: list[object] = []
        for call in calls:
            self.scheduler.on_start.add(partial(self.submit, call))
        self.scheduler.on_start.add(lambda: self.scheduler.submit(echo, 1))
        self.scheduler.on_empty(limit=1)(lambda: self.scheduler.submit(echo, 2))
        self.scheduler.on_future_exception.add(lambda _, error: self.errors.append(error))
        self.scheduler.on_future_result.add(lambda _, result: self.results.append(result))
        self.state = self.scheduler.run(on_exception="ignore")

    def submit(self, call: Callable[[], object]) -> None:
        self.scheduler.submit(call)

    def only_error(self) -> BaseException:
        """The error of the one call that failed, while the others, and the run, went on."""
        assert self.state == ExitState(ExitCode.EXHAUSTED)
        assert all_accounted_for(self.scheduler)
        assert {1, 2} <= {r for r in self.results if isinstance(r, int)}
        assert len(self.errors) == 1
        return self.errors[0]


def test_a_function_that_cannot_be_pickled(processes: Backend) -> None:
    """
    Ends as the exception of its call, with the reason and what to do.
    """
    lock = threading.Lock()
    error = Answers(processes, lambda: [lock]).only_error()
    assert isinstance(error, NotPicklableError)
    assert "lambda" in str(error)
    assert "pickle" in str(error)


def test_an_argument_that_cannot_be_pickled(processes: Backend) -> None:
    """
    As does an argument.
    """
    error = Answers(processes, partial(echo, threading.Lock())).only_error()  # type: ignore[arg-type]  # wrong on purpose
    assert isinstance(error, NotPicklableError)
    assert "lock" in str(error)


def test_an_argument_that_cannot_be_unpickled(processes: Backend) -> None:
    """
    What the worker cannot unpickle costs nobody else their result.
    """
    error = Answers(processes, partial(id, FailsWhenUnpickled())).only_error()
    assert isinstance(error, NotPicklableError)
    assert "not a number" in str(error)


def test_an_argument_that_leaves_when_unpickled(processes: Backend) -> None:
    """
    Not even one that makes whoever unpickles it leave the program.
    """
    error = Answers(processes, partial(id, LeavesWhenUnpickled())).only_error()
    assert isinstance(error, NotPicklableError)
    assert "bye" in str(error)


def test_a_bad_argument_costs_its_neighbour_nothing(processes: Backend, tmp_path: Any) -> None:
    """
    A call that is running meanwhile on the other worker returns its result.
    """
    scheduler = Scheduler(processes)
    with Gate(tmp_path / "gate") as gate:
        scheduler.on_start.add(lambda: scheduler.submit(wait_at, gate.path), gate.hold)
        scheduler.on_start.add(lambda: scheduler.submit(id, FailsWhenUnpickled()))
        scheduler.on_future_exception.add(lambda _future, _error: gate.let_go())
        scheduler.run(on_exception="ignore")
    assert scheduler.event_counts["on_future_exception"] == 1
    assert scheduler.event_counts["on_future_result"] == 1


def test_a_function_that_cannot_even_be_named(processes: Backend) -> None:
    """
    Neither pickled nor printed, and still its call ends.
    """
    assert isinstance(Answers(processes, CannotBeShown()).only_error(), NotPicklableError)


def test_a_result_that_cannot_be_pickled(processes: Backend) -> None:
    """
    The error names the function and the type of what it returned.
    """
    error = Answers(processes, return_a_lock).only_error()
    assert isinstance(error, NotPicklableError)
    assert "return_a_lock" in str(error)
    assert "lock" in str(error)


@pytest.mark.parametrize("call", [return_what_fails, return_what_leaves])
def test_a_result_that_cannot_be_unpickled(processes: Backend, call: Callable[[], object]) -> None:
    """
    Ends as an exception here, whatever it raises when it is unpickled.
    """
    assert isinstance(Answers(processes, call).only_error(), NotPicklableError)


@pytest.mark.parametrize(
    "call",
    [
        raise_what_cannot_come_back,
        raise_what_cannot_be_said,
        raise_text,
        raise_nothing,
        raise_with_a_lock,
    ],
)
def test_an_exception_that_cannot_come_back(processes: Backend, call: Callable[[], object]) -> None:
    """
    Is replaced by one that says which it was, with the traceback of where it was raised.
    """
    error = Answers(processes, call).only_error()
    assert isinstance(error, NotPicklableError)
    assert any(
        name in str(error) for name in ("CannotComeBack", "CannotBeSaid", "ComesBackAs", "Boom")
    )
    assert call.__name__ in str(error.__cause__)


def test_a_stop_iteration_is_an_exception_like_others(scheduler: Scheduler) -> None:
    """
    A future cannot hold it, so it comes wrapped, and says what it was.
    """
    errors: list[BaseException] = []
    scheduler.on_start.add(lambda: scheduler.submit(raise_stop_iteration))
    scheduler.on_future_exception.add(lambda _, error: errors.append(error))
    assert scheduler.run(on_exception="ignore") == ExitState(ExitCode.EXHAUSTED)
    assert "StopIteration(5)" in str(errors[0])


# Functions and callbacks.


async def coroutine(*_: object) -> None: ...


async def generator(*_: object) -> Any:
    yield


class AsyncCall:
    async def __call__(self, *_: object) -> None: ...


in_every_guise = pytest.mark.parametrize(
    "function",
    [coroutine, generator, partial(coroutine, 1), AsyncCall()],
    ids=["function", "generator", "partial", "object"],
)


@in_every_guise
def test_a_coroutine_is_no_function_to_run(function: Any) -> None:
    """
    Neither for `submit` nor for a task; the error says what to submit instead.
    """
    scheduler = Scheduler.with_sequential()
    with pytest.raises(TypeError, match=r"async def.*asyncio\.run"):
        scheduler.task(function)
    with pytest.raises(TypeError, match=r"async def.*asyncio\.run"):
        scheduler.submit(function)


@in_every_guise
def test_a_coroutine_is_no_callback(function: Any) -> None:
    """
    It is refused when it is registered, on every event of schedulers and tasks.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)
    for subscriber in (*scheduler.emitter, *task.emitter):
        with pytest.raises(TypeError, match="async def"):
            subscriber(function)


@pytest.mark.parametrize("nonsense", [None, 5, "echo", echo(1)])
def test_what_cannot_be_called_cannot_be_submitted(nonsense: Any) -> None:
    """
    Such as the result of a call, where the function was meant.
    """
    scheduler = Scheduler.with_sequential()
    for submit in (scheduler.submit, scheduler.task):
        with pytest.raises(TypeError, match=r"submit\(f, 1\)"):
            submit(nonsense)


def test_an_unknown_event_lists_those_there_are() -> None:
    """
    A typo in the name of an event is found at once.
    """
    task = Scheduler.with_sequential().task(echo)
    with pytest.raises(EventNotKnownError, match=r"on_resutl.*on_result"):
        task.on("on_resutl")  # type: ignore[call-overload]  # wrong on purpose


@pytest.mark.parametrize("options", [{"limit": 0}, {"every": -1}, {"repeat": 0}], ids=repr)
def test_options_that_could_never_call_anything(options: Any) -> None:
    """
    The error names the option and the value.
    """
    scheduler = Scheduler.with_sequential()
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"{name}={value}"):
        scheduler.on_start(**options)


# Options of a run.


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_that_is_no_time(timeout: float) -> None:
    """
    The run does not begin.
    """
    scheduler = Scheduler.with_sequential()
    with pytest.raises(ValueError, match="timeout"):
        scheduler.run(timeout=timeout)
    assert scheduler.event_counts["on_start"] == 0


@pytest.mark.parametrize("policy", ["rais", {ValueError: "stop"}], ids=repr)
def test_a_policy_that_nobody_knows(policy: Any) -> None:
    """
    The error lists those there are.
    """
    with pytest.raises(ValueError, match=r"raise.*end|end.*raise"):
        Scheduler.with_sequential().run(on_exception=policy)


def test_an_option_that_nobody_knows() -> None:
    """
    A misspelt option is an error and not ignored.
    """
    with pytest.raises(TypeError, match="time_out"):
        Scheduler.with_sequential().run(time_out=1)  # type: ignore[call-arg]  # wrong on purpose


@pytest.mark.parametrize("option", ["wait", "end_on_empty", "display"])
def test_an_option_that_is_neither_yes_nor_no(option: str) -> None:
    """
    What is merely true or false in a condition is a mistake more often than not.
    """
    options: Any = {option: "no"}
    with pytest.raises(TypeError, match=option):
        Scheduler.with_sequential().run(**options)


def test_a_backend_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The error says what to install; the scheduler runs once it is there.
    """
    scheduler = Scheduler(Loky(1))
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "loky", None)
        with pytest.raises(BackendNotInstalledError, match=r'pip install "amltk\[loky\]"'):
            scheduler.run()
    assert scheduler.run().code is ExitCode.EXHAUSTED


def test_a_backend_that_cannot_be_opened_is_no_run() -> None:
    """
    No event is emitted, and the next run is not in anybody's way.
    """

    class Broken:
        def open(self) -> Any:
            raise OSError("no more processes")

    scheduler = Scheduler(Broken())
    for _ in range(2):
        with pytest.raises(OSError, match="no more processes"):
            scheduler.run()
        with pytest.raises(OSError, match="no more processes"):
            asyncio.run(scheduler.async_run())
    assert not any(scheduler.event_counts.values())


def test_an_exception_that_takes_no_attribute_arrives(scheduler: Scheduler) -> None:
    """
    Nothing that a call raises keeps its outcome from arriving.
    """
    raised: list[BaseException] = []
    scheduler.on_start.add(lambda: scheduler.submit(fail_stubbornly))
    scheduler.on_future_exception.add(lambda _, error: raised.append(error))
    scheduler.run(on_exception="ignore")
    assert [type(error) for error in raised] == [Stubborn]
