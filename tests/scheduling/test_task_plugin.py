"""What controls the calls of a task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self

import pytest
from typing_extensions import TypeVar, override

from amltk import CallLimiter, Scheduler, Task, TaskPlugin
from amltk.exceptions import PluginError, SchedulerNotRunningError
from amltk.scheduling import Call
from amltk.scheduling.attempts import Again, Failure
from tests.hand_driven import hand_driven, submitted

R = TypeVar("R")


def double(x: int) -> int:
    return 2 * x


class Scripted(TaskPlugin):
    """Does to each call what it was told to, and writes down what it was asked."""

    name = "scripted"

    def __init__(
        self,
        change: Callable[[Call[Any]], Call[Any] | None] = lambda call: call,
        log: list[str] | None = None,
        label: str = "",
    ) -> None:
        self.change = change
        self.log: list[str] = [] if log is None else log
        self.label = label

    @override
    def pre_submit(self, call: Call[R], /) -> Call[R] | None:
        self.log.append(f"{self.label}?{call}")
        return self.change(call)

    @override
    def call_withdrawn(self, call: Call[R], /) -> None:
        self.log.append(f"{self.label}-{call}")

    @override
    def copy(self) -> Self:
        return type(self)(self.change, self.log, self.label)


def refuse(_: Call[Any]) -> None:
    return None


def explode(call: Call[Any]) -> Call[Any]:
    raise ZeroDivisionError(str(call))


def plus_one(call: Call[Any]) -> Call[Any]:
    (x,) = call.args
    assert isinstance(x, int)
    return Call(call.function, (x + 1,), call.kwargs)


# Plugins in general.


def test_plugins_are_asked_in_order_and_change_the_call() -> None:
    """
    Each sees what those before it made of the call; subscribers see what was asked for.
    """
    log: list[str] = []
    heard: list[object] = []
    plugins = [Scripted(plus_one, log, "a"), Scripted(plus_one, log, "b")]
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=plugins)
        task.on_submitted.add(lambda _, x: heard.append(x))
        run.begin(end_on_empty=False)
        run.do(lambda: task(1))
        assert run.executor.jobs[0].args == (3,)
        run.end()
    assert log == ["a?double(1)", "b?double(2)"]
    assert heard == [1]


@pytest.mark.parametrize("last", [refuse, explode])
def test_a_refused_call_leaves_nothing_behind(last: Callable[..., Any]) -> None:
    """
    If a later plugin refuses or raises, those that had agreed take back what they did, the last one
    first; nobody hears of a submission.
    """
    log: list[str] = []
    limiter = CallLimiter(max_calls=1)
    plugins = [Scripted(plus_one, log, "a"), limiter, Scripted(plus_one, log, "b"), Scripted(last)]
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=plugins)
        run.begin(end_on_empty=False)
        if last is explode:
            with pytest.raises(ZeroDivisionError):
                run.do(lambda: task(1))
        else:
            assert run.do(lambda: task(1)) is None
        assert run.executor.jobs == []
        run.end()
    assert log == ["a?double(1)", "b?double(2)", "b-double(2)", "a-double(1)"]
    assert limiter.n_calls == task.n_running == task.event_counts[Task.SUBMITTED] == 0


@pytest.mark.parametrize(
    "what", [True, "double(1)", (double, (1,), {})], ids=["bool", "text", "tuple"]
)
def test_a_plugin_makes_calls(what: Any) -> None:
    """
    Anything else that it returns is an error that names it, for whoever made the call.
    """
    limiter = CallLimiter(max_calls=1)
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=[limiter, Scripted(lambda _: what)])
        run.begin(end_on_empty=False)
        with pytest.raises(TypeError, match=r"Scripted.* has to make a `Call`"):
            run.do(lambda: task(1))
        run.end()
    assert limiter.n_calls == 0


def again_after(wait: Any, call: Call[Any]) -> Again[Any]:
    return Again(call, wait)


class Answers(TaskPlugin):
    """Answers something to an attempt that failed."""

    name = "answers"

    def __init__(self, answer: Callable[[Call[Any]], Any]) -> None:
        self.answer = answer

    @override
    def attempt_failed(self, failure: Failure[R], /) -> Again[R] | None:
        answer: Again[R] | None = self.answer(failure.call)
        return answer

    @override
    def copy(self) -> Self:
        return type(self)(self.answer)


def true(_: Call[Any]) -> Any:
    return True


def a_pair(call: Call[Any]) -> Any:
    return call, 1.0


def again_without_a_call(call: Call[Any]) -> Any:
    function: Any = call.function
    return Again(function, 1.0)


@pytest.mark.parametrize(
    "answer",
    [
        true,
        a_pair,
        again_without_a_call,
        *(partial(again_after, wait) for wait in ("soon", None, -1, float("nan"), 10**400)),
    ],
)
def test_an_answer_that_makes_no_sense_is_judged_and_the_call_ends(
    answer: Callable[[Call[Any]], Any],
) -> None:
    """
    It is a plugin that failed; the call ends with what it raised itself, and nothing waits.
    """
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=Answers(answer))
        on_exception: Any = {ZeroDivisionError: "ignore", Exception: "end"}
        run.begin(end_on_empty=False, on_exception=on_exception)
        future = submitted(run, lambda: task(1))
        run.do(lambda: run.executor.jobs[0].fail(ZeroDivisionError("mine")))
        assert str(future.exception()) == "mine"
        assert isinstance(run.running.result().exception, TypeError | ValueError)
        assert task.n_running == 0


class FailsToWithdraw(Scripted):
    @override
    def call_withdrawn(self, call: Call[R], /) -> None:
        raise ZeroDivisionError


def test_a_plugin_that_cannot_take_back_does_not_keep_others_from_it() -> None:
    """
    An error in one `call_withdrawn` is raised when all others have taken back what they did.
    """
    limiter = CallLimiter(max_calls=1)
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=[limiter, FailsToWithdraw(), Scripted(refuse)])
        run.begin(end_on_empty=False)
        with pytest.raises(ZeroDivisionError):
            run.do(lambda: task(1))
        run.end()
    assert limiter.n_calls == 0


def test_what_the_executor_refuses_leaves_nothing_behind_either() -> None:
    """
    A call that all plugins agreed to and the executor did not take is not counted.
    """
    limiter = CallLimiter(max_calls=1)
    with hand_driven() as run:
        task = run.scheduler.task(double, plugins=limiter)
        run.begin(end_on_empty=False)
        run.executor.shutdown()
        with pytest.raises(RuntimeError, match="shut down"):
            run.do(lambda: task(1))
        run.end()
    assert limiter.n_calls == task.n_running == 0


def test_when_nobody_takes_work_no_plugin_is_asked() -> None:
    """
    Outside of a run a task raises before it asks.
    """
    plugin = Scripted()
    task = Scheduler.with_sequential().task(double, plugins=plugin)
    with pytest.raises(SchedulerNotRunningError, match="double"):
        task(1)
    assert plugin.log == []


def test_a_plugin_belongs_to_one_task() -> None:
    """
    Attached to a second one it would count for both; the error says to copy it.
    """
    scheduler = Scheduler.with_sequential()
    plugin = Scripted()
    with pytest.raises(PluginError, match="not attached"):
        _ = plugin.task
    task = scheduler.task(double, plugins=plugin)
    assert plugin.task is task
    with pytest.raises(PluginError, match="copy"):
        scheduler.task(double, plugins=plugin)
    other = scheduler.task(double)
    other.attach_plugin(plugin.copy())
    assert len(other.plugins) == 1


class FailsToAttach(Scripted):
    @override
    def attach_task(self, task: Task[..., Any], /) -> None:
        super().attach_task(task)
        raise ZeroDivisionError


def test_plugins_of_a_task_that_is_refused_can_be_used_again() -> None:
    """
    Whatever one of them raises, and also the same one twice: none stays attached to a task that
    nobody has.
    """
    scheduler = Scheduler.with_sequential()
    first, failing = Scripted(), FailsToAttach()
    for refused in ([first, failing], [first, first], [first, CallLimiter]):
        plugins: Any = refused
        with pytest.raises((ZeroDivisionError, PluginError, TypeError)):
            scheduler.task(double, plugins=plugins)
    with pytest.raises(PluginError, match="not attached"):
        _ = failing.task
    task = scheduler.task(double, plugins=first)
    assert first.task is task
    assert scheduler.tasks == [task]


def test_a_plugin_that_is_refused_stays_where_it_was() -> None:
    """
    Attached to the task that it is attached to, and no other one of that task is touched.
    """
    scheduler = Scheduler.with_sequential()
    here, there = Scripted(), Scripted()
    task, other = scheduler.task(double, plugins=here), scheduler.task(double, plugins=there)
    for plugin, error in (
        (here, PluginError),
        (there, PluginError),
        (FailsToAttach(), ZeroDivisionError),
    ):
        with pytest.raises(error):
            task.attach_plugin(plugin)
    assert (here.task, there.task) == (task, other)
    assert task.plugins == (here,)


def test_only_plugins_can_be_attached() -> None:
    """
    What is no plugin is told when it is attached.
    """
    plugin: Any = CallLimiter
    with pytest.raises(TypeError, match="TaskPlugin"):
        Scheduler.with_sequential().task(double, plugins=[plugin])
