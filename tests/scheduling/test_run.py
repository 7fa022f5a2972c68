"""The life of a run, from its first event to its last, on every backend."""

from __future__ import annotations

import asyncio
import threading
from asyncio import Future
from pathlib import Path
from typing import Any

import pytest

from amltk import Scheduler
from amltk.backends import Processes, Sequential, Threads
from amltk.backends.base import Backend
from amltk.exceptions import SchedulerNotRunningError, WrongThreadError
from amltk.scheduling import ExitCode, ExitState
from tests.helpers import Boom, Gate, all_accounted_for, echo, fail, in_thread, story_of, wait_at

NOTHING_TO_DO = ExitState(ExitCode.EXHAUSTED)


# The order of events.


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
    task.on_result.add(lambda *_: story.append("task.result"))
    task.on_done.add(lambda _: story.append("task.done"))
    task.on_submitted.add(lambda *_: story.append("task.submitted"))
    scheduler.on_future_submitted.add(lambda _: story.append("submitted"))
    scheduler.on_future_done.add(lambda _: story.append("done"))
    scheduler.on_future_result.add(lambda *_: story.append("result"))
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
        loop.time = lambda: later  # type: ignore[method-assign]  # a clock that jumps

    scheduler.on_timeout.add(
        lambda: before_timeout.append(scheduler.on_future_result.event_count)
    )
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


# Again and again.


def test_a_scheduler_runs_as_often_as_one_likes(scheduler: Scheduler) -> None:
    """
    Each run opens its backend afresh; counts go on.
    """
    results: list[int] = []
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
    scheduler.on_future_result.add(lambda _, result: results.append(result))
    assert [scheduler.run(), scheduler.run()] == [NOTHING_TO_DO, NOTHING_TO_DO]
    assert results == [1, 1]
    assert scheduler.event_counts["on_start"] == 2


def test_a_scheduler_runs_again_after_one_that_failed(scheduler: Scheduler) -> None:
    """
    Nothing of a run that raised is in the way of the next one.
    """
    scheduler.on_start(limit=1)(lambda: scheduler.submit(fail))
    with pytest.raises(Boom):
        scheduler.run()
    assert scheduler.run() == NOTHING_TO_DO


# When work may be submitted.


def test_work_is_refused_before_and_after_a_run(scheduler: Scheduler) -> None:
    """
    Without a run there is nobody to take work, and the error says how to submit.
    """
    for _ in ("before", "after"):
        with pytest.raises(SchedulerNotRunningError, match=r"echo.*on_start"):
            scheduler.submit(echo, 1)
        scheduler.run()


def test_work_is_refused_when_a_run_is_over(scheduler: Scheduler) -> None:
    """
    `on_finished` cannot submit any more, and that it tries is no failure of the run.
    """
    refused: list[BaseException] = []

    @scheduler.on_finished
    def too_late() -> None:
        with pytest.raises(SchedulerNotRunningError, match="closing") as caught:
            scheduler.submit(echo, 1)
        refused.append(caught.value)

    assert scheduler.run() == NOTHING_TO_DO
    assert len(refused) == 1


def test_a_chain_without_an_end_ends_with_its_run(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Each result submits the next call for ever: the last refusal is the natural end of it.
    """
    task = scheduler.task(echo)
    scheduler.on_start.add(lambda: task(1))
    task.on_result.add(lambda _, result: task(result))
    task.on_result(every=20)(scheduler.stop)
    assert scheduler.run().code is ExitCode.STOPPED
    assert all_accounted_for(scheduler)
    assert not caplog.records


def test_work_is_refused_from_another_thread(scheduler: Scheduler) -> None:
    """
    `submit` belongs to the thread of the run.
    """
    refused: list[BaseException | None] = []
    scheduler.on_start.add(
        lambda: refused.append(in_thread(lambda: scheduler.submit(echo, 1)))
    )
    assert scheduler.run() == NOTHING_TO_DO
    assert isinstance(refused[0], WrongThreadError)
    assert "thread" in str(refused[0])
    assert "call_soon_threadsafe" in str(refused[0])


def test_stop_may_come_from_another_thread(scheduler: Scheduler) -> None:
    """
    A run that waits is ended by a thread that calls `stop()`.
    """
    scheduler.on_start.add(threading.Thread(target=scheduler.stop).start)
    assert scheduler.run(end_on_empty=False) == ExitState(ExitCode.STOPPED)


def test_a_long_chain_needs_no_deep_stack() -> None:
    """
    A hundred thousand calls, each submitted by the result of the one before.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)
    scheduler.on_start.add(lambda: task(100_000))
    task.on_result(limit=100_000)(lambda _, left: task(left - 1))
    results: list[int] = []
    task.on_result(every=100_001)(lambda _, left: results.append(left))
    assert scheduler.run() == NOTHING_TO_DO
    assert results == [0]


@pytest.mark.parametrize("recipe", [Processes(2), Threads(2), Sequential()], ids=repr)
def test_a_run_knows_what_is_pending(recipe: Backend) -> None:
    """
    `queue`, `empty` and `running` say what a run has in hand, and nothing without one.
    """
    scheduler = Scheduler(recipe)
    seen: list[tuple[bool, bool, list[str]]] = []

    def look(*_: object) -> None:
        queue = [repr(call) for call in scheduler.queue.values()]
        seen.append((scheduler.running(), scheduler.empty(), queue))

    scheduler.on_start.add(lambda: scheduler.submit(echo, 7), look)
    scheduler.on_finished.add(look)
    scheduler.run()
    look()
    assert seen == [(True, False, ["echo(7)"]), (False, True, []), (False, True, [])]
