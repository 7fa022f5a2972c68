"""`Retry`: which calls are attempted again, when, and what is heard of it."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeVar, override

from amltk import CallLimiter, Scheduler, TaskPlugin
from amltk.backends.base import Backend
from amltk.exceptions import PluginError, WorkerLostError
from amltk.scheduling import Call, ExitCode, Retry, exponential
from amltk.scheduling.attempts import Failure
from tests.hand_driven import HandDrivenRun, begun, hand_driven, submitted
from tests.helpers import Boom, all_accounted_for, die, story_of

R = TypeVar("R")


def fail_until(attempts: str, last: int) -> int:
    """Fail, until there have been so many attempts; a file counts them."""
    n = count(attempts)
    if n < last:
        raise Boom(n)
    return n


def die_until(attempts: str, last: int) -> int:
    n = count(attempts)
    if n < last:
        die()
    return n


def count(attempts: str) -> int:
    with Path(attempts).open("a") as file:
        file.write("x")
    return len(Path(attempts).read_text())


def double(x: int) -> int:
    return 2 * x


def is_the_second(error: BaseException) -> bool:
    return str(error) == "2"


def divide(*_: object) -> Any:
    return 1 / 0


def name_of(line: tuple[object, ...]) -> object:
    return line[0]


# On every backend.


def test_a_call_is_heard_of_once(scheduler: Scheduler, tmp_path: Path) -> None:
    """
    Two attempts fail, the third returns: one call, one result, and nothing to judge.
    """
    task = scheduler.task(fail_until, plugins=Retry(attempts=3, on=Boom))
    heard: list[int] = []
    task.on_result.add(lambda _, result: heard.append(result))
    story = story_of(scheduler)
    scheduler.on_start(lambda: task(str(tmp_path / "attempts"), 3))
    assert scheduler.run(on_exception="raise").code is ExitCode.EXHAUSTED
    assert heard == [3]
    assert story == [
        *("on_start", "on_future_submitted", "on_future_done", "on_future_result"),
        *("on_empty", "on_finishing", "on_finished"),
    ]
    assert task.event_counts["retry"] == 2
    assert task.event_counts["gave-up"] == 0


def test_the_last_attempt_is_the_outcome(scheduler: Scheduler, tmp_path: Path) -> None:
    """
    When all attempts have failed, the run hears of the last failure, and of no other.
    """
    task = scheduler.task(fail_until, plugins=Retry(attempts=2, on=Boom))
    told: list[tuple[object, ...]] = []
    task.on("retry").add(lambda n, error, wait: told.append(("retry", n, str(error), wait)))
    task.on("gave-up").add(lambda n, error: told.append(("gave-up", n, str(error))))
    task.on_exception.add(lambda _, error: told.append(("on_exception", str(error))))
    scheduler.on_start(lambda: task(str(tmp_path / "attempts"), 9))
    with pytest.raises(Boom, match="2"):
        scheduler.run()
    assert told == [("retry", 1, "1", 0.0), ("gave-up", 2, "2"), ("on_exception", "2")]
    assert all_accounted_for(scheduler)


def test_other_failures_are_left_alone(backend: Backend, tmp_path: Path) -> None:
    """
    What is not among the types, or what the function says no to, is attempted once.
    """
    policies = (Retry(on=ValueError), Retry(on=(KeyError, ValueError)), Retry(on=is_the_second))
    for number, retry in enumerate(policies):
        scheduler = Scheduler(backend)
        attempts = tmp_path / f"attempts-{number}"
        task = scheduler.task(fail_until, plugins=retry)
        scheduler.on_start.add(partial(task, str(attempts), 9))
        with pytest.raises(Boom, match="1"):
            scheduler.run()
        assert task.event_counts["retry"] == task.event_counts["gave-up"] == 0


def test_work_lost_with_its_worker_is_not_charged(processes: Backend, tmp_path: Path) -> None:
    """
    Two workers die under a call that has one attempt only: it is computed by the third.
    """
    scheduler = Scheduler(processes)
    task = scheduler.task(die_until, plugins=Retry(attempts=1, on=Boom, max_lost=2))
    heard: list[int] = []
    task.on_result.add(lambda _, result: heard.append(result))
    scheduler.on_start(lambda: task(str(tmp_path / "attempts"), 3))
    scheduler.run()
    assert heard == [3]


def test_a_call_that_loses_its_workers_is_given_up(processes: Backend, tmp_path: Path) -> None:
    """
    After more than `max_lost` losses it ends with the last of them.
    """
    scheduler = Scheduler(processes)
    task = scheduler.task(die_until, plugins=Retry(max_lost=1))
    scheduler.on_start(lambda: task(str(tmp_path / "attempts"), 9))
    state = scheduler.run(on_exception="end")
    assert isinstance(state.exception, BrokenExecutor)
    assert (task.event_counts["retry"], task.event_counts["gave-up"]) == (1, 1)
    assert len((tmp_path / "attempts").read_text()) == 2


def test_nothing_waits_when_the_run_is_stopped(scheduler: Scheduler, tmp_path: Path) -> None:
    """
    A call that would be attempted again in an hour ends with what it raised, when the run is
    stopped, and so it does when the time of the run is over.
    """
    task = scheduler.task(fail_until, plugins=Retry(wait=3600))
    heard: list[str] = []
    task.on_exception.add(lambda _, error: heard.append(str(error)))
    task.on("retry", limit=1)(scheduler.stop)
    scheduler.on_start(lambda: task(str(tmp_path / "attempts"), 9))
    assert scheduler.run(on_exception={Boom: "ignore"}).code is ExitCode.STOPPED
    assert scheduler.run(timeout=0.3, on_exception="ignore").code is ExitCode.TIMEOUT
    assert heard == ["1", "2"]
    assert all_accounted_for(scheduler)


def test_without_waiting_a_call_that_waits_is_cancelled(
    scheduler: Scheduler, tmp_path: Path
) -> None:
    """
    As everything that is pending when a run ends with `wait=False`.
    """
    task = scheduler.task(fail_until, plugins=Retry(wait=3600))
    task.on("retry")(scheduler.stop)
    scheduler.on_start(lambda: task(str(tmp_path / "attempts"), 9))
    assert scheduler.run(wait=False).code is ExitCode.STOPPED
    assert task.event_counts["on_cancelled"] == 1
    assert all_accounted_for(scheduler)


# By hand.


def failed_once(run: HandDrivenRun, wait: float = 5, **more: Any) -> tuple[Any, Future[int]]:
    """A call whose first attempt has just failed."""
    task = run.scheduler.task(double, plugins=Retry(wait=wait, **more))
    run.begin(end_on_empty=False, on_exception="ignore")
    future = submitted(run, lambda: task(1))
    run.do(lambda: run.executor.jobs[0].fail(Boom("1")))
    return task, future


def later(run: HandDrivenRun, seconds: float) -> None:
    run.loop.advance(seconds)
    run.loop.run_until_idle()


def test_a_call_that_waits_is_pending() -> None:
    """
    It is attempted when its time has come; until then the task runs, and the scheduler is not empty.
    """
    with hand_driven() as run:
        task, future = failed_once(run, wait=5)
        assert run.scheduler.on_empty.event_count == 1
        assert task.futures() == list(run.scheduler.queue) == [future]
        later(run, 4.9)
        assert len(run.executor.jobs) == 1
        later(run, 0.1)
        assert len(run.executor.jobs) == 2
        assert task.futures() == list(run.scheduler.queue) == [future]
        run.do(lambda: run.executor.jobs[1].finish(7))
        assert future.result() == 7
        run.end()


def test_a_call_that_waits_can_be_cancelled() -> None:
    """
    Then it is cancelled at once, and never attempted again.
    """
    with hand_driven() as run:
        task, future = failed_once(run)
        assert run.do(future.cancel)
        assert task.event_counts["on_cancelled"] == 1
        assert run.scheduler.empty()
        later(run, 10)
        assert len(run.executor.jobs) == 1
        run.end()


def test_a_call_can_be_cancelled_by_who_hears_that_it_failed() -> None:
    """
    A callback of `retry` cancels the call: it is cancelled, and nothing of it is left over.
    """
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=Retry())
        task.on("retry").add(lambda _attempt, _error, _wait: task.futures()[0].cancel())
        log = begun(run, task)
        run.do(lambda: task(1))
        run.do(lambda: run.executor.jobs[0].fail(Boom()))
        assert list(map(name_of, log))[2:] == ["retry", "on_future_cancelled", "on_cancelled"]
        assert run.scheduler.empty()
        run.end()


def test_a_call_can_be_cancelled_while_plugins_look_at_its_next_attempt() -> None:
    """
    Then the next attempt is not begun.
    """
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=[Retry(), Watch()])
        log = begun(run, task)
        run.do(lambda: task(1))
        watch = task.plugins[1]
        assert isinstance(watch, Watch)
        watch.then = task.futures()[0].cancel
        run.do(lambda: run.executor.jobs[0].fail(Boom()))
        assert name_of(log[-1]) == "on_cancelled"
        assert len(run.executor.jobs) == 1
        assert run.scheduler.empty()
        run.end()


@pytest.mark.parametrize("ends", ["stop", "timeout"])
def test_waits_end_with_the_run(ends: str) -> None:
    """
    Whichever way it ends, the call has its outcome after the run has said so, and before it is over.
    """
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=Retry(wait=50))
        heard: list[str] = []
        for name in ("on_stop", "on_timeout", "on_finishing", "on_finished"):
            run.scheduler.emitter.on(name).add(partial(heard.append, name))
        task.on_exception.add(lambda _, error: heard.append(str(error)))
        run.begin(timeout=20, on_exception={Boom: "ignore"}, end_on_empty=False)
        run.do(lambda: task(1))
        run.do(lambda: run.executor.jobs[0].fail(Boom("last")))
        run.do(run.scheduler.stop) if ends == "stop" else later(run, 20)
        assert heard == [f"on_{ends}", "on_finishing", "last", "on_finished"]
        assert run.running.done()


def test_an_attempt_that_is_due_when_the_run_is_stopped_is_not_made() -> None:
    """
    Also if both happen in the same turn of the loop.
    """
    with hand_driven() as run:
        _, future = failed_once(run, wait=5)
        run.loop.advance(5)
        run.do(run.scheduler.stop)
        assert len(run.executor.jobs) == 1
        assert str(future.exception()) == "1"
        assert run.running.done()


def test_waits_are_what_the_policy_says() -> None:
    """
    A function of the attempt gives each wait; the event passes it.
    """
    waits: list[float] = []
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=Retry(attempts=4, wait=exponential(2.0)))
        task.on("retry").add(lambda _attempt, _error, wait: waits.append(wait))
        run.begin(end_on_empty=False, on_exception="ignore")
        run.do(lambda: task(1))
        for wait in (2, 4, 8):
            run.do(lambda: run.executor.open_jobs()[0].fail(Boom()))
            later(run, wait - 0.1)
            assert not run.executor.open_jobs()
            later(run, 0.1)
        run.end()
    assert waits == [2, 4, 8]


def test_the_next_attempt_can_be_another_call() -> None:
    """
    `change` makes it out of the last one, each time; the future knows the call that was asked for.
    """
    with hand_driven() as run:
        numbers: list[int] = []

        def one_more(call: Call[R], attempt: int) -> Call[R]:
            numbers.append(attempt)
            (x,) = call.args
            assert isinstance(x, int)
            return call._replace(args=(x + 1,))

        task = run.scheduler.task(double, plugins=Retry(attempts=3, change=one_more))
        run.begin(end_on_empty=False, on_exception="ignore")
        future = submitted(run, lambda: task(5))
        for _ in range(2):
            run.do(lambda: run.executor.open_jobs()[0].fail(Boom()))
        assert [job.args for job in run.executor.jobs] == [(5,), (6,), (7,)]
        assert numbers == [2, 3]
        assert future.call.args == (5,)
        run.end()


def test_a_lost_call_is_not_changed() -> None:
    """
    It was not its fault, so it gets no more of anything; and it is the same attempt as before.
    """
    with hand_driven() as run:
        task = run.scheduler.task(
            double, plugins=Retry(change=lambda call, _: call.with_kwargs(more=1))
        )
        log = begun(run, task)
        run.do(lambda: task(5))
        run.do(lambda: run.executor.open_jobs()[0].fail(WorkerLostError("lost")))
        assert run.executor.jobs[1].kwargs == {}
        assert [line[1] for line in log if name_of(line) == "retry"] == [1]
        run.end()


def nonsense(_: object) -> Any:
    return "soon"


def make_nothing(*_: object) -> Any:
    return None


async def later_on(*_: object) -> None: ...


def made(value: object) -> Callable[[int], Any]:
    def wait(_: int) -> Any:
        return value

    return wait


def with_function(function: Any, call: Call[Any], _: int) -> Call[Any]:
    return call.with_function(function)


WRONG: dict[str, dict[str, Any]] = {
    "on raises": {"on": divide},
    "wait raises": {"wait": divide},
    "wait is no number": {"wait": nonsense},
    "wait is a function": {"wait": made(nonsense)},
    "wait is negative": {"wait": made(-1)},
    "wait is nan": {"wait": made(float("nan"))},
    "wait is longer than there are numbers": {"wait": made(10**400)},
    "change raises": {"change": divide},
    "change makes no call": {"change": make_nothing},
    "change makes a call of nothing": {"change": partial(with_function, 3)},
    "change makes a call that is awaited": {"change": partial(with_function, later_on)},
}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG)
def test_a_policy_that_fails_is_a_callback_that_fails(options: dict[str, Any]) -> None:
    """
    `on_exception` decides about its error; the call ends with what it raised itself.
    """
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=Retry(**options))
        on_exception: Any = {Boom: "ignore", Exception: "end"}
        run.begin(end_on_empty=False, on_exception=on_exception)
        future = submitted(run, lambda: task(1))
        run.do(lambda: run.executor.jobs[0].fail(Boom("mine")))
        assert str(future.exception()) == "mine"
        state = run.running.result()
        assert isinstance(state.exception, ArithmeticError | TypeError | ValueError)


def test_a_callback_that_fails_changes_nothing_about_the_retry() -> None:
    """
    What a callback of `retry` raises is judged; with "ignore" the next attempt comes.
    """
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=Retry())
        task.on("retry").add(divide)
        run.begin(end_on_empty=False, on_exception="ignore")
        run.do(lambda: task(1))
        run.do(lambda: run.executor.jobs[0].fail(Boom()))
        assert len(run.executor.open_jobs()) == 1
        run.end()


def test_leaving_the_program_from_a_policy_loses_no_call() -> None:
    """
    `SystemExit` out of the function that decides ends the run, and the future has its outcome.
    """
    scheduler = Scheduler.with_sequential()

    def leave(_: BaseException) -> bool:
        raise SystemExit(3)

    task = scheduler.task(int, plugins=Retry(on=leave))
    scheduler.on_start(lambda: task("x"))
    with pytest.raises(SystemExit):
        scheduler.run(on_exception="ignore")
    assert all_accounted_for(scheduler)


def test_leaving_the_program_from_a_later_attempt_loses_no_call() -> None:
    """
    A job of the sequential backend that raises `KeyboardInterrupt` in its second attempt.
    """
    scheduler = Scheduler.with_sequential()
    errors = iter([Boom(), KeyboardInterrupt()])

    def job() -> None:
        raise next(errors)

    task = scheduler.task(job, plugins=Retry())
    scheduler.on_start(task)
    with pytest.raises(KeyboardInterrupt):
        scheduler.run(on_exception="ignore")
    assert task.event_counts["on_cancelled"] == 1
    assert all_accounted_for(scheduler)


# Among other plugins.


class Watch(TaskPlugin):
    """Writes down what it is asked and told; may refuse."""

    name = "watch"

    def __init__(self) -> None:
        self.log: list[str] = []
        self.refuses = False
        self.then: Callable[[], object] = str

    @override
    def pre_submit(self, call: Call[R], /) -> Call[R] | None:
        self.then()
        self.log.append("refused" if self.refuses else "agreed")
        return None if self.refuses else call

    @override
    def call_withdrawn(self, call: Call[R], /) -> None:
        self.log.append("withdrawn")

    @override
    def call_submitted(self, call: Call[R], /) -> None:
        self.log.append("submitted")

    @override
    def copy(self) -> Self:
        return type(self)()


def test_plugins_behind_it_see_every_attempt() -> None:
    """
    Those before it see the call once; and each hears the end of whatever it agreed to.
    """
    before, behind = Watch(), Watch()
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=[before, Retry(), behind])
        run.begin(end_on_empty=False, on_exception="ignore")
        run.do(lambda: task(1))
        run.do(lambda: run.executor.open_jobs()[0].fail(Boom()))
        run.end()
    assert before.log == ["agreed", "submitted"]
    assert behind.log == ["agreed", "submitted"] * 2


class Listener(TaskPlugin):
    """Writes down which failures it hears of; may raise."""

    name = "listener"

    def __init__(self, then: Callable[[], object] = str) -> None:
        self.heard: list[tuple[int, int, str]] = []
        self.then = then

    @override
    def failure_heard(self, failure: Failure[R], /) -> None:
        self.heard.append((failure.attempt, failure.n_lost, str(failure.error)))
        self.then()

    @override
    def copy(self) -> Self:
        return type(self)(self.then)


def test_every_plugin_hears_of_every_failed_attempt() -> None:
    """
    Wherever it stands, whether there is another attempt or not, and while the run closes, too.
    """
    before, behind = Listener(), Listener(divide)
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=[before, Retry(attempts=2), behind])
        run.begin(on_exception="ignore", end_on_empty=False)
        run.do(lambda: (task(1), task(2)))
        run.do(lambda: run.executor.jobs[0].fail(Boom("a")))
        run.do(lambda: run.executor.jobs[2].fail(WorkerLostError("b")))
        run.do(lambda: run.executor.jobs[3].fail(Boom("c")))
        run.do(run.scheduler.stop)
        run.do(lambda: run.executor.jobs[1].fail(Boom("d")))
    assert before.heard == behind.heard == [(1, 0, "a"), (2, 1, "b"), (2, 1, "c"), (1, 0, "d")]
    assert task.event_counts["on_exception"] == 2


def test_an_attempt_that_is_refused_ends_the_call() -> None:
    """
    It ends with what it raised last; plugins that had agreed to the attempt withdraw.
    """
    agrees, refuses = Watch(), Watch()
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=[Retry(), agrees, refuses])
        run.begin(end_on_empty=False, on_exception="ignore")
        future = submitted(run, lambda: task(1))
        refuses.refuses = True
        run.do(lambda: run.executor.jobs[0].fail(Boom("mine")))
        assert str(future.exception()) == "mine"
        assert task.n_running == 0
        run.end()
    assert agrees.log == ["agreed", "submitted", "agreed", "withdrawn"]


def test_a_plugin_that_raises_ends_the_call_with_that() -> None:
    """
    There is nobody else to tell: at the first attempt it would be whoever calls the task.
    """
    watch = Watch()
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=[Retry(), watch])
        run.begin(end_on_empty=False, on_exception="ignore")
        future = submitted(run, lambda: task(1))
        watch.then = lambda: 1 / 0
        run.do(lambda: run.executor.jobs[0].fail(Boom()))
        assert isinstance(future.exception(), ZeroDivisionError)
        run.end()


@pytest.mark.parametrize("limiter_first", [True, False])
def test_a_limiter_counts_calls_and_not_attempts(limiter_first: bool) -> None:
    """
    Wherever it stands: an attempt is never refused, and while one waits its place is not free.
    """
    limiter = CallLimiter(max_calls=2, max_concurrent=1)
    plugins: list[TaskPlugin] = [limiter, Retry(wait=5)]
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=plugins if limiter_first else plugins[::-1])
        run.begin(end_on_empty=False, on_exception="ignore")
        future = submitted(run, lambda: task(1))
        run.do(lambda: run.executor.jobs[0].fail(Boom()))
        assert run.do(lambda: task(2)) is None
        later(run, 5)
        assert run.do(lambda: task(2)) is None
        run.do(run.executor.jobs[1].finish)
        assert future.done()
        assert run.do(lambda: task(2)) is not None
        assert limiter.n_calls == 2
        run.end()


def test_a_policy_belongs_to_one_task() -> None:
    """
    A frozen dataclass, attached once; its copy is an equal policy that is attached to none.
    """
    scheduler = Scheduler.with_sequential()
    retry = Retry(attempts=7, on=(OSError, KeyError), wait=2, max_lost=0)
    task = scheduler.task(double, plugins=retry)
    with pytest.raises(PluginError):
        scheduler.task(double, plugins=retry)
    copy = task.copy().plugins[0]
    assert copy == retry
    assert copy is not retry


def test_a_task_has_one_policy() -> None:
    """
    What one gives up another would attempt again; the error says so, and there is no such task.
    """
    scheduler = Scheduler.with_sequential()
    retry = Retry(on=OSError)
    with pytest.raises(PluginError, match="one policy"):
        scheduler.task(double, plugins=[retry, Retry(on=ValueError)])
    assert scheduler.tasks == []
    task = scheduler.task(double, plugins=retry)
    with pytest.raises(PluginError, match="one policy"):
        task.attach_plugin(Retry(on=ValueError))


# What makes no sense.


@pytest.mark.parametrize(
    "options",
    [
        *({"attempts": 0}, {"max_lost": -1}),
        *({"wait": -0.5}, {"wait": float("nan")}, {"wait": float("inf")}),
        pytest.param({"wait": 10**400}, id="longer than there are numbers"),
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """
    When the policy is made, and with the name of the option.
    """
    with pytest.raises(ValueError, match=next(iter(options))):
        Retry(**options)


@pytest.mark.parametrize(
    "options",
    [
        *({"attempts": 1.5}, {"attempts": True}, {"max_lost": "3"}, {"wait": "1"}, {"wait": None}),
        *({"on": "ValueError"}, {"on": int}, {"on": ()}, {"on": (ValueError, 3)}, {"change": 3}),
    ],
    ids=str,
)
def test_types_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """
    When the policy is made, and with the name of the option.
    """
    with pytest.raises(TypeError, match=next(iter(options))):
        Retry(**options)


@pytest.mark.parametrize("name", ["first", "factor", "most", "jitter"])
def test_growing_waits_are_of_numbers(name: str) -> None:
    """
    Negative ones are refused when the function is made, and so are functions.
    """
    options: Any = {name: -1}
    with pytest.raises(ValueError, match=name):
        exponential(**options)
    options = {name: nonsense}
    with pytest.raises(TypeError, match=name):
        exponential(**options)


seconds = st.floats(0, 1e6)


@given(first=seconds, factor=st.floats(1, 10), most=seconds, attempt=st.integers(1, 10_000))
def test_growing_waits(first: float, factor: float, most: float, attempt: int) -> None:
    """
    For every attempt: wait(n) <= wait(n + 1) <= most, and wait(1) = min(first, most).
    """
    wait = exponential(first, factor=factor, most=most)
    assert wait(attempt) <= wait(attempt + 1) <= most
    assert wait(1) == min(first, most)


@given(jitter=st.floats(0, 1), seed=st.integers(), attempt=st.integers(1, 20))
def test_chance_only_adds(jitter: float, seed: int, attempt: int) -> None:
    """
    For every seed: exact <= wait <= min((1 + jitter) * exact, most), and the same seed gives the
    same waits.
    """
    exact = exponential(most=60)(attempt)
    wait = exponential(most=60, jitter=jitter, seed=seed)(attempt)
    assert exact <= wait <= min(exact * (1 + jitter), 60)
    assert wait == exponential(jitter=jitter, seed=seed)(attempt)
