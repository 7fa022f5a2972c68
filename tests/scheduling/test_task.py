"""A function that a scheduler runs, with events of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk import CallLimiter, Event, Scheduler, Task
from amltk.exceptions import EventNotKnownError, SchedulerNotRunningError
from tests.hand_driven import HandDrivenRun, hand_driven


def train(seed: int, *, rate: float = 0.1) -> float:
    """
    Train a model.
    """
    return seed * rate


def listen(run: HandDrivenRun, task: Task[..., Any]) -> list[tuple[object, ...]]:
    """Write down every event of a task, and of the scheduler about it, with what it passes."""
    log: list[tuple[object, ...]] = []

    def hear(name: str, subscriber: Any) -> None:
        subscriber(lambda *args, **kwargs: log.append((name, *args, *kwargs.items())))

    for subscriber in [*run.scheduler.emitter, *task.emitter]:
        if subscriber.event.name not in {"on_start", "on_empty"}:
            hear(subscriber.event.name, subscriber)
    return log


def begun(run: HandDrivenRun, task: Task[..., Any]) -> list[tuple[object, ...]]:
    log = listen(run, task)
    run.begin(end_on_empty=False, on_exception="ignore")
    return log


def names(log: list[tuple[object, ...]]) -> list[object]:
    return [entry[0] for entry in log]


def submitted(run: HandDrivenRun, call: Callable[[], asyncio.Future[Any] | None]) -> Any:
    future = run.do(call)
    assert future is not None
    return future


# Calling it.


def test_a_call_returns_its_future() -> None:
    """
    Calling a task and `submit` are the same; one can await what they return.
    """
    with hand_driven() as run:
        task = run.scheduler.task(train)
        log = begun(run, task)
        first = submitted(run, lambda: task(1))
        second = submitted(run, lambda: task.submit(2, rate=0.5))
        assert isinstance(first, asyncio.Future)
        assert [(j.function, j.args, j.kwargs) for j in run.executor.jobs] == [
            (train, (1,), {}),
            (train, (2,), {"rate": 0.5}),
        ]
        assert log == [
            ("on_future_submitted", first),
            ("on_submitted", first, 1),
            ("on_future_submitted", second),
            ("on_submitted", second, 2, ("rate", 0.5)),
        ]
        run.end()


def test_a_coroutine_can_await_a_call() -> None:
    """
    `await task(5)` is what the call returned.
    """
    with hand_driven() as run:
        task = run.scheduler.task(train)
        run.begin(end_on_empty=False)

        async def use() -> float:
            future = task(5)
            assert future is not None
            return await future + 1

        using = run.loop.create_task(use())
        run.loop.run_until_idle()
        run.do(lambda: run.executor.jobs[0].finish(41.0))
        assert using.result() == 42.0
        run.end()


def test_a_refused_call_returns_none() -> None:
    """
    What a plugin refuses has no future.
    """
    with hand_driven() as run:
        task = run.scheduler.task(train, plugins=CallLimiter(max_calls=1))
        run.begin(end_on_empty=False)
        assert run.do(lambda: task(1)) is not None
        assert run.do(lambda: task(2)) is None
        assert run.do(lambda: task.submit(2)) is None
        assert task.n_running == 1
        run.end()


@given(st.lists(st.sampled_from(["finish", "fail", "cancel"]), max_size=8), st.data())
def test_what_is_pending_can_be_asked(ends: list[str], data: st.DataObject) -> None:
    """
    At every time, `futures` are those without an outcome, oldest first; `n_running` is how many,
    and `running` whether there are any.
    """
    with hand_driven() as run:
        task = run.scheduler.task(train)
        run.begin(end_on_empty=False, on_exception="ignore")
        pending = {submitted(run, lambda: task(0)): job for job in range(len(ends))}
        for end in ends:
            assert task.futures() == list(pending)
            assert (task.n_running, task.running()) == (len(pending), bool(pending))
            future = data.draw(st.sampled_from(list(pending)))
            job = run.executor.jobs[pending.pop(future)]
            act: dict[str, Callable[[], object]] = {
                "finish": job.finish,
                "fail": lambda job=job: job.fail(ValueError()),
                "cancel": future.cancel,
            }
            run.do(act[end])
        assert task.futures() == []
        assert not task.running()
        run.end()


def test_when_others_hear_of_it_the_counts_are_right_already() -> None:
    """
    The scheduler's subscribers are told first, and find the task as it is by then.
    """
    with hand_driven() as run:
        task = run.scheduler.task(train)
        seen: list[int] = []
        run.scheduler.on_future_submitted(lambda _: seen.append(task.n_running))
        run.scheduler.on_future_done(lambda _: seen.append(task.n_running))
        run.begin(end_on_empty=False)
        run.do(lambda: task(1))
        run.do(run.executor.jobs[0].finish)
        run.end()
    assert seen == [1, 0]


KEYWORDS = ["fn", "function", "key", "pure", "args", "kwargs", "self", "future", "call", "owner"]


@pytest.mark.parametrize("keyword", [*KEYWORDS, "failed", "subscriber", "callback", "event"])
def test_every_keyword_is_the_functions(keyword: str) -> None:
    """
    No parameter of the library takes a keyword away: not from the function, nor from subscribers.
    """

    def echo(**kwargs: int) -> dict[str, int]:
        return kwargs

    got: list[object] = []
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo, plugins=CallLimiter(max_calls=1))
    task.on_submitted.add(lambda _, **kwargs: got.append(kwargs))
    task.on("call-limit-reached").add(lambda _, **kwargs: got.append(kwargs))
    task.on_result.add(lambda _, result: got.append(result))

    @scheduler.on_start
    def begin() -> None:
        task(**{keyword: 1})
        task.submit(**{keyword: 1})

    scheduler.run()
    assert got == [{keyword: 1}] * 3


def test_outside_of_a_run_it_cannot_be_called() -> None:
    """
    The error names the function and says where to submit.
    """
    task = Scheduler.with_sequential().task(train)
    with pytest.raises(SchedulerNotRunningError, match=r"train.*on_start"):
        task(1)
    assert task.event_counts["on_submitted"] == 0


async def coroutine() -> None: ...


@pytest.mark.parametrize("function", [coroutine, 5])
def test_what_cannot_be_run_makes_no_task(function: Any) -> None:
    """
    An `async def` or what is no function is refused when the task is made.
    """
    scheduler = Scheduler.with_sequential()
    with pytest.raises(TypeError, match="submitted"):
        scheduler.task(function)
    assert scheduler.tasks == []


# Hearing of it.


def test_a_result_is_told_to_the_scheduler_first() -> None:
    """
    Done, then the result; the task's subscribers after the scheduler's.
    """
    with hand_driven() as run:
        task = run.scheduler.task(train)
        log = begun(run, task)
        future = submitted(run, lambda: task(1))
        log.clear()
        run.do(lambda: run.executor.jobs[0].finish(0.1))
        assert log == [
            ("on_future_done", future),
            ("on_future_result", future, 0.1),
            ("on_done", future),
            ("on_result", future, 0.1),
        ]
        run.end()


def test_a_failure_is_told_in_the_same_order() -> None:
    """
    Done, then the exception, which is the very one that was raised.
    """
    error = ValueError()
    with hand_driven() as run:
        task = run.scheduler.task(train)
        log = begun(run, task)
        future = submitted(run, lambda: task(1))
        log.clear()
        run.do(lambda: run.executor.jobs[0].fail(error))
        assert log == [
            ("on_future_done", future),
            ("on_future_exception", future, error),
            ("on_done", future),
            ("on_exception", future, error),
        ]
        run.end()


@pytest.mark.parametrize("started", [False, True])
def test_a_cancelled_call_is_cancelled_and_nothing_else(started: bool) -> None:
    """
    A running one too: what comes of it later is not told to anybody.
    """
    with hand_driven() as run:
        task = run.scheduler.task(train)
        log = begun(run, task)
        future = submitted(run, lambda: task(1))
        job = run.executor.jobs[0]
        log.clear()
        if started:
            job.start()
        assert run.do(future.cancel)
        if started:
            run.do(job.finish)
        assert log == [("on_future_cancelled", future), ("on_cancelled", future)]
        run.end()


def test_a_call_that_the_executor_cancels_is_cancelled() -> None:
    """
    It need not have been the user.
    """
    with hand_driven() as run:
        task = run.scheduler.task(train)
        log = begun(run, task)
        future = submitted(run, lambda: task(1))
        log.clear()
        run.do(run.executor.jobs[0].future.cancel)
        assert log == [("on_future_cancelled", future), ("on_cancelled", future)]
        run.end()


def test_a_task_hears_of_its_own_calls_only() -> None:
    """
    Not of another task's, nor of what was submitted without one.
    """
    with hand_driven() as run:
        task, other = run.scheduler.task(train), run.scheduler.task(train)
        log = begun(run, task)
        run.do(lambda: other(1))
        run.do(lambda: run.scheduler.submit(train, 1))
        for job in run.executor.jobs:
            run.do(job.finish)
        about_all = {"on_future_submitted", "on_future_done", "on_future_result"}
        assert set(names(log)) == about_all
        run.end()


def test_events_are_counted_and_found_by_name() -> None:
    """
    By constant, by name, or as an attribute: one event.
    """
    with hand_driven() as run:
        task = run.scheduler.task(train)
        heard: list[str] = []
        task.on_result.add(lambda *_: heard.append("attribute"))
        task.on(Task.RESULT).add(lambda *_: heard.append("constant"))
        task.on("on_result", limit=1).add(lambda *_: heard.append("name"))
        run.begin(end_on_empty=False)
        run.do(lambda: task(1))
        run.do(run.executor.jobs[0].finish)
        assert heard == ["attribute", "constant", "name"]
        assert task.event_counts == {
            Task.SUBMITTED: 1,
            "on_done": 1,
            Task.RESULT: 1,
            Task.EXCEPTION: 0,
            Task.CANCELLED: 0,
        }
        run.end()


def test_a_name_that_no_plugin_declared_is_not_known() -> None:
    """
    The error names the task and its events; an `Event` is declared by subscribing to it.
    """
    task = Scheduler.with_sequential().task(train)
    unknown: Any = "call-limit-reached"
    with pytest.raises(EventNotKnownError, match=r"train.*on_result"):
        task.on(unknown)
    heard: list[int] = []
    task.on(Event[[int]]("custom")).add(heard.append)
    task.on(Event[[int]]("custom")).emit(3)
    assert heard == [3]
    limited = Scheduler.with_sequential().task(train, plugins=CallLimiter())
    limited.on("call-limit-reached")


def test_one_function_can_listen_to_two_tasks() -> None:
    """
    Decorators of two tasks stack on one callback.
    """
    with hand_driven() as run:
        one, two = run.scheduler.task(train), run.scheduler.task(train)
        heard: list[BaseException] = []

        @one.on_exception
        @two.on_exception
        def keep(_: asyncio.Future[float], error: BaseException) -> None:
            heard.append(error)

        run.begin(end_on_empty=False, on_exception="ignore")
        errors = [ValueError(), KeyError()]
        run.do(lambda: (one(1), two(2)))
        for job, error in zip(run.executor.jobs, errors, strict=True):
            run.do(lambda job=job, error=error: job.fail(error))
        assert heard == errors
        run.end()


# The task itself.


def test_a_copy_has_copies_of_the_plugins() -> None:
    """
    The same function and settings; counts and callbacks of its own.
    """
    with hand_driven() as run:
        other = run.scheduler.task(abs)
        limiter = CallLimiter(max_calls=1, max_concurrent=2, not_while_running=other)
        task = run.scheduler.task(train, plugins=[limiter])
        task.on_submitted.add(lambda *_: pytest.fail("callbacks are not copied"))
        copy = task.copy()
        (copied,) = copy.plugins
        assert isinstance(copied, CallLimiter)
        assert repr(copied) == repr(limiter)
        assert copied is not limiter
        assert copied.task is copy
        assert copy.function is task.function
        assert run.scheduler.tasks == [other, task, copy]
        run.begin(end_on_empty=False)
        assert run.do(lambda: copy(1)) is not None
        assert (copied.n_calls, limiter.n_calls, task.n_running) == (1, 0, 0)
        run.end()


def test_it_shows_the_signature_of_its_function() -> None:
    """
    `help(task)` and completion at `task(` are the function's own; builtins without one are tasks too.
    """
    scheduler = Scheduler.with_sequential()
    assert inspect.signature(scheduler.task(train)) == inspect.signature(train)
    assert scheduler.task(max).name == "max"


def test_it_prints_as_what_it_is() -> None:
    """
    Its name, and how much is pending.
    """
    with hand_driven() as run:
        task = run.scheduler.task(train)
        run.begin(end_on_empty=False)
        run.do(lambda: task(1))
        assert repr(task) == "<Task train: 1 pending>"
        run.end()
