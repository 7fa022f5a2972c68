"""What becomes of a run when a call or a callback fails: S16's policies, one event at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from amltk import Scheduler
from amltk.backends.base import Backend
from amltk.scheduling import ExitCode, ExitState
from amltk.scheduling.lifecycle import ExceptionPolicy, Policy
from tests.helpers import (
    EVENTS,
    Boom,
    all_accounted_for,
    die_at,
    echo,
    fail,
    fail_twice,
    leave,
    pid,
    story_of,
)

POLICIES: tuple[Policy, ...] = ("raise", "end", "ignore")


class Oops(Exception):
    """Raised by callbacks, to be told from what calls raise."""


def raise_oops(*_: object) -> None:
    raise Oops


def run_in_which_everything_happens(
    scheduler: Scheduler, on_exception: ExceptionPolicy
) -> ExitState:
    """A call returns, one fails, one is cancelled; then a stop; then a run that times out."""

    @scheduler.on_start(limit=1)
    def submit() -> None:
        scheduler.submit(fail)
        scheduler.submit(echo, 1).cancel()
        scheduler.submit(echo, 2)

    scheduler.on_empty(limit=1)(scheduler.stop)
    state = scheduler.run(on_exception=on_exception)
    if state.code is not ExitCode.STOPPED:
        return state
    return scheduler.run(timeout=0, end_on_empty=False, on_exception=on_exception)


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_a_callback_that_raises_is_raised_from_run(event: str) -> None:
    """
    With `raise`, the default, whatever event it was on, after the run has ended in order.
    """
    scheduler = Scheduler.with_threads(1)
    story = story_of(scheduler)
    scheduler.emitter.on(str(event))(raise_oops)
    with pytest.raises(Oops):
        run_in_which_everything_happens(scheduler, {Boom: "ignore", Oops: "raise"})
    assert story[-1] == "on_finished"
    assert all_accounted_for(scheduler)
    assert scheduler.exit_state is not None
    assert scheduler.exit_state.code is ExitCode.EXCEPTION


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_a_callback_that_raises_ends_the_run(event: str) -> None:
    """
    With `end` it is in the `ExitState`, whatever event it was on.
    """
    scheduler = Scheduler.with_threads(1)
    story = story_of(scheduler)
    scheduler.emitter.on(str(event))(raise_oops)
    state = run_in_which_everything_happens(scheduler, {Boom: "ignore", Oops: "end"})
    assert state.code is ExitCode.EXCEPTION
    assert isinstance(state.exception, Oops)
    assert story[-1] == "on_finished"
    assert all_accounted_for(scheduler)


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_a_callback_that_raises_is_ignored_and_logged(
    event: str, caplog: pytest.LogCaptureFixture
) -> None:
    """
    With `ignore` the run goes on as if nothing had been; each failure is logged once.
    """
    scheduler = Scheduler.with_threads(1)
    scheduler.emitter.on(str(event))(raise_oops)
    state = run_in_which_everything_happens(scheduler, "ignore")
    assert state.code is ExitCode.TIMEOUT
    assert all_accounted_for(scheduler)
    logged = [r for r in caplog.records if "Oops" in r.getMessage()]
    assert len(logged) == scheduler.event_counts[event] > 0
    assert all(r.exc_info is not None for r in logged)


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_a_callback_that_raises_silences_nobody(event: str) -> None:
    """
    Those that are registered after it hear of the event all the same.
    """
    scheduler = Scheduler.with_threads(1)
    scheduler.emitter.on(str(event))(raise_oops)
    heard: list[object] = []
    scheduler.emitter.on(str(event))(lambda *_: heard.append(event))
    run_in_which_everything_happens(scheduler, "ignore")
    assert len(heard) == scheduler.event_counts[event]


# A call that fails.


def test_a_failed_call_is_raised_from_run(scheduler: Scheduler) -> None:
    """
    By default, and the run ends with all its events first.
    """
    story = story_of(scheduler)
    scheduler.on_start.add(lambda: scheduler.submit(fail, "why"))
    with pytest.raises(Boom, match="why"):
        scheduler.run()
    assert story[-3:] == ["on_stop", "on_finishing", "on_finished"]
    assert all_accounted_for(scheduler)


def test_a_failed_call_ends_the_run(scheduler: Scheduler) -> None:
    """
    With `end` the exception is in the `ExitState`.
    """
    scheduler.on_start.add(lambda: scheduler.submit(fail, "why"))
    state = scheduler.run(on_exception="end")
    assert state.code is ExitCode.EXCEPTION
    assert isinstance(state.exception, Boom)


def test_a_failed_call_is_ignored_and_logged(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    """
    With `ignore` the run goes on, and the failure is logged once, with its traceback.
    """
    scheduler.on_start.add(lambda: scheduler.submit(fail, "why"), lambda: scheduler.submit(echo, 1))
    assert scheduler.run(on_exception="ignore") == ExitState(ExitCode.EXHAUSTED)
    assert scheduler.event_counts["on_future_result"] == 1
    assert [(r.name, r.levelno) for r in caplog.records] == [("amltk", logging.ERROR)]
    assert caplog.records[0].exc_info is not None


def test_a_call_that_leaves_the_program_has_failed(scheduler: Scheduler) -> None:
    """
    `sys.exit()` in a call leaves neither the program nor a run that ignores failures.
    """
    errors: list[BaseException] = []
    scheduler.on_start.add(lambda: scheduler.submit(leave, 3))
    scheduler.on_future_exception.add(lambda _, error: errors.append(error))
    scheduler.on_empty(limit=1)(lambda: scheduler.submit(echo, 1))
    assert scheduler.run(on_exception="ignore") == ExitState(ExitCode.EXHAUSTED)
    assert [type(e) for e in errors] == [SystemExit]
    assert scheduler.event_counts["on_future_result"] == 1


# Policies by type.


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({Boom: "ignore"}, ExitCode.EXHAUSTED),
        ({Exception: "end", Boom: "ignore"}, ExitCode.EXHAUSTED),
        ({Exception: "ignore", Boom: "end"}, ExitCode.EXCEPTION),
        ({Boom: "ignore", Exception: "end"}, ExitCode.EXHAUSTED),
    ],
)
def test_the_most_specific_type_decides(policy: ExceptionPolicy, code: ExitCode) -> None:
    """
    In whatever order a mapping is written.
    """
    scheduler = Scheduler.with_sequential()
    scheduler.on_start.add(lambda: scheduler.submit(fail))
    assert scheduler.run(on_exception=policy).code is code


def test_a_type_that_no_policy_mentions_is_raised() -> None:
    """
    A mapping excuses what it names and nothing else.
    """
    scheduler = Scheduler.with_sequential()
    scheduler.on_start.add(lambda: scheduler.submit(fail))
    with pytest.raises(Boom):
        scheduler.run(on_exception={ValueError: "ignore"})


def test_several_callbacks_that_fail_are_raised_together() -> None:
    """
    As a group, judged by the hardest of the policies.
    """
    scheduler = Scheduler.with_sequential()
    scheduler.on_start.add(raise_oops, lambda: fail("too"))
    with pytest.raises(ExceptionGroup) as caught:
        scheduler.run(on_exception={Oops: "ignore", Boom: "raise"})
    assert [type(e) for e in caught.value.exceptions] == [Oops, Boom]


@pytest.mark.parametrize("leaves", [KeyboardInterrupt, SystemExit])
def test_a_callback_may_leave_the_program(parallel: Backend, leaves: type[BaseException]) -> None:
    """
    `KeyboardInterrupt` and `SystemExit` of a callback end the run whatever the policy.
    """
    scheduler = Scheduler(parallel)
    story = story_of(scheduler)

    def leave_now() -> None:
        raise leaves

    scheduler.on_start.add(lambda: scheduler.submit(echo, 1), leave_now)
    with pytest.raises(leaves):
        scheduler.run(on_exception="ignore")
    assert story[-1] == "on_finished"
    assert all_accounted_for(scheduler)


# A worker that dies.


def test_a_worker_that_dies_costs_what_it_held(processes: Backend) -> None:
    """
    One of 100 calls has its worker killed: the run goes on, and takes new work after it.
    """
    scheduler = Scheduler(processes)
    results: list[int] = []
    errors: list[BaseException] = []

    @scheduler.on_start
    def submit_all() -> None:
        for n in range(100):
            scheduler.submit(die_at, 50, n)

    scheduler.on_future_result.add(lambda _, result: results.append(result))
    scheduler.on_future_exception.add(lambda _, error: errors.append(error))
    scheduler.on_empty(limit=1)(lambda: scheduler.submit(echo, 1000))
    assert scheduler.run(on_exception="ignore") == ExitState(ExitCode.EXHAUSTED)
    assert 1 <= len(errors) <= most_that_are_lost(processes)
    assert len(results) + len(errors) == 101
    assert 50 not in results
    assert 1000 in results
    assert all_accounted_for(scheduler)


def most_that_are_lost(processes: Backend) -> int:
    return 2 if type(processes).__name__ == "Loky" else 1


def test_workers_that_all_die_cost_their_own_calls(processes: Backend) -> None:
    """
    Ten deaths in a row end as ten exceptions and not as a broken scheduler.
    """
    scheduler = Scheduler(processes)

    @scheduler.on_start
    def submit_all() -> None:
        for _ in range(10):
            scheduler.submit(die_at, 0, 0)

    pids: set[int] = set()
    scheduler.on_empty(limit=1)(lambda: scheduler.submit(pid))
    scheduler.on_future_result.add(lambda _, result: pids.add(result))
    assert scheduler.run(on_exception="ignore") == ExitState(ExitCode.EXHAUSTED)
    assert scheduler.event_counts["on_future_exception"] == 10
    assert len(pids) == 1


def test_the_error_of_a_dead_worker_says_what_was_lost(processes: Backend) -> None:
    """
    It says that the worker died, how, and that the run can go on.
    """
    scheduler = Scheduler(processes)
    scheduler.on_start.add(lambda: scheduler.submit(die_at, 0, 0))
    state = scheduler.run(on_exception="end")
    assert state.code is ExitCode.EXCEPTION
    assert "SIGKILL" in str(state.exception) or "Loky" in str(processes)  # which may not see it


@pytest.mark.parametrize("policy", POLICIES)
def test_a_task_hears_of_its_failures_under_each_policy(
    scheduler: Scheduler, policy: Policy
) -> None:
    """
    `on_exception` of a task is emitted before the policy ends anything.
    """
    task = scheduler.task(fail)
    heard: list[str] = []
    task.on_exception.add(lambda _, error: heard.append(str(error)))
    scheduler.on_start.add(lambda: task("mine"))
    run: Callable[[], Any] = lambda: scheduler.run(on_exception=policy)  # noqa: E731
    if policy == "raise":
        with pytest.raises(Boom):
            run()
    else:
        run()
    assert heard == ["mine"]


def test_a_mapping_may_name_groups(scheduler: Scheduler) -> None:
    """
    A group is judged by its members, unless the mapping speaks of groups.
    """
    scheduler.on_start.add(lambda: scheduler.submit(fail_twice))
    with pytest.raises(ExceptionGroup):
        scheduler.run(on_exception={Boom: "raise", Exception: "ignore"})
    ended = scheduler.run(on_exception={ExceptionGroup: "ignore", Boom: "raise"})
    assert ended.code is ExitCode.EXHAUSTED
