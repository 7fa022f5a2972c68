"""When a run takes work, and that a scheduler runs again and again."""

from __future__ import annotations

import threading

import pytest

from amltk import Scheduler
from amltk.backends import Processes, Sequential, Threads
from amltk.backends.base import Backend
from amltk.exceptions import SchedulerNotRunningError, WrongThreadError
from amltk.scheduling import ExitCode, ExitState
from tests.helpers import Boom, all_accounted_for, echo, fail, in_thread

NOTHING_TO_DO = ExitState(ExitCode.EXHAUSTED)


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
    scheduler.on_start.add(lambda: refused.append(in_thread(lambda: scheduler.submit(echo, 1))))
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
