"""What plugins have going along with attempts, and open for as long as a run lasts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeVar, override

from amltk import Scheduler, Task, TaskPlugin
from amltk.backends import Sequential
from amltk.scheduling import ExitCode, Retry
from amltk.scheduling.companions import Accompanied, Attempt
from tests.hand_driven import HandDrivenRun, begun, hand_driven, submitted
from tests.helpers import Boom, all_accounted_for, echo

R = TypeVar("R")


def double(x: int) -> int:
    return 2 * x


class Beside:
    """A companion that does what a test tells it, and remembers what it was told."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log = log
        self.name = name
        self.let_go: Callable[[], None] | None = None

    def attempt_ended(self, let_go: Callable[[], None], /) -> None:
        self.log.append(f"{self.name} ended")
        self.let_go = let_go

    def attempt_cancelled(self) -> None:
        self.log.append(f"{self.name} cancelled")

    def attempt_withdrawn(self) -> None:
        self.log.append(f"{self.name} withdrawn")


class LetsGo(Beside):
    """Holds nothing back."""

    @override
    def attempt_ended(self, let_go: Callable[[], None], /) -> None:
        super().attempt_ended(let_go)
        let_go()


class Fails(Beside):
    """Raises whatever it is told."""

    @override
    def attempt_ended(self, let_go: Callable[[], None], /) -> NoReturn:
        raise Boom("ended")

    @override
    def attempt_cancelled(self) -> NoReturn:
        raise Boom("cancelled")

    @override
    def attempt_withdrawn(self) -> NoReturn:
        raise Boom("withdrawn")


class Escorting(TaskPlugin):
    """Has a companion go along with each attempt."""

    name = "escorting"

    def __init__(self, kind: type[Beside] = Beside, log: list[str] | None = None) -> None:
        self.kind = kind
        self.log: list[str] = [] if log is None else log
        self.beside: list[Beside] = []
        self.attempts: list[Attempt[Any]] = []

    @override
    def attempt_begins(self, attempt: Attempt[R], /) -> Accompanied[R]:
        self.attempts.append(attempt)
        self.beside.append(self.kind(self.log, f"{len(self.beside)}"))
        return Accompanied(attempt.call, self.beside[-1])

    @override
    def copy(self) -> Self:
        return type(self)(self.kind)


def escorted(run: HandDrivenRun, kind: type[Beside] = Beside, *more: TaskPlugin) -> Escorting:
    """A task whose calls have a companion, in a run that has begun."""
    plugin = Escorting(kind)
    task = run.scheduler.task(double, plugins=[*more, plugin])
    begun(run, task)
    return plugin


def let_go(beside: Beside) -> None:
    assert beside.let_go is not None
    beside.let_go()


# An outcome that is held back.


def test_an_outcome_waits_for_the_companion() -> None:
    """
    The call is pending until then, and nobody is told; then everybody is.
    """
    with hand_driven() as run:
        plugin = escorted(run)
        task = plugin.task
        future = submitted(run, lambda: task(1))
        run.do(lambda: run.executor.jobs[0].finish(2))
        assert plugin.log == ["0 ended"]
        assert (task.futures(), list(run.scheduler.queue)) == ([future], [future])
        assert task.event_counts["on_done"] == run.scheduler.on_future_done.event_count == 0
        run.do(lambda: let_go(plugin.beside[0]))
        assert future.result() == 2
        assert task.event_counts["on_result"] == 1
        assert plugin.log == ["0 ended"]
        run.end()


@given(order=st.permutations([(n, what) for n in range(3) for what in ("ends", "let go")]))
def test_each_outcome_waits_for_its_own(order: list[tuple[int, str]]) -> None:
    """
    For any order in which calls end and companions let go: a call is done as soon as both have
    happened, and not before.
    """
    with hand_driven() as run:
        plugin = escorted(run)
        for n in range(3):
            run.do(partial(plugin.task, n))
        happened: set[tuple[int, str]] = set()
        waiting: set[int] = set()  # companions let go of what has ended, and not of what has not
        for n, what in order:
            if what == "ends":
                run.do(run.executor.jobs[n].finish)
            else:
                waiting.add(n)
            happened.add((n, what))
            for ready in [m for m in waiting if (m, "ends") in happened]:
                waiting.remove(ready)
                run.do(partial(let_go, plugin.beside[ready]))
            done = [m for m in range(3) if {(m, "ends"), (m, "let go")} <= happened]
            assert plugin.task.event_counts["on_done"] == len(done)
            assert plugin.task.n_running == 3 - len(done)
        run.end()


def test_all_companions_have_to_let_go() -> None:
    """
    Those of several plugins, in any order; whoever lets go twice lets go once.
    """
    with hand_driven() as run:
        one, two = Escorting(), Escorting()
        task = run.scheduler.task(double, plugins=[one, two])
        run.begin(end_on_empty=False)
        future = submitted(run, lambda: task(1))
        run.do(run.executor.jobs[0].finish)
        run.do(lambda: let_go(two.beside[0]))
        run.do(lambda: let_go(two.beside[0]))
        assert not future.done()
        run.do(lambda: let_go(one.beside[0]))
        assert future.done()
        run.do(lambda: let_go(one.beside[0]))
        assert task.event_counts["on_done"] == 1
        run.end()


def test_a_run_waits_for_what_is_held_back() -> None:
    """
    It is not empty before, and when it is stopped it ends when it was let go.
    """
    with hand_driven() as run:
        plugin = escorted(run)
        run.do(lambda: plugin.task(1))
        run.do(run.executor.jobs[0].finish)
        run.do(run.scheduler.stop)
        assert not run.running.done()
        run.do(lambda: let_go(plugin.beside[0]))
        assert run.running.result().code is ExitCode.STOPPED
        assert all_accounted_for(run.scheduler)


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_is_held_back_can_be_cancelled(by_hand: bool) -> None:
    """
    By whoever has the future, or with a run that waits for nothing: the companion is told first.
    """
    with hand_driven() as run:
        plugin = Escorting()
        task = run.scheduler.task(double, plugins=plugin)
        task.on_cancelled.add(lambda _: plugin.log.append("on_cancelled"))
        run.begin(end_on_empty=False, wait=False)
        future = submitted(run, lambda: task(1))
        run.do(run.executor.jobs[0].finish)
        run.do(future.cancel if by_hand else run.scheduler.stop)
        assert plugin.log == ["0 ended", "0 cancelled", "on_cancelled"]
        run.do(lambda: let_go(plugin.beside[0]))
        assert task.event_counts["on_done"] == 0
        assert all_accounted_for(run.scheduler)
        run.do(run.scheduler.stop)


def test_a_call_that_is_cancelled_says_so_to_its_companion() -> None:
    """
    Whether it runs or not, and before anybody else hears of it; once.
    """
    with hand_driven() as run:
        plugin = escorted(run)
        plugin.task.on_cancelled.add(lambda _: plugin.log.append("on_cancelled"))
        futures = [submitted(run, lambda: plugin.task(1)) for _ in range(2)]
        run.do(run.executor.jobs[1].start)
        for future in futures:
            run.do(future.cancel)
        assert plugin.log == ["0 cancelled", "on_cancelled", "1 cancelled", "on_cancelled"]
        run.do(run.executor.jobs[1].finish)
        assert len(plugin.log) == 4
        run.end()


def test_a_companion_that_fails_holds_nothing_back() -> None:
    """
    What it raises is judged like the error of a callback.
    """
    with hand_driven() as run:
        plugin = Escorting(Fails)
        task = run.scheduler.task(double, plugins=plugin)
        run.begin(on_exception="end", end_on_empty=False)
        future = submitted(run, lambda: task(1))
        run.do(lambda: run.executor.jobs[0].finish(5))
        assert future.result() == 5
        assert str(run.running.result().exception) == "ended"
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=Escorting(Fails))
        run.begin(on_exception="end", end_on_empty=False)
        run.do(submitted(run, partial(task, 1)).cancel)
        assert task.event_counts["on_cancelled"] == 1
        assert str(run.running.result().exception) == "cancelled"


# Attempts.


@pytest.mark.parametrize("retry_first", [True, False])
def test_each_attempt_has_a_companion(retry_first: bool) -> None:
    """
    It lets go of the failure before there is another attempt, wherever the plugin stands.
    """
    with hand_driven() as run:
        plugin = Escorting(LetsGo)
        plugins: list[TaskPlugin] = [Retry(attempts=2), plugin]
        task = run.scheduler.task(double, plugins=plugins if retry_first else plugins[::-1])
        task.on("retry").add(lambda _, __, ___: plugin.log.append("retry"))
        run.begin(end_on_empty=False, on_exception="ignore")
        future = submitted(run, lambda: task(1))
        run.do(lambda: run.executor.jobs[0].fail(Boom()))
        run.do(lambda: run.executor.jobs[1].finish(2))
        assert future.result() == 2
        assert plugin.log == ["0 ended", "retry", "1 ended"]
        assert {attempt.future for attempt in plugin.attempts} == {future}
        run.end()


class SaysNo(TaskPlugin):
    """Lets a call through, and not its attempt."""

    name = "says-no"

    @override
    def attempt_begins(self, attempt: Attempt[R], /) -> None:
        raise Boom("no")

    @override
    def copy(self) -> Self:
        return type(self)()


@pytest.mark.parametrize("kind", [Beside, Fails])
def test_an_attempt_that_is_not_begun_is_withdrawn(kind: type[Beside]) -> None:
    """
    If a later plugin raises, or the executor takes nothing: whoever made the call hears why.
    """
    with hand_driven() as run:
        plugin = Escorting(kind)
        task = run.scheduler.task(double, plugins=plugin)
        refused = run.scheduler.task(double, plugins=[second := Escorting(), SaysNo()])
        run.begin(end_on_empty=False, on_exception="ignore")
        with pytest.raises(Boom, match="no"):
            run.do(lambda: refused(1))
        run.executor.shut = True
        with pytest.raises(RuntimeError, match="shut down"):
            run.do(lambda: task(1))
        assert (plugin.log, second.log) == (
            [] if kind is Fails else ["0 withdrawn"],
            ["0 withdrawn"],
        )
        assert run.scheduler.empty()
        assert task.n_running == refused.n_running == 0
        run.executor.shut = False
        run.end()


# Calls that are computed while they are submitted.


class AtOnce(Escorting):
    """Tells of the call from within."""

    @override
    def attempt_begins(self, attempt: Attempt[R], /) -> Accompanied[R]:
        accompanied = super().attempt_begins(attempt)

        def tell_and_compute(*args: Any, **kwargs: Any) -> R:
            attempt.announce()
            attempt.announce()
            return attempt.call.function(*args, **kwargs)

        return accompanied._replace(call=attempt.call.with_function(tell_and_compute))


def at_once(function: Callable[[int], R]) -> tuple[Scheduler, Task[[int], R], list[str]]:
    scheduler = Scheduler(Sequential())
    log: list[str] = []
    task = scheduler.task(function, plugins=AtOnce(LetsGo, log))
    task.on_submitted.add(lambda _, __: log.append("on_submitted"))
    task.on_done.add(lambda _: log.append("on_done"))
    task.on_cancelled.add(lambda _: log.append("on_cancelled"))
    scheduler.on_start.add(lambda: task(1))
    return scheduler, task, log


def test_a_call_can_be_announced_from_within() -> None:
    """
    Then everybody hears of it before it is computed, and once.
    """
    scheduler, task, log = at_once(double)
    task.on_submitted.add(lambda _, __: log.append(f"{task.n_running} pending"))
    scheduler.run()
    assert log == ["on_submitted", "1 pending", "0 ended", "on_done"]
    assert all_accounted_for(scheduler)


def test_a_call_that_was_announced_can_be_cancelled_from_within() -> None:
    """
    It is cancelled, whatever it returns.
    """
    scheduler, task, log = at_once(double)
    task.on_submitted.add(lambda future, _: future.cancel())
    scheduler.run()
    assert log == ["on_submitted", "0 cancelled", "on_cancelled"]
    assert all_accounted_for(scheduler)


def press_ctrl_c(_: int) -> NoReturn:
    raise KeyboardInterrupt


def test_a_call_that_was_announced_has_an_end_if_it_is_not_submitted_after_all() -> None:
    """
    Ctrl-C goes through the executor: the call that everybody knows of is cancelled.
    """
    scheduler, _, log = at_once(press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        scheduler.run()
    assert log == ["on_submitted", "0 withdrawn", "on_cancelled"]
    assert all_accounted_for(scheduler)


# What is open as long as a run.


class Lamp:
    """A service that remembers what it was told."""

    def __init__(self, log: list[str], fails: bool = False) -> None:
        self.log = log
        self.fails = fails
        self.log.append("on")

    def run_ends(self) -> None:
        self.log.append("run ends")
        if self.fails:
            raise Boom("run ends")

    def close(self) -> None:
        self.log.append("off")
        if self.fails:
            raise Boom("close")


class Lit(Escorting):
    """Has a lamp on while the run goes on."""

    def __init__(self, key: str, lamps: list[str], *, fails: bool = False) -> None:
        super().__init__(LetsGo)
        self.key, self.lamps, self.fails = key, lamps, fails

    @override
    def attempt_begins(self, attempt: Attempt[R], /) -> Accompanied[R]:
        attempt.run.services.get(Lamp, self.key, lambda: Lamp(self.lamps, self.fails))
        return super().attempt_begins(attempt)


def test_a_service_is_open_as_long_as_the_run() -> None:
    """
    From the first that asks for it, shared by all that ask for the same, in each run anew.
    """
    log: list[str] = []
    scheduler = Scheduler.with_threads(1)
    tasks = [scheduler.task(echo, plugins=Lit(key, log)) for key in ("a", "a", "b")]
    scheduler.on_start.add(*(partial(task, 1) for task in tasks))
    scheduler.on_finishing.add(lambda: log.append("on_finishing"))
    scheduler.on_finished.add(lambda: log.append("on_finished"))
    for _ in range(2):
        scheduler.run()
    once = ["on", "on", "on_finishing", "run ends", "run ends", "off", "off", "on_finished"]
    assert log == once * 2


def test_a_service_that_fails_is_judged() -> None:
    """
    The others are told all the same, and the run comes to its end.
    """
    log: list[str] = []
    scheduler = Scheduler.with_threads(1)
    for fails in (True, False):
        task = scheduler.task(echo, plugins=Lit(str(fails), log, fails=fails))
        scheduler.on_start.add(partial(task, 1))
    state = scheduler.run(on_exception="end")
    assert str(state.exception) == "run ends"
    assert sorted(log) == ["off", "off", "on", "on", "run ends", "run ends"]


def test_a_service_is_closed_when_the_run_is_given_up() -> None:
    """
    Whatever else is left as it is then.
    """
    log: list[str] = []
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=Lit("a", log))
        run.begin(end_on_empty=False)
        run.do(lambda: task(1))
        run.do(run.scheduler._give_up)
        run.do(run.scheduler.stop)
        assert run.running.done()
        assert log[-1] == "off"
        assert run.running.cancelled() or run.running.exception() is not None
