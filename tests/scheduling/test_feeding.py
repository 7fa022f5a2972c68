"""`Task.feed`: calls are kept in flight from an iterator, and nothing of it is lost."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typing_extensions import TypeVar, override

from amltk import CallLimiter, Scheduler, TaskPlugin
from amltk.exceptions import WrongThreadError
from amltk.scheduling import Call, ExitCode, Feed, Retry
from amltk.types import Requeue
from tests.hand_driven import HandDrivenRun, hand_driven
from tests.helpers import Boom, all_accounted_for, echo, fail, in_thread, program

R = TypeVar("R")


class Counted(Iterator[int]):
    """The numbers from 0 on, and how many of them were asked for."""

    def __init__(self) -> None:
        self.n = 0

    @override
    def __next__(self) -> int:
        self.n += 1
        return self.n - 1


def jobs_of(run: HandDrivenRun) -> list[object]:
    return [job.args[0] for job in run.executor.jobs]


# On every backend.


def test_every_item_is_computed(scheduler: Scheduler) -> None:
    """
    Each is the argument of one call, and never are more than `max_pending` pending.
    """
    task = scheduler.task(echo)
    results: list[int] = []
    pending: list[int] = []
    task.on_result.add(lambda _, result: results.append(result))

    @task.on_submitted
    def look(_: object, value: int) -> None:
        pending.append(task.n_running)

    feed = task.feed(range(20), max_pending=3)
    assert scheduler.run().code is ExitCode.EXHAUSTED
    assert sorted(results) == list(range(20))
    assert max(pending) == 3
    assert feed.n_submitted == 20
    assert list(feed) == []


def test_what_was_not_submitted_stays_there(scheduler: Scheduler) -> None:
    """
    A run that is stopped leaves the rest, in its order, and the next run goes on with it.
    """
    task = scheduler.task(echo)
    results: list[int] = []
    task.on_result.add(lambda _, result: results.append(result))
    task.on_result(scheduler.stop, limit=1, every=5)
    feed = task.feed(iter(range(20)), max_pending=2)
    assert scheduler.run().code is ExitCode.STOPPED
    assert sorted(results) == list(range(feed.n_submitted))
    assert 5 <= feed.n_submitted < 10
    assert scheduler.run().code is ExitCode.EXHAUSTED
    assert sorted(results) == list(range(20))


def test_it_goes_on_in_the_next_run(scheduler: Scheduler) -> None:
    """
    The rest can be had in between: the feed is an iterator of it.
    """
    task = scheduler.task(echo)
    task.on_submitted(scheduler.stop)
    feed = task.feed(range(6), max_pending=1)
    scheduler.run()
    assert next(feed) == 1
    scheduler.run()
    assert list(feed) == [3, 4, 5]


def test_it_plays_with_limiter_and_retry(scheduler: Scheduler) -> None:
    """
    What the limiter refuses is tried again, what fails is attempted again, nothing is lost.
    """
    task = scheduler.task(fail, plugins=[CallLimiter(max_concurrent=2), Retry(attempts=2)])
    failed: list[str] = []
    task.on_exception.add(lambda _, error: failed.append(str(error)))
    feed = task.feed(iter("abcdefgh"), max_pending=4)
    assert scheduler.run(on_exception="ignore").code is ExitCode.EXHAUSTED
    assert sorted(failed) == list("abcdefgh")
    assert task.event_counts["retry"] == 8
    assert task.event_counts["concurrent-limit-reached"] > 0
    assert list(feed) == []
    assert all_accounted_for(scheduler)


# By hand.


@pytest.mark.parametrize("how", ["finish", "fail", "cancel"])
def test_it_refills_when_something_lands(how: str) -> None:
    """
    It reads one item for each call that ended, whichever way, and no earlier.
    """
    with hand_driven() as run:
        task = run.scheduler.task(echo)
        numbers = Counted()
        task.feed(numbers, max_pending=2)
        assert numbers.n == 0
        run.begin(on_exception="ignore")
        assert numbers.n == 2
        job = run.executor.jobs[0]
        if how == "cancel":
            run.do(task.futures()[0].cancel)
        else:
            run.do(job.finish if how == "finish" else lambda: job.fail(Boom()))
        assert numbers.n == 3
        assert jobs_of(run) == [0, 1, 2]
        run.end()
        assert numbers.n == 3


def test_it_refills_when_everybody_was_told() -> None:
    """
    So what a generator gives next may depend on what the callbacks have learned.
    """
    learned: list[object] = []

    def ask() -> Iterator[int]:
        while True:
            yield len(learned)

    with hand_driven() as run:
        task = run.scheduler.task(echo)
        task.feed(ask(), max_pending=1)
        task.on_result.add(lambda _, result: learned.append(result))
        run.begin()
        run.do(run.executor.jobs[0].finish)
        run.do(run.executor.jobs[1].finish)
        assert jobs_of(run) == [0, 1, 2]
        run.end()


def test_in_a_run_it_begins_at_once() -> None:
    """
    A feed that a callback makes submits right there.
    """
    with hand_driven() as run:
        task = run.scheduler.task(echo)
        run.scheduler.on_start.add(lambda: task.feed(range(9), max_pending=3))
        run.begin()
        assert jobs_of(run) == [0, 1, 2]
        run.end()


def test_pending_are_all_calls_of_the_task() -> None:
    """
    Those that somebody made by hand take the places of items.
    """
    with hand_driven() as run:
        task = run.scheduler.task(echo)
        run.scheduler.on_start.add(lambda: task(100))
        task.feed(range(9), max_pending=2)
        run.begin()
        assert jobs_of(run) == [100, 0]
        run.end()


def test_an_item_is_one_argument() -> None:
    """
    A tuple is not taken apart, and neither is a call.
    """
    items: list[object] = [(1, 2), {"x": 1}, Call.of(echo, 3)]
    with hand_driven() as run:
        task = run.scheduler.task(repr)
        task.feed(items, max_pending=9)
        run.begin()
        assert [job.args for job in run.executor.jobs] == [(item,) for item in items]
        run.end()


def test_a_refused_item_comes_first_the_next_time() -> None:
    """
    Any outcome of the scheduler is a reason to try again, one of another task, too.
    """
    with hand_driven() as run:
        other = run.scheduler.task(abs)
        task = run.scheduler.task(echo, plugins=CallLimiter(not_while_running=other))
        run.scheduler.on_start.add(lambda: other(-1))
        feed = task.feed(range(3), max_pending=9)
        run.begin()
        assert jobs_of(run) == [-1]
        assert feed.n_submitted == 0
        run.do(run.executor.jobs[0].finish)
        assert jobs_of(run) == [-1, 0, 1, 2]
        run.end()


def test_what_is_refused_for_ever_stays_there() -> None:
    """
    With a limit on all calls, the run ends when these are done, and the rest is in the feed.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo, plugins=CallLimiter(max_calls=3))
    feed = task.feed(count(), max_pending=2)
    assert scheduler.run().code is ExitCode.EXHAUSTED
    assert list(islice(feed, 3)) == [3, 4, 5]


class Fails(TaskPlugin):
    """Raises instead of deciding about the second call."""

    name = "fails"
    asked = 0

    @override
    def pre_submit(self, call: Call[R], /) -> Call[R]:
        self.asked += 1
        if self.asked == 2:
            raise Boom
        return call

    @override
    def copy(self) -> Self:
        return type(self)()


def test_a_plugin_that_raises_loses_no_item() -> None:
    """
    It is a callback that failed; the item it was asked about is tried again.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo, plugins=Fails())
    results: list[int] = []
    task.on_result.add(lambda _, result: results.append(result))
    task.feed(range(3), max_pending=2)
    scheduler.run(on_exception="ignore")
    assert results == [0, 1, 2]


def test_an_interrupt_after_an_item_was_submitted_does_not_submit_it_again() -> None:
    """
    Ctrl-C in a callback that hears of it: the next run goes on with the one after it.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)

    @task.on_submitted(limit=1)
    def leave(_: object, value: int) -> None:
        raise KeyboardInterrupt

    feed = task.feed(range(3), max_pending=2)
    with pytest.raises(KeyboardInterrupt):
        scheduler.run()
    assert list(feed) == [1, 2]


def items_that_fail() -> Iterator[int]:
    yield 0
    raise Boom


def test_an_iterator_that_raises_is_a_callback_that_failed(scheduler: Scheduler) -> None:
    """
    `on_exception` decides: by default it ends the run, and what is pending gets its outcome.
    """
    task = scheduler.task(echo)
    task.feed(items_that_fail(), max_pending=2)
    with pytest.raises(Boom):
        scheduler.run()
    assert task.event_counts["on_result"] == 1
    task.feed(items_that_fail(), max_pending=2)
    assert scheduler.run(on_exception="ignore").code is ExitCode.EXHAUSTED
    assert task.event_counts["on_result"] == 2


def test_an_iterator_that_raises_at_once_is_judged_too() -> None:
    """
    Not raised where the feed is made: there, it is the same failed callback as later.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)
    made: list[Feed[int]] = []

    broken = items_that_fail()
    next(broken)
    scheduler.on_start.add(lambda: made.append(task.feed(broken, max_pending=2)))
    state = scheduler.run(on_exception="end")
    assert isinstance(state.exception, Boom)
    assert len(made) == 1


def test_what_is_put_back_is_computed() -> None:
    """
    An iterator that was empty may get new items: it is asked again.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)
    items = Requeue([1])
    results: list[int] = []
    task.on_result.add(lambda _, result: results.append(result))
    task.on_result.add(lambda _, result: items.append(result + 1) if result < 4 else None)
    task.feed(items, max_pending=2)
    scheduler.run()
    assert results == [1, 2, 3, 4]


def test_a_feed_can_be_stopped() -> None:
    """
    It submits nothing more, in no run; what is left can be had from it. To stop it again is fine.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)
    feed = task.feed(range(9), max_pending=1)
    task.on_result.add(lambda _, result: feed.stop() if result == 3 else None)
    scheduler.run()
    feed.stop()
    scheduler.run()
    assert feed.n_submitted == 4
    assert list(feed) == [4, 5, 6, 7, 8]


def test_a_feed_is_stopped_by_what_gives_its_items() -> None:
    """
    An item that comes after that is not submitted any more, and stays there.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)
    feeds: list[Feed[int]] = []

    def items() -> Iterator[int]:
        yield from range(3)
        feeds[0].stop()
        yield from range(3, 6)

    feeds.append(task.feed(items(), max_pending=2))
    scheduler.run()
    assert feeds[0].n_submitted == 3
    assert list(feeds[0]) == [3, 4, 5]


@pytest.mark.parametrize("how", ["stop", "fail"])
def test_nothing_is_submitted_any_more_when_the_run_has_a_reason_to_end(how: str) -> None:
    """
    It comes in the middle of filling up, out of a callback: the rest stays in the feed.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)

    @task.on_submitted(every=3)
    def end(*_: object, **__: object) -> None:
        if how == "fail":
            raise Boom
        scheduler.stop()

    feed = task.feed(range(100), max_pending=50)
    scheduler.run(on_exception="end")
    assert feed.n_submitted == 3
    assert list(feed) == list(range(3, 100))


def test_what_gives_the_items_may_call_the_task_itself() -> None:
    """
    Then there may be no room any more for the item that it gives: it comes next.
    """
    with hand_driven() as run:
        task = run.scheduler.task(echo)

        def items() -> Iterator[int]:
            for item in range(3):
                task(100 + item)
                yield item

        task.feed(items(), max_pending=1)
        run.begin()
        for n in range(1, 7):
            assert task.n_running == 1
            run.do(run.executor.jobs[n - 1].finish)
        assert jobs_of(run) == [100, 0, 101, 1, 102, 2]
        assert not task.running()


def test_feeds_that_are_over_cost_nothing() -> None:
    """
    A search that makes a feed for each generation is as fast in its last one as in its first: a feed
    of things that are all submitted is not asked any more, and forgotten when there is another.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)
    sources: list[Any] = [[1, 2], (1, 2), range(2), {1: 2}, (n for n in range(2))]
    items = Requeue([1])
    endless = task.feed(items, max_pending=9)
    for source in sources * 3:
        task.feed(source, max_pending=9)
        scheduler.run()
        assert len(task.feeds) <= 2
        assert len(scheduler.room._channel.registrations) == 1
    items.append(2)
    scheduler.run()
    assert endless.n_submitted == 2
    assert task.feeds[0] is endless


def test_ctrl_c_ends_no_generator(tmp_path: Path) -> None:
    """
    Raised inside of it, it would be the end of it. It gives its item first, and goes on from there in
    the next run.
    """
    code = """
import os, signal
from amltk import Scheduler

scheduler = Scheduler.with_sequential()

def items():
    yield 0
    os.kill(os.getpid(), signal.SIGINT)
    yield from range(1, 5)

feed = scheduler.task(abs).feed(items(), max_pending=1)
try:
    scheduler.run()
except KeyboardInterrupt:
    print(feed.n_submitted, list(feed))
"""
    with program(tmp_path / "program.py", code) as process:
        assert process.communicate(timeout=30) == ("1 [1, 2, 3, 4]\n", "")


def test_two_feeds_of_a_task() -> None:
    """
    Both are read; the task has no more pending than the larger of their limits.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)
    results: list[int] = []
    task.on_result.add(lambda _, result: results.append(result))
    task.feed(range(3), max_pending=1)
    task.feed(range(10, 13), max_pending=2)
    scheduler.run()
    assert sorted(results) == [0, 1, 2, 10, 11, 12]


def test_a_million_items_take_no_more_memory_than_a_few() -> None:
    """
    Of a generator only as much is read as is pending, and nothing of what is done is kept.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)
    numbers = Counted()
    sizes: list[int] = []

    @task.on_result(every=2_000, limit=5)
    def measure(_: object, result: int) -> None:
        sizes.append(tracemalloc.get_traced_memory()[0])
        assert numbers.n <= result + 5

    task.on_result(scheduler.stop, every=10_000)
    task.feed(islice(numbers, 1_000_000), max_pending=4)
    tracemalloc.start()
    try:
        scheduler.run()
    finally:
        tracemalloc.stop()
    assert len(sizes) == 5
    assert sizes[-1] - sizes[1] < 100_000


@given(
    n=st.integers(0, 12),
    max_pending=st.integers(1, 5),
    script=st.lists(st.sampled_from(["finish", "fail", "cancel"]), max_size=20),
)
def test_in_order_and_once(n: int, max_pending: int, script: list[str]) -> None:
    """
    For every script of outcomes: submitted + rest = items, in their order, and min(max_pending, what
    is left) calls are pending after each step.
    """
    with hand_driven() as run:
        task = run.scheduler.task(echo)
        feed = task.feed(range(n), max_pending=max_pending)
        run.begin(end_on_empty=False, on_exception="ignore")
        for ended, step in enumerate(script[:n]):
            assert task.n_running == min(max_pending, n - ended)
            job = run.executor.open_jobs()[0]
            if step == "cancel":
                run.do(task.futures()[0].cancel)
                job.future.cancel()
            else:
                run.do(job.finish if step == "finish" else partial(job.fail, Boom()))
        run.end()
        assert [*jobs_of(run), *feed] == list(range(n))


# What makes no sense, and what it looks like.


@pytest.mark.parametrize("items", [3, None, echo])
def test_what_is_no_iterable_is_refused(items: Any) -> None:
    """
    At the call, and nothing is left of it.
    """
    task = Scheduler.with_sequential().task(echo)
    with pytest.raises(TypeError, match="iterate over"):
        task.feed(items, max_pending=1)
    assert task.feeds == []


@pytest.mark.parametrize("value", [0, -1])
def test_no_pending_calls_make_no_sense(value: int) -> None:
    """
    At the call, with the value.
    """
    task = Scheduler.with_sequential().task(echo)
    with pytest.raises(ValueError, match=f"max_pending={value}"):
        task.feed([], max_pending=value)


@pytest.mark.parametrize("value", [1.5, True, "2", None])
def test_pending_calls_are_a_whole_number(value: Any) -> None:
    """
    At the call, with the value.
    """
    task = Scheduler.with_sequential().task(echo)
    with pytest.raises(TypeError, match="max_pending"):
        task.feed([], max_pending=value)


def test_a_feed_is_made_in_the_thread_of_the_run() -> None:
    """
    As all that submits; before a run it does not matter.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)
    raised: list[BaseException | None] = []

    def make() -> None:
        task.feed(range(3), max_pending=1)

    scheduler.on_start.add(lambda: raised.append(in_thread(make)))
    scheduler.run()
    assert isinstance(raised[0], WrongThreadError)
    assert task.feeds == []
    assert in_thread(make) is None
    scheduler.run()
    assert task.event_counts["on_result"] == 3


def test_a_feed_shows_itself() -> None:
    """
    In a line of its own below its task, and in its `repr`.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo)
    feed = task.feed(range(1_200), max_pending=1_000)
    scheduler.run()
    console = Console(width=100)
    with console.capture() as shown:
        console.print(task)
    assert "Feed  1,200 submitted  max_pending=1,000" in shown.get()
    assert repr(feed) == "<Feed: 1,200 submitted, max_pending=1,000>"
    feed.stop()
    assert repr(feed).endswith("stopped>")
