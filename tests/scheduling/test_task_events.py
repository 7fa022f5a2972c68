"""What a task tells of its calls, to whom, and in which order."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from amltk import CallLimiter, Event, Scheduler, Task
from amltk.exceptions import EventNotKnownError
from tests.hand_driven import begun, hand_driven, submitted


def train(seed: int, *, rate: float = 0.1) -> float:
    return seed * rate


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
        assert log == [("on_future_cancelled", future), ("on_cancelled", future)]
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
        alone = submitted(run, lambda: run.scheduler.submit(train, 1))
        assert alone.owner is None
        for job in run.executor.jobs:
            run.do(job.finish)
        about_all = {"on_future_submitted", "on_future_done", "on_future_result"}
        assert {entry[0] for entry in log} == about_all
        run.end()


def test_events_are_counted_and_found_by_name() -> None:
    """
    By constant, by name, or as an attribute: one event.
    """
    with hand_driven() as run:
        task = run.scheduler.task(train)
        heard: list[str] = []
        task.on_result.add(lambda _, __: heard.append("attribute"))
        task.on(Task.RESULT).add(lambda _, __: heard.append("constant"))
        task.on("on_result", limit=1).add(lambda _, __: heard.append("name"))
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
            run.do(partial(job.fail, error))
        assert heard == errors
        run.end()
