"""`CallLimiter`: what it lets through, and what it says when it does not."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeVar, override

from amltk import CallLimiter, Scheduler, Task, TaskPlugin
from amltk.scheduling import Call
from tests.hand_driven import HandDrivenRun, hand_driven

R = TypeVar("R")


def double(x: int) -> int:
    return 2 * x


@pytest.mark.parametrize("name", ["max_calls", "max_concurrent"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_that_refuses_everything_is_refused(name: str, value: int) -> None:
    """
    The error names the limit and its value.
    """
    options: Any = {name: value}
    with pytest.raises(ValueError, match=f"{name}={value}"):
        CallLimiter(**options)


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_calls", True), ("max_calls", 1.5), ("max_concurrent", "2"), ("not_while_running", [1])],
)
def test_a_limit_of_the_wrong_type_is_refused(option: str, value: object) -> None:
    """
    Where it is made, and not when the first call comes.
    """
    options: Any = {option: value}
    with pytest.raises(TypeError, match=option):
        CallLimiter(**options)


def test_a_limiter_prints_its_limits() -> None:
    """
    Those that there are.
    """
    task = Scheduler.with_sequential().task(double)
    assert repr(CallLimiter(max_calls=2)) == "CallLimiter(max_calls=2)"
    limiter = CallLimiter(max_concurrent=1, not_while_running=task)
    assert repr(limiter) == "CallLimiter(max_concurrent=1, not_while_running=['double'])"


def test_a_copied_limiter_has_the_limits_and_not_the_counts() -> None:
    """
    All settings are copied, and nothing that was counted.
    """
    other = Scheduler.with_sequential().task(double)
    limiter = CallLimiter(max_calls=1, max_concurrent=2, not_while_running=[other])
    limiter.n_calls = 1
    copy = limiter.copy()
    assert (copy.max_calls, copy.max_concurrent, copy.n_calls) == (1, 2, 0)
    assert copy.not_while_running == (other,)


def power(base: int, exponent: int) -> int:
    return int(base**exponent)


LIMIT_EVENTS = (
    CallLimiter.CALL_LIMIT_REACHED,
    CallLimiter.CONCURRENT_LIMIT_REACHED,
    CallLimiter.DISABLED_DUE_TO_RUNNING_TASK,
)


class Watched:
    """A limited task and one that it must not run beside of, with all that is heard of them."""

    def __init__(self, run: HandDrivenRun, max_calls: int | None, max_concurrent: int | None):
        self.run = run
        self.other = run.scheduler.task(abs)
        self.limiter = CallLimiter(
            max_calls=max_calls, max_concurrent=max_concurrent, not_while_running=self.other
        )
        self.task = run.scheduler.task(double, plugins=self.limiter)
        self.refused: list[tuple[object, ...]] = []
        self.n_submitted = 0
        run.scheduler.on_future_submitted(self.look)
        self.task.on_submitted(self.count)
        for event in LIMIT_EVENTS:
            self.task.on(event)(self.reason_holds(event.name))

    def count(self, *_: object, **__: object) -> None:
        self.n_submitted += 1

    def look(self, future: Future[Any]) -> None:
        if future in self.task.futures() and future is self.task.futures()[-1]:
            assert not self.other.running()
        self.limits_hold()

    def limits_hold(self) -> None:
        assert self.task.n_running <= (self.limiter.max_concurrent or self.task.n_running)
        assert self.n_submitted <= (self.limiter.max_calls or self.n_submitted)

    def reason_holds(self, name: str) -> Callable[..., None]:
        def refused(task: object, x: int) -> None:
            assert task is self.task
            reached = {
                "call-limit-reached": self.limiter.n_calls == self.limiter.max_calls,
                "concurrent-limit-reached": self.task.n_running == self.limiter.max_concurrent,
                "disabled-due-to-running-task": self.other.running(),
            }
            assert reached[name], name
            self.refused.append((name, x))

        return refused

    def call_again(self, *_: object, **__: object) -> None:
        self.call()

    def call(self, x: int = 0) -> None:
        before = len(self.refused)
        if self.task(x) is None:
            assert [x for _, x in self.refused[before:]][:1] == [x], "refused without a word"


SUBMITTERS: dict[str, Callable[[Watched], Any]] = {
    "on_future_submitted": lambda w: w.run.scheduler.on_future_submitted,
    "on_submitted": lambda w: w.task.on_submitted,
    "on_result": lambda w: w.task.on_result,
    "on_done": lambda w: w.task.on_done,
    "on_cancelled": lambda w: w.task.on_cancelled,
    "on_future_result": lambda w: w.run.scheduler.on_future_result,
    "concurrent-limit-reached": lambda w: w.task.on("concurrent-limit-reached"),
    "other submitted": lambda w: w.other.on_submitted,
}

steps = st.tuples(
    st.sampled_from(["call", "call", "other", "finish", "fail", "cancel"]), st.integers(0, 9)
)


def take(watched: Watched, step: str, which: int) -> None:
    run = watched.run
    open_jobs = run.executor.open_jobs()
    if step == "call":
        run.do(lambda: watched.call(which))
    elif step == "other":
        run.do(lambda: watched.other(which))
    elif step == "cancel" and watched.task.running():
        futures = watched.task.futures()
        run.do(futures[which % len(futures)].cancel)
    elif step in {"finish", "fail"} and open_jobs:
        job = open_jobs[which % len(open_jobs)]
        run.do(job.finish if step == "finish" else lambda: job.fail(ValueError()))


limits = st.none() | st.integers(1, 4)


@given(
    max_calls=limits,
    max_concurrent=limits,
    again=st.lists(st.tuples(st.sampled_from(sorted(SUBMITTERS)), st.integers(1, 3)), max_size=4),
    script=st.lists(steps, max_size=15),
)
def test_limits_hold(
    max_calls: int | None,
    max_concurrent: int | None,
    again: list[tuple[str, int]],
    script: list[tuple[str, int]],
) -> None:
    """
    For every script of calls, outcomes and callbacks that call again, at most `max_concurrent` calls
    are pending and at most `max_calls` submitted, none beside the other task; and whatever is refused
    is refused for a reason that holds, in an event that passes the task and the arguments.
    """
    with hand_driven() as run:
        watched = Watched(run, max_calls, max_concurrent)
        for where, limit in again:
            SUBMITTERS[where](watched)(watched.call_again, limit=limit)
        run.begin(end_on_empty=False, on_exception={ValueError: "ignore"})
        for step, which in script:
            take(watched, step, which)
            watched.limits_hold()
        run.end()
        assert watched.n_submitted == watched.limiter.n_calls


def test_the_events_pass_the_task_and_every_argument() -> None:
    """
    First the task whose call was refused, not the other one, then the arguments as they were.
    """
    heard: list[object] = []
    with hand_driven() as run:
        other = run.scheduler.task(abs)
        task = run.scheduler.task(power, plugins=CallLimiter(not_while_running=other))

        @task.on("disabled-due-to-running-task")
        def hear(*args: object, **kwargs: object) -> None:
            heard.append((args, kwargs))

        run.begin(end_on_empty=False)
        run.do(lambda: other(-1))
        assert run.do(lambda: task(2, exponent=3)) is None
        run.end()
    assert heard == [((task, 2), {"exponent": 3})]


def test_a_task_can_be_kept_from_running_beside_any_of_several() -> None:
    """
    `not_while_running` takes one task or several.
    """
    with hand_driven() as run:
        others = [run.scheduler.task(double), run.scheduler.task(double)]
        task = run.scheduler.task(double, plugins=CallLimiter(not_while_running=others))
        run.begin(end_on_empty=False)
        run.do(lambda: others[1](-1))
        assert run.do(lambda: task(1)) is None
        run.do(run.executor.jobs[0].finish)
        assert run.do(lambda: task(1)) is not None
        run.end()


class CallsAgain(TaskPlugin):
    """While it is asked about the first call, it makes another one."""

    name = "calls-again"
    asked = 0

    @override
    def pre_submit(self, call: Call[R], /) -> Call[R]:
        self.asked += 1
        if self.asked == 1:
            self.task(2)
        return call

    @override
    def copy(self) -> Self:
        return type(self)()


@pytest.mark.parametrize("limit", ["max_concurrent", "max_calls"])
def test_a_call_on_its_way_counts_already(limit: str) -> None:
    """
    A limit of 1 holds also for a call that is made while a later plugin looks at the first one.
    """
    options: Any = {limit: 1}
    with hand_driven() as run:
        plugins = [CallLimiter(**options), CallsAgain()]
        task = run.scheduler.task(double, plugins=plugins)
        run.begin(end_on_empty=False)
        run.do(lambda: task(1))
        assert len(run.executor.jobs) == 1
        run.end()


def test_a_job_that_calls_its_own_task_meets_the_limit() -> None:
    """
    Where a job runs while it is submitted, it counts as running all the same.
    """
    scheduler = Scheduler.with_sequential()
    refused: list[int] = []

    def countdown(n: int) -> int:
        if n:
            task(n - 1)
        return n

    task = scheduler.task(countdown, plugins=CallLimiter(max_concurrent=1))
    task.on("concurrent-limit-reached").add(lambda _, n: refused.append(n))
    scheduler.on_start(lambda: task(3))
    scheduler.run()
    assert refused == [2]


def test_a_call_that_was_submitted_counts_whatever_comes_after() -> None:
    """
    `KeyboardInterrupt` out of `on_submitted` ends the run; the call has been submitted nevertheless.
    """
    scheduler = Scheduler.with_sequential()
    limiter = CallLimiter(max_calls=1)
    task = scheduler.task(double, plugins=limiter)
    scheduler.on_start(lambda: task(1))

    @task.on_submitted(limit=1)
    def leave(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scheduler.run()
    scheduler.run()
    assert limiter.n_calls == task.event_counts[Task.SUBMITTED] == 1


def test_limits_count_over_several_runs() -> None:
    """
    `max_calls` is for ever, not for one run.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(double, plugins=CallLimiter(max_calls=3))
    scheduler.on_start(lambda: task(1), repeat=2)
    scheduler.run()
    scheduler.run()
    assert task.event_counts[Task.SUBMITTED] == 3
    assert task.event_counts["call-limit-reached"] == 1
