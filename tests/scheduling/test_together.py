"""A limiter, a retry, limits and a feed on one task: what holds for any script of outcomes.

A machine draws the policies and drives the executor by hand; the laws below are held against
what the jobs, the task and the feed say after every step, and in the end.
"""

from __future__ import annotations

from asyncio import Future
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from typing_extensions import TypeVar

from amltk import CallLimiter, TaskPlugin
from amltk.exceptions import (
    CpuTimeoutException,
    MemoryLimitException,
    WallTimeoutException,
    WorkerLostError,
)
from amltk.pynisher import PynisherPlugin
from amltk.pynisher.limited import Limited
from amltk.pynisher.limits import Limits
from amltk.scheduling import Call, CallFuture, ExitCode, Retry
from tests.hand_driven import HandDrivenRun, HandJob
from tests.helpers import Boom, all_accounted_for, echo

R = TypeVar("R")

WAIT = 10.0

RETRIED = (Boom, WallTimeoutException, MemoryLimitException)

EVENTS = {
    "pynisher-timeout": (WallTimeoutException, CpuTimeoutException),
    "pynisher-wall-time-limit": (WallTimeoutException,),
    "pynisher-cpu-time-limit": (CpuTimeoutException,),
    "pynisher-memory-limit": (MemoryLimitException,),
}
"""The events of limits, and what they are about."""


def twice_the_time(call: Call[R], attempt: int) -> Call[R]:
    return PynisherPlugin.with_limits(call, wall_time_limit=2.0 ** (attempt - 1))


class Plan(NamedTuple):
    """The policies, and how many items there are."""

    max_calls: int | None
    max_concurrent: int | None
    attempts: int
    max_lost: int
    waits: bool
    order: Sequence[int]
    max_pending: int
    n_items: int


plans = st.builds(
    Plan,
    max_calls=st.none() | st.integers(1, 8),
    max_concurrent=st.none() | st.integers(1, 3),
    attempts=st.integers(1, 3),
    max_lost=st.integers(0, 2),
    waits=st.booleans(),
    order=st.permutations(range(3)),
    max_pending=st.integers(1, 4),
    n_items=st.integers(0, 8),
)
which = st.integers(0, 9)


def limits_after(failures: int) -> Limits:
    """The limits of a call that has failed so often: the time is doubled, the memory stays."""
    return {"memory_limit": (1, "GB"), "cpu_time_limit": None, "wall_time_limit": 2.0**failures}


class Together(RuleBasedStateMachine):
    """Drives one run after the other, and at last works off everything."""

    def __init__(self) -> None:
        super().__init__()
        self.run = HandDrivenRun()
        self.submitted: list[object] = []
        self.ended: list[object] = []
        self.raised: Counter[tuple[object, type[BaseException]]] = Counter()
        self.errors: list[BaseException] = []
        self.by_hand = 0
        self.stopping = False
        self.ended_early: list[object] = []

    @initialize(plan=plans)
    def begin(self, plan: Plan) -> None:
        self.plan = plan
        limiter = CallLimiter(max_calls=plan.max_calls, max_concurrent=plan.max_concurrent)
        wait = WAIT if plan.waits else 0
        retry = Retry(
            plan.attempts, on=RETRIED, wait=wait, max_lost=plan.max_lost, change=twice_the_time
        )
        limits = PynisherPlugin(memory_limit=(1, "GB"), wall_time_limit=1.0)
        plugins: list[TaskPlugin] = [limiter, retry, limits]
        self.task = self.run.scheduler.task(echo, plugins=[plugins[n] for n in plan.order])
        self.items: dict[Future[int], object] = {}
        self.heard: Counter[tuple[str, BaseException]] = Counter()
        for name in EVENTS:
            self.task.emitter.on(name)(partial(self.heard_of_a_limit, name))
        self.task.on_submitted.add(self.heard_of)
        self.task.on_done.add(self.heard_the_end)
        self.task.on_cancelled.add(self.heard_the_end)
        self.feed = self.task.feed(range(plan.n_items), max_pending=plan.max_pending)
        self.begin_run(end_on_empty=False)

    def begin_run(self, *, end_on_empty: bool) -> None:
        self.run.begin(on_exception="ignore", end_on_empty=end_on_empty)

    def heard_of(self, future: Future[int], value: int) -> None:
        self.submitted.append(value)
        self.items[future] = value

    def heard_of_a_limit(self, name: str, error: BaseException) -> None:
        self.heard[name, error] += 1

    def heard_the_end(self, future: Future[int]) -> None:
        self.ended.append(self.items[future])
        if not future.cancelled() and not self.stopping:
            self.look_at(self.items[future], future.exception())

    def look_at(self, item: object, error: BaseException | None) -> None:
        if error is not None and self.attempts(item, type(error)) != self.chances(type(error)):
            self.ended_early.append(item)  # an assertion here would be a callback that failed

    def attempts(self, item: object, error: type[BaseException]) -> int:
        """How often an item has raised this, or what is counted together with it."""
        together = RETRIED if error in RETRIED else (error,)
        return sum(self.raised[item, kind] for kind in together)

    def chances(self, error: type[BaseException]) -> int:
        if error in RETRIED:
            return self.plan.attempts
        return self.plan.max_lost + 1 if error is WorkerLostError else 1

    def open_jobs(self) -> list[HandJob]:
        return [job for opened in self.run.recipe.opened for job in opened.open_jobs()]

    def is_cancelled(self, job: HandJob) -> bool:
        pending = [f for f in self.run.scheduler.queue if isinstance(f, CallFuture)]
        return not any(future.source is job.future for future in pending)

    def end_job(self, n: int, error: BaseException | None) -> None:
        if jobs := self.open_jobs():
            job = jobs[n % len(jobs)]
            if error is None:
                self.run.do(job.finish)
            else:
                self.raised[job.args[0], type(error)] += 1
                # Of a call that was cancelled meanwhile nobody hears anything.
                if not self.is_cancelled(job):
                    self.errors.append(error)
                self.run.do(lambda: job.fail(error))

    # What happens.

    @rule(n=which)
    def finish(self, n: int) -> None:
        self.end_job(n, None)

    @rule(
        n=which, error=st.sampled_from([*RETRIED, ValueError, CpuTimeoutException, WorkerLostError])
    )
    def fail(self, n: int, error: type[Exception]) -> None:
        self.end_job(n, error("by hand"))

    @rule(n=which)
    def start(self, n: int) -> None:
        if jobs := self.open_jobs():
            self.run.do(jobs[n % len(jobs)].start)

    @rule(n=which)
    def cancel(self, n: int) -> None:
        if futures := self.task.futures():
            self.run.do(futures[n % len(futures)].cancel)

    @rule()
    def call(self) -> None:
        self.by_hand -= 1
        number = self.by_hand
        self.run.do(lambda: self.task(number))

    @rule()
    def wait(self) -> None:
        self.run.loop.advance(WAIT)
        self.run.loop.run_until_idle()

    @rule()
    def stop_and_run_again(self) -> None:
        self.stopping = True
        self.run.do(self.run.scheduler.stop)
        for job in self.open_jobs():
            self.run.do(job.finish)
        assert self.run.running.result().code is ExitCode.STOPPED
        assert not self.task.running()
        self.stopping = False
        self.begin_run(end_on_empty=False)

    # What holds after each step.

    @invariant()
    def limits_hold(self) -> None:
        assert self.task.n_running <= (self.plan.max_concurrent or self.task.n_running)
        assert len(self.submitted) <= (self.plan.max_calls or len(self.submitted))

    @invariant()
    def none_runs_twice_at_once(self) -> None:
        running = Counter(job.args[0] for job in self.open_jobs())
        assert max(running.values(), default=0) <= 1

    @invariant()
    def none_is_attempted_too_often(self) -> None:
        for item, error in self.raised:
            assert self.attempts(item, error) <= self.chances(error)

    @invariant()
    def none_ends_before_it_has_had_its_chances(self) -> None:
        assert self.ended_early == []

    @invariant()
    def each_limit_that_was_reached_was_heard_of_once(self) -> None:
        expected = Counter(
            (name, error)
            for error in self.errors
            for name, kinds in EVENTS.items()
            if isinstance(error, kinds)
        )
        assert self.heard == expected

    @invariant()
    def each_call_carries_its_limits(self) -> None:
        for job in self.open_jobs():
            assert isinstance(job.function, Limited)
            assert job.function.function is echo
            charged = self.attempts(job.args[0], Boom)
            assert job.function.limits == limits_after(charged)

    @invariant()
    def every_call_is_pending_or_has_ended_once(self) -> None:
        pending = [self.items[future] for future in self.task.futures()]
        assert sorted(map(str, pending + self.ended)) == sorted(map(str, self.submitted))
        assert len(self.run.scheduler.queue) == self.task.n_running

    @invariant()
    def as_many_are_in_flight_as_can_be(self) -> None:
        used = len(self.submitted) >= (self.plan.max_calls or len(self.submitted) + 1)
        if self.feed.n_submitted < self.plan.n_items and not used:
            most = min(self.plan.max_pending, self.plan.max_concurrent or self.plan.max_pending)
            assert self.task.n_running >= most

    # What holds in the end.

    def teardown(self) -> None:
        if not hasattr(self, "plan"):  # it never began
            self.run.loop.close()
            return
        self.stopping = True
        self.run.do(self.run.scheduler.stop)
        self.work_off()
        self.begin_run(end_on_empty=True)
        self.work_off()
        assert self.run.running.result().code is ExitCode.EXHAUSTED
        assert all_accounted_for(self.run.scheduler)
        self.every_call_is_pending_or_has_ended_once()
        self.nothing_of_the_iterator_is_lost()
        assert self.run.loop.complaints == []
        self.run.loop.close()

    def work_off(self) -> None:
        while jobs := self.open_jobs():
            self.run.do(jobs[0].finish)
        assert self.run.running.done(), "it does not end"

    def nothing_of_the_iterator_is_lost(self) -> None:
        """
        Submitted + rest = items, in their order; and there is a rest only if calls were used up.
        """
        fed: list[Any] = [item for item in self.submitted if isinstance(item, int) and item >= 0]
        rest = list(self.feed)
        assert fed + rest == list(range(self.plan.n_items))
        assert not rest or len(self.submitted) == self.plan.max_calls


TestTogether = Together.TestCase
TestTogether.settings = settings(max_examples=300, stateful_step_count=20)
