"""A function that a scheduler runs: calling it, asking it, copying it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk import CallLimiter, Scheduler
from amltk.exceptions import SchedulerNotRunningError
from tests.hand_driven import begun, hand_driven, submitted


def train(seed: int, *, rate: float = 0.1) -> float:
    """
    Train a model.
    """
    return seed * rate


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
        pending = {submitted(run, lambda: task(0)): number for number in range(len(ends))}
        for end in ends:
            assert task.futures() == list(pending)
            assert (task.n_running, task.running()) == (len(pending), bool(pending))
            future = data.draw(st.sampled_from(list(pending)))
            job = run.executor.jobs[pending.pop(future)]
            act: dict[str, Callable[[], object]] = {
                "finish": job.finish,
                "fail": partial(job.fail, ValueError()),
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


def test_a_copy_has_copies_of_the_plugins() -> None:
    """
    The same function and settings; counts and callbacks of its own.
    """
    with hand_driven() as run:
        other = run.scheduler.task(abs)
        limiter = CallLimiter(max_calls=1, max_concurrent=2, not_while_running=other)
        task = run.scheduler.task(train, plugins=[limiter])
        task.on_done.add(lambda _: pytest.fail("callbacks are not copied"))
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
        run.do(run.executor.jobs[0].finish)
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
