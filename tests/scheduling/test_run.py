"""The life of a run, from its first event to its last, on every backend."""

from __future__ import annotations

import asyncio
from asyncio import Future
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from amltk import Scheduler
from amltk.backends.base import Backend
from amltk.scheduling import ExitCode, ExitState
from tests.helpers import Boom, Gate, all_accounted_for, echo, fail, story_of, wait_at

NOTHING_TO_DO = ExitState(ExitCode.EXHAUSTED)


# The order of events.

WHERE: ContextVar[str] = ContextVar("where", default="nowhere")


def test_a_run_with_nothing_to_do_says_so_and_ends(scheduler: Scheduler) -> None:
    """
    `on_empty` comes at the start if `on_start` submitted nothing.
    """
    story = story_of(scheduler)
    assert scheduler.run() == NOTHING_TO_DO
    assert story == ["on_start", "on_empty", "on_finishing", "on_finished"]


def test_a_call_that_returns_is_submitted_then_done_then_a_result(scheduler: Scheduler) -> None:
    """
    A result is announced between the start and the emptiness that follows it.
    """
    story = story_of(scheduler)
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
    scheduler.run()
    assert story == [
        "on_start",
        "on_future_submitted",
        "on_future_done",
        "on_future_result",
        "on_empty",
        "on_finishing",
        "on_finished",
    ]


def test_a_call_that_raises_is_done_then_an_exception(scheduler: Scheduler) -> None:
    """
    With the policy `end` an exception is followed by `on_empty`, since nothing is pending, and
    by `on_stop`.
    """
    story = story_of(scheduler)
    scheduler.on_start.add(lambda: scheduler.submit(fail))
    state = scheduler.run(on_exception="end")
    assert state.code is ExitCode.EXCEPTION
    assert story == [
        "on_start",
        "on_future_submitted",
        "on_future_done",
        "on_future_exception",
        "on_empty",
        "on_stop",
        "on_finishing",
        "on_finished",
    ]


def test_a_scheduler_hears_of_a_call_before_its_task_does(scheduler: Scheduler) -> None:
    """
    For one future the scheduler's events come first, then those of its task.
    """
    task = scheduler.task(echo)
    story: list[str] = []
    task.on_result.add(lambda _, __: story.append("task.result"))
    task.on_done.add(lambda _: story.append("task.done"))
    task.on_submitted(lambda _, value: story.append("task.submitted"))
    scheduler.on_future_submitted.add(lambda _: story.append("submitted"))
    scheduler.on_future_done.add(lambda _: story.append("done"))
    scheduler.on_future_result.add(lambda _, __: story.append("result"))
    scheduler.on_start.add(lambda: task(1))
    scheduler.run()
    assert story == [
        "submitted",
        "task.submitted",
        "done",
        "result",
        "task.done",
        "task.result",
    ]


def test_a_result_reaches_its_task_and_no_other(scheduler: Scheduler) -> None:
    """
    `on_result` of a task hears its own results only.
    """
    mine, others = scheduler.task(echo), scheduler.task(abs)
    heard: list[int] = []
    mine.on_result.add(lambda _, result: heard.append(result))
    scheduler.on_start.add(lambda: mine(1), lambda: others(-2), lambda: scheduler.submit(echo, 3))
    scheduler.run()
    assert heard == [1]


# Emptiness.


def test_work_submitted_when_empty_keeps_the_run_going(scheduler: Scheduler) -> None:
    """
    `on_empty` may submit again, and comes again after that.
    """
    scheduler.on_empty(limit=3)(lambda: scheduler.submit(echo, 1))
    assert scheduler.run() == NOTHING_TO_DO
    assert scheduler.event_counts["on_empty"] == 4


def test_a_run_goes_on_when_empty_if_it_is_told_to(scheduler: Scheduler) -> None:
    """
    With `end_on_empty=False` a run waits for `stop()`.
    """
    scheduler.on_empty.add(
        lambda: asyncio.get_running_loop().call_soon(lambda: scheduler.submit(echo, 1))
    )
    scheduler.on_empty(every=3)(scheduler.stop)
    assert scheduler.run(end_on_empty=False).code is ExitCode.STOPPED
    assert scheduler.event_counts["on_future_done"] >= 2


def test_the_outcome_that_ends_a_run_can_also_empty_it(scheduler: Scheduler) -> None:
    """
    `on_empty` is emitted after the last outcome, also if that outcome stopped the run.
    """
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
    scheduler.on_future_result(scheduler.stop)
    story = story_of(scheduler)
    scheduler.run()
    assert story[-4:] == ["on_empty", "on_stop", "on_finishing", "on_finished"]


def test_a_run_that_is_closing_is_never_empty(scheduler: Scheduler) -> None:
    """
    What `on_finishing` submits is awaited, and no `on_empty` follows it.
    """
    scheduler.on_finishing.add(lambda: scheduler.submit(echo, 1))
    story = story_of(scheduler)
    assert scheduler.run() == NOTHING_TO_DO
    assert story.count("on_empty") == 1
    assert all_accounted_for(scheduler)
    assert scheduler.event_counts["on_future_result"] == 1


# Why it ended.


def test_stop_lets_what_is_pending_finish(parallel: Backend, tmp_path: Path) -> None:
    """
    `stop()` waits for calls that run, and delivers their results before `on_finished`.
    """
    scheduler = Scheduler(parallel)
    story = story_of(scheduler)
    with Gate(tmp_path / "gate") as gate:
        scheduler.on_start.add(lambda: scheduler.submit(wait_at, gate.path), gate.hold)
        scheduler.on_start(scheduler.stop)
        scheduler.on_finishing(gate.let_go)
        assert scheduler.run() == ExitState(ExitCode.STOPPED)
    assert story[-5:] == [
        "on_stop",
        "on_finishing",
        "on_future_done",
        "on_future_result",
        "on_finished",
    ]


def test_stop_may_say_why(scheduler: Scheduler) -> None:
    """
    `stop(exception=)` is in the `ExitState` and is not raised.
    """
    why = Boom("enough")
    scheduler.on_start.add(lambda: scheduler.stop(exception=why))
    assert scheduler.run() == ExitState(ExitCode.STOPPED, why)
    assert scheduler.exit_state == ExitState(ExitCode.STOPPED, why)


def test_the_first_reason_to_end_wins() -> None:
    """
    A run that was stopped has not timed out, whatever the clock says.
    """
    scheduler = Scheduler.with_sequential()
    scheduler.on_start(scheduler.stop)
    assert scheduler.run(timeout=0).code is ExitCode.STOPPED
    assert scheduler.event_counts["on_timeout"] == 0


def test_a_timeout_ends_a_run_that_waits(parallel: Backend, tmp_path: Path) -> None:
    """
    `on_timeout` is emitted instead of `on_stop`, and with `wait=False` calls are cancelled.
    """
    scheduler = Scheduler(parallel)
    story = story_of(scheduler)
    with Gate(tmp_path / "gate") as gate:
        scheduler.on_start.add(lambda: scheduler.submit(wait_at, gate.path), gate.hold)
        assert scheduler.run(timeout=0.01, wait=False) == ExitState(ExitCode.TIMEOUT)
    assert story[-4:] == ["on_timeout", "on_finishing", "on_future_cancelled", "on_finished"]
    assert "on_stop" not in story


def test_a_backlog_of_outcomes_does_not_postpone_a_timeout() -> None:
    """
    The clock is looked at after each delivered outcome.
    """
    scheduler = Scheduler.with_sequential()
    before_timeout: list[int] = []

    @scheduler.on_start
    def submit_many() -> None:
        for n in range(1000):
            scheduler.submit(echo, n)

    @scheduler.on_future_result(limit=1)
    def let_an_hour_pass(_: Future[Any], result: int) -> None:
        loop = asyncio.get_running_loop()
        later = loop.time() + 3600
        setattr(loop, "time", lambda: later)  # noqa: B010 - a clock that jumps

    scheduler.on_timeout.add(lambda: before_timeout.append(scheduler.on_future_result.event_count))
    assert scheduler.run(timeout=1800).code is ExitCode.TIMEOUT
    assert before_timeout == [1]
    assert scheduler.event_counts["on_future_result"] == 1000


def test_an_exception_outranks_a_stop(parallel: Backend, tmp_path: Path) -> None:
    """
    A call that fails after `stop()` is the reason that the run reports.
    """
    scheduler = Scheduler(parallel)
    scheduler.on_start.add(lambda: scheduler.submit(fail, "late"), scheduler.stop)
    state = scheduler.run(on_exception="end")
    assert state.code is ExitCode.EXCEPTION
    assert isinstance(state.exception, Boom)


def test_callbacks_see_the_context_of_the_run(scheduler: Scheduler) -> None:
    """
    Context variables are as they were where the run began, plus what callbacks have set.
    """
    seen: dict[str, str] = {}
    WHERE.set("in the program")

    def look(name: str) -> None:
        seen[name] = WHERE.get()

    @scheduler.on_start
    def begin() -> None:
        look("start")
        WHERE.set("in the run")
        scheduler.submit(echo, 1)

    scheduler.on_future_result.add(lambda _, __: look("result"))
    scheduler.on_empty.add(lambda: look("empty"))
    scheduler.on_finished.add(lambda: look("finished"))
    scheduler.run()
    assert seen.pop("start") == "in the program"
    assert seen == dict.fromkeys(("result", "empty", "finished"), "in the run")
    assert WHERE.get() == "in the program"
