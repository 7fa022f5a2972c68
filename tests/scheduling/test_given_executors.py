"""Executors that somebody made, and what a scheduler does with them."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import loky
import pytest

from amltk import Scheduler
from amltk.backends import Processes
from amltk.exceptions import (
    ExecutorBrokenError,
    ExecutorShutdownError,
)
from amltk.scheduling import ExitCode, ExitState, SequentialExecutor
from tests.helpers import (
    Gate,
    die,
    echo,
    keywords,
    wait_at,
)

NOTHING_TO_DO = ExitState(ExitCode.EXHAUSTED)


# An executor that somebody made.


def test_a_given_executor_is_shut_down_at_the_end() -> None:
    """
    A run takes over the executor; a second one says why it cannot and what to do.
    """
    executor = ThreadPoolExecutor(1)
    scheduler = Scheduler(executor)
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
    scheduler.run()
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(echo, 1)
    with pytest.raises(ExecutorShutdownError, match=r"shut down.*terminate=False.*with_processes"):
        scheduler.run()
    with pytest.raises(ExecutorShutdownError):
        Scheduler(executor).run()


def test_a_given_executor_can_be_kept_open() -> None:
    """
    With `terminate=False` it is there for the next run, and for whoever made it.
    """
    with ThreadPoolExecutor(1) as executor:
        scheduler = Scheduler(executor, terminate=False)
        scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
        assert [scheduler.run(), scheduler.run()] == [NOTHING_TO_DO, NOTHING_TO_DO]
        assert executor.submit(echo, 2).result() == 2


def test_a_kept_executor_goes_on_with_what_a_run_abandoned(tmp_path: Path) -> None:
    """
    With `wait=False` the futures are cancelled, and the executor is left alone.
    """
    with Gate(tmp_path / "gate") as gate, ThreadPoolExecutor(1) as executor:
        scheduler = Scheduler(executor, terminate=False)
        scheduler.on_start(limit=1)(lambda: scheduler.submit(wait_at, gate.path))
        scheduler.on_start(limit=1)(gate.hold)
        scheduler.on_start(limit=1)(scheduler.stop)
        assert scheduler.run(wait=False).code is ExitCode.STOPPED
        assert scheduler.event_counts["on_future_cancelled"] == 1
        gate.let_go()
        scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
        assert scheduler.run() == NOTHING_TO_DO


def test_a_given_executor_that_broke_says_so() -> None:
    """
    In each later submit; it cannot be opened afresh as a recipe is.
    """
    scheduler = Scheduler(ProcessPoolExecutor(1))
    scheduler.on_start.add(lambda: scheduler.submit(die))
    scheduler.on_empty(limit=2)(lambda: scheduler.submit(echo, 1))
    errors: list[BaseException] = []

    def run() -> None:
        scheduler.run(on_exception={ExecutorBrokenError: "raise", Exception: "ignore"})

    with pytest.raises(ExecutorBrokenError, match=r"broken.*recipe") as caught:
        run()
    errors.append(caught.value)
    assert scheduler.exit_state == ExitState(ExitCode.EXCEPTION, errors[0])


def test_lokys_shared_pool_is_never_shut() -> None:
    """
    It may be computing for somebody else, even when it was given to a scheduler.
    """
    shared = loky.get_reusable_executor(1)
    try:
        scheduler = Scheduler(shared)
        scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
        assert [scheduler.run(), scheduler.run(wait=False)] == [NOTHING_TO_DO, NOTHING_TO_DO]
        assert shared.submit(echo, 2).result() == 2
    finally:
        shared.shutdown(wait=True)


def test_an_executor_that_its_owner_shut_down_says_what_to_do() -> None:
    """
    The error is the same as after a run of ours.
    """
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    scheduler = Scheduler(executor)
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
    with pytest.raises(ExecutorShutdownError, match="terminate=False"):
        scheduler.run()


def test_terminate_says_nothing_of_a_recipe() -> None:
    """
    Each run opens an executor of its own, which nobody else has.
    """
    with pytest.raises(ValueError, match=r"terminate=False.*recipe"):
        Scheduler(Processes(2), terminate=False)


@pytest.mark.parametrize("nonsense", [None, 2, "processes", Processes, ThreadPoolExecutor])
def test_what_is_no_executor_is_refused(nonsense: object) -> None:
    """
    Also a class where an instance is wanted.
    """
    with pytest.raises(TypeError, match=r"neither an executor nor a recipe"):
        Scheduler(nonsense)  # type: ignore[arg-type]


def submit_and_keep_key(
    self: SequentialExecutor, fn: Any, /, *args: Any, key: str | None = None, **kwargs: Any
) -> Any:
    return SequentialExecutor.submit(self, fn, *args, **kwargs)


class KeepsKeywords(SequentialExecutor):
    """One that takes keywords for itself, as that of a cluster may."""

    submit: Any = submit_and_keep_key


def test_every_keyword_reaches_the_function(scheduler: Scheduler) -> None:
    """
    Also those named as what `submit` or an executor might want for itself.
    """
    named = {"fn": 1, "function": 2, "key": 3, "pure": 4, "self": 5, "call": 6, "owner": 7}
    task = scheduler.task(keywords)
    results: list[object] = []
    scheduler.on_start.add(lambda: scheduler.submit(keywords, 0, **named), lambda: task(0, **named))
    scheduler.on_future_result.add(lambda _, result: results.append(result))
    scheduler.run()
    assert results == [((0,), named), ((0,), named)]


def test_an_executor_keeps_no_keyword_for_itself() -> None:
    """
    What its `submit` would take for itself is meant for the function.
    """
    scheduler = Scheduler(KeepsKeywords())
    results: list[object] = []
    scheduler.on_start.add(lambda: scheduler.submit(keywords, key="mine"))
    scheduler.on_future_result.add(lambda _, result: results.append(result))
    scheduler.run()
    assert results == [((), {"key": "mine"})]
