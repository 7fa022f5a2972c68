"""`Comm`: what calls say to their scheduler, on every backend."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import sys
import threading
from asyncio import Future
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Self

import pytest
from typing_extensions import TypeVar, override

from amltk import Scheduler, Task, TaskPlugin
from amltk.backends import Processes, Sequential, Threads, abilities_of
from amltk.backends.base import Backend
from amltk.exceptions import (
    CommAnswerError,
    CommClosedError,
    CommError,
    CommNotAnsweredError,
    NotPicklableError,
    PluginError,
    WorkerLostError,
)
from amltk.scheduling import Call, Comm, ExitCode, Retry, comm_talk
from amltk.scheduling.comm_board import Board
from amltk.scheduling.comm_peer import Peer
from amltk.scheduling.comm_wire import HEAD, NONCE, Invitation
from amltk.scheduling.companions import Accompanied, Attempt
from tests.hand_driven import HandDriven
from tests.helpers import (
    Boom,
    FailsWhenUnpickled,
    Gate,
    all_accounted_for,
    die,
    future_of,
    return_a_lock,
    wait_at,
)
from tests.scheduling.speakers import (
    all_by_position,
    anything,
    ask,
    ask_and_tell,
    ask_at,
    ask_in_a_thread,
    ask_in_two_threads,
    ask_twice,
    close_and_wait,
    count_and_die,
    count_and_fail,
    count_at,
    count_to,
    die_until,
    double,
    fail_until,
    have_a_child_speak,
    hold_the_line,
    is_answered_with,
    no_comm,
    only_by_position,
    say_nothing,
    second,
    send_what_cannot_be_sent,
    send_what_does_not_arrive,
    share_with_threads,
    tell_what_ends_it,
)

R = TypeVar("R")

pytestmark = pytest.mark.timeout(60, func_only=True)  # workers are started by fixtures


class Entry(NamedTuple):
    """A line of the log of a task."""

    event: str
    what: object = None


class Log(list[Entry]):
    """What a task said about its calls, in order."""

    def __init__(self, task: Task[..., Any]) -> None:
        super().__init__()
        self.msgs: list[Comm.Msg[Any]] = []
        for event in (Comm.MESSAGE, Comm.REQUEST, Comm.CLOSE):
            task.on(event).add(partial(self.hear, event.name))
        task.on_submitted(self.hear_submitted)
        task.on_done.add(lambda _: self.append(Entry("on_done")))
        task.on_cancelled.add(lambda _: self.append(Entry("on_cancelled")))
        task.on_result.add(lambda _, result: self.append(Entry("on_result", result)))
        task.on_exception.add(lambda _, error: self.append(Entry("on_exception", str(error))))

    def hear_submitted(self, *_: object, **__: object) -> None:
        self.append(Entry("on_submitted"))

    def hear_retry(self, attempt: int, *_: object) -> None:
        self.append(Entry("retry", attempt))

    def hear(self, name: str, msg: Comm.Msg[Any]) -> None:
        self.msgs.append(msg)
        self.append(Entry(name, msg.data))

    @property
    def names(self) -> list[str]:
        return [entry.event for entry in self]

    def of(self, event: str) -> list[Any]:
        return [entry.what for entry in self if entry.event == event]


def speaking(
    backend: Backend, function: Callable[..., R], *more: TaskPlugin
) -> tuple[Scheduler, Task[..., R], Log]:
    """A scheduler with a task whose calls speak, and the log of it."""
    scheduler = Scheduler(backend)
    task: Task[..., R] = scheduler.task(function, plugins=[*more, Comm.Plugin()])
    return scheduler, task, Log(task)


# What is sent.


def test_what_is_sent_is_heard(everywhere: Backend) -> None:
    """
    In its order, after the call was submitted, before its outcome.
    """
    scheduler, task, log = speaking(everywhere, count_to)
    scheduler.on_start(lambda: task(3))
    scheduler.run()
    assert log == [
        Entry("on_submitted"),
        *(Entry("comm-message", i) for i in range(3)),
        *(Entry("comm-close"), Entry("on_done"), Entry("on_result", 3)),
    ]


def test_a_message_says_whose_it_is(everywhere: Backend) -> None:
    """
    The task, the future of the call, and which call it is: one can keep books by that.
    """
    scheduler, task, log = speaking(everywhere, count_to)
    futures: list[Future[int] | None] = []
    scheduler.on_start.add(lambda: futures.extend([task(2), task(3)]))
    scheduler.run()
    assert {msg.task for msg in log.msgs} == {task}
    books = Counter((msg.identifier, msg.future) for msg in log.msgs if msg.data is not None)
    assert sorted(books.values()) == [2, 3]
    assert {future for _, future in books} == set(futures)
    assert len({identifier for identifier, _ in books}) == 2
    assert all(future.result() == n for (_, future), n in books.items())


def test_a_call_that_says_nothing_says_so(everywhere: Backend) -> None:
    """
    `comm-close` comes for each call, whether it has spoken or not.
    """
    scheduler, task, log = speaking(everywhere, say_nothing)
    scheduler.on_start(task)
    scheduler.run()
    assert log.names == ["on_submitted", "comm-close", "on_done", "on_result"]


def test_nothing_is_lost_when_the_call_raises(everywhere: Backend) -> None:
    """
    What was sent before is heard before the outcome.
    """
    scheduler, task, log = speaking(everywhere, count_and_fail)
    scheduler.on_start(lambda: task(100))
    scheduler.run(on_exception="end")
    assert log.of("comm-message") == list(range(100))
    assert log.names[-3:] == ["comm-close", "on_done", "on_exception"]


def test_nothing_is_lost_when_the_worker_is_killed(mortal: Backend) -> None:
    """
    All that `send` returned for is heard, though nobody said goodbye; then the call is lost.
    """
    scheduler, task, log = speaking(mortal, count_and_die)
    scheduler.on_start(lambda: task(3000))
    scheduler.run(on_exception="end")
    assert log.of("comm-message") == list(range(3000))
    assert log.names[-3:] == ["comm-close", "on_done", "on_exception"]


def test_big_messages_arrive_whole(elsewhere: Backend) -> None:
    """
    Megabytes, both ways.
    """
    scheduler, task, log = speaking(elsewhere, ask)
    task.on("comm-request").add(lambda msg: msg.respond(msg.data[::-1]))
    much = os.urandom(5_000_000)
    scheduler.on_start(lambda: task(much))
    scheduler.run()
    assert log.of("on_result") == [much[::-1]]


def test_what_cannot_be_pickled_is_an_error_of_who_sends_it(everywhere: Backend) -> None:
    """
    Which the call may survive.
    """
    scheduler, task, log = speaking(everywhere, send_what_cannot_be_sent)
    scheduler.on_start(task)
    scheduler.run()
    assert log.of("comm-message") == ["and goes on"]
    assert "Cannot send a message, a lock" in log.of("on_result")[0]


def test_what_cannot_be_unpickled_is_not_passed_over(everywhere: Backend) -> None:
    """
    Nobody could be told of the message, so the run is: `on_exception` decides.
    """
    scheduler, task, log = speaking(everywhere, send_what_does_not_arrive)
    scheduler.on_start(task)
    state = scheduler.run(on_exception="end")
    assert isinstance(state.exception, NotPicklableError)
    assert "Cannot unpickle a message of send_what_does_not_arrive-" in str(state.exception)
    assert log.of("comm-message") == ["and goes on"]


@pytest.mark.parametrize("policy", ["raise", "ignore"])
def test_a_callback_that_raises_is_judged_like_every_other(
    everywhere: Backend, policy: Any
) -> None:
    """
    `on_exception` decides; the call knows nothing of it.
    """
    scheduler, task, log = speaking(everywhere, count_to)

    @task.on("comm-message", limit=1)
    def explode(_: Comm.Msg[int]) -> None:
        raise Boom("heard it")

    scheduler.on_start(lambda: task(3))
    if policy == "raise":
        with pytest.raises(Boom, match="heard it"):
            scheduler.run(on_exception=policy)
    else:
        scheduler.run(on_exception=policy)
    assert log.of("comm-message") == [0, 1, 2]
    assert log.of("on_result") == [3]


# What is asked.


def test_a_request_is_answered(everywhere: Backend) -> None:
    """
    The call waits for what the callback responds, and is heard before and after.
    """
    scheduler, task, log = speaking(everywhere, ask)
    task.on("comm-request").add(lambda msg: msg.respond(msg.data + 1))
    scheduler.on_start(lambda: task(41))
    scheduler.run()
    assert log == [
        *(Entry("on_submitted"), Entry("comm-message", "first"), Entry("comm-request", 41)),
        *(Entry("comm-message", "last"), Entry("comm-close")),
        *(Entry("on_done"), Entry("on_result", 42)),
    ]


def test_an_answer_may_come_later(elsewhere: Backend) -> None:
    """
    For instance when another call has computed it.
    """
    scheduler, task, log = speaking(elsewhere, ask)
    doubling = scheduler.task(double)
    asked: list[Comm.Msg[int]] = []

    @task.on("comm-request")
    def pass_on(msg: Comm.Msg[int]) -> None:
        asked.append(msg)
        doubling(msg.data)

    doubling.on_result.add(lambda _, result: asked.pop().respond(result))
    scheduler.on_start(lambda: task(4))
    scheduler.run()
    assert log.of("on_result") == [8]


def test_an_answer_may_be_of_a_type_of_the_program(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It is the very type that the call knows, also where that came to it by value.
    """
    if abilities_of(backend).functions not in {"any", "by value"}:
        return
    kind = type("OfAScript", (), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "OfAScript", kind, raising=False)
    scheduler, task, log = speaking(backend, is_answered_with)
    task.on("comm-request").add(lambda msg: msg.respond(kind()))
    scheduler.on_start(lambda: task(kind))
    scheduler.run()
    assert log.of("on_result") == [True]


def test_a_request_that_nobody_hears_is_an_error_at_once(everywhere: Backend) -> None:
    """
    Without a callback that is called there is no use in waiting.
    """
    scheduler = Scheduler(everywhere)
    task = scheduler.task(ask_and_tell, plugins=Comm.Plugin())
    told: list[str] = []
    task.on_result.add(lambda _, said: told.append(said))
    scheduler.on_start(lambda: task("anybody?", timeout=None))
    scheduler.run()
    assert told == [
        "CommNotAnsweredError: Nobody answers the request: no callback of `comm-request` was called."
    ]


def test_a_callback_that_raises_does_not_leave_the_call_waiting(everywhere: Backend) -> None:
    """
    The call hears what it was.
    """
    scheduler, task, log = speaking(everywhere, ask_and_tell)

    @task.on("comm-request")
    def explode(_: Comm.Msg[int]) -> None:
        raise Boom("no idea")

    scheduler.on_start(lambda: task(1, timeout=None))
    scheduler.run(on_exception="ignore")
    (said,) = log.of("on_result")
    assert said.startswith("CommNotAnsweredError: ")
    assert "raised Boom: no idea" in said


def test_an_answer_that_is_late_is_not_taken_for_another(elsewhere: Backend) -> None:
    """
    A request that is not answered in time is an error of the call; it may ask again.
    """
    scheduler, task, log = speaking(elsewhere, ask_twice)
    slow: list[Comm.Msg[str]] = []

    @task.on("comm-request")
    def answer(msg: Comm.Msg[str]) -> None:
        if msg.data == "slow":
            slow.append(msg)
        else:
            slow[0].respond("late")
            msg.respond("in time")

    scheduler.on_start(task)
    scheduler.run()
    assert log.of("comm-message") == ["The request was not answered within 0.2 seconds."]
    assert log.of("on_result") == ["in time"]


def test_in_place_nobody_can_answer_later() -> None:
    """
    The sequential backend computes the call in the thread that would: so it does not wait.
    """
    scheduler, task, log = speaking(Sequential(), ask_and_tell)
    scheduler.on_start(lambda: task("later?", timeout=None))
    scheduler.run()
    (said,) = log.of("on_result")
    assert "nothing else happens before this call has ended" in said


def answer_with_a_lock(errors: list[BaseException], msg: Comm.Msg[object]) -> None:
    try:
        msg.respond(return_a_lock())
    except NotPicklableError as error:
        errors.append(error)


def answer_what_fails(msg: Comm.Msg[object]) -> None:
    msg.respond(FailsWhenUnpickled())


def test_an_answer_that_cannot_be_pickled_is_an_error_on_both_sides(everywhere: Backend) -> None:
    """
    The callback hears it where it responds, and the call instead of an answer.
    """
    scheduler, task, log = speaking(everywhere, ask_and_tell)
    errors: list[BaseException] = []
    task.on("comm-request").add(partial(answer_with_a_lock, errors))
    scheduler.on_start(lambda: task(1, timeout=None))
    scheduler.run()
    (said,) = log.of("on_result")
    assert said.startswith("NotPicklableError: Cannot send an answer, a lock: ")
    assert len(errors) == 1


def test_an_answer_that_cannot_be_unpickled_is_an_error_of_the_call(everywhere: Backend) -> None:
    """
    And so is a request that cannot be.
    """
    scheduler, task, log = speaking(everywhere, ask_and_tell)
    task.on("comm-request").add(answer_what_fails)
    scheduler.on_start.add(lambda: task(1), lambda: task(FailsWhenUnpickled))
    scheduler.run()
    answer, request = sorted(log.of("on_result"), reverse=True)
    assert answer.startswith("NotPicklableError: Cannot unpickle the answer to a request: ")
    assert request.startswith("NotPicklableError: Cannot unpickle a request of ask_and_tell-")


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), "1", True])
def test_a_time_that_is_none_is_refused(timeout: Any) -> None:
    """
    Before anything is asked.
    """
    with pytest.raises((TypeError, ValueError), match="timeout="):
        Comm.NONE.request(1, timeout=timeout)


# How it ends.


def test_a_run_that_is_stopped_lets_no_call_wait(everywhere: Backend) -> None:
    """
    A request that is not answered ends with the run, so that the call can end, too.
    """
    scheduler, task, log = speaking(everywhere, ask_and_tell)
    task.on("comm-request").add(lambda _: scheduler.stop())
    scheduler.on_start(lambda: task("wait?", timeout=None))
    assert scheduler.run().code is ExitCode.STOPPED
    (said,) = log.of("on_result")
    assert said.startswith("CommNotAnsweredError: ")
    assert log.names[-4:] == ["comm-message", "comm-close", "on_done", "on_result"]


def test_a_run_whose_time_is_over_lets_no_call_wait(elsewhere: Backend) -> None:
    """
    Nor one that asks only then; but what a callback answers right away is answered to the end.
    """
    scheduler, task, log = speaking(elsewhere, ask_and_tell)
    scheduler.on_start(lambda: task("wait?", timeout=None))
    assert scheduler.run(timeout=0.5).code is ExitCode.TIMEOUT
    assert log.of("on_result")[0].startswith("CommNotAnsweredError: ")


def test_a_run_that_is_ending_still_answers(elsewhere: Backend, tmp_path: Path) -> None:
    """
    As long as it waits for the call.
    """
    scheduler, task, log = speaking(elsewhere, ask_at)
    task.on("comm-request").add(lambda msg: msg.respond("just in time"))
    with Gate(tmp_path / "gate") as gate:
        task.on("comm-message").add(lambda _: scheduler.stop())
        scheduler.on_finishing.add(gate.let_go)
        scheduler.on_start(lambda: task(gate.path))
        scheduler.run()
    assert log.of("on_result") == ["just in time"]


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    """Where a call can write to whoever reads there, who waits for it."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return str(path)


@pytest.mark.parametrize("question", ["?", None])
def test_a_call_that_is_cancelled_is_not_listened_to(
    elsewhere: Backend, fifo: str, question: str | None
) -> None:
    """
    `comm-close` comes before `on_cancelled`, nothing comes after it, and the call is told.
    """
    scheduler, task, log = speaking(elsewhere, tell_what_ends_it)
    for event in (Comm.MESSAGE, Comm.REQUEST):
        task.on(event, limit=1)(lambda msg: msg.future.cancel())
    scheduler.on_start(lambda: task(fifo, question))
    reader = ReadsFrom(fifo)
    scheduler.run()
    assert reader.text() == "CommClosedError"
    assert log.names[-2:] == ["comm-close", "on_cancelled"]
    assert log.names.count("comm-close") == 1


class ReadsFrom(threading.Thread):
    """Reads what a call writes, while the run goes on."""

    def __init__(self, fifo: str) -> None:
        super().__init__()
        self._fifo = fifo
        self._text = ""
        self.start()

    @override
    def run(self) -> None:
        self._text = Path(self._fifo).read_text()

    def text(self) -> str:
        self.join(20)
        return self._text


def test_a_call_can_be_cancelled_in_place(tmp_path: Path) -> None:
    """
    Also where it is computed while it is submitted, and its future was not returned yet.
    """
    scheduler, task, log = speaking(Sequential(), tell_what_ends_it)
    task.on("comm-message", limit=1)(lambda msg: msg.future.cancel())
    scheduler.on_start(lambda: task(str(tmp_path / "end"), None))
    scheduler.run()
    assert (tmp_path / "end").read_text() == "CommClosedError"
    assert log.names == ["on_submitted", "comm-message", "comm-close", "on_cancelled"]
    assert all_accounted_for(scheduler)


def test_without_waiting_all_ends_at_once(mortal: Backend) -> None:
    """
    A call that asks is cancelled, and `comm-close` still comes first.
    """
    scheduler, task, log = speaking(mortal, ask)
    task.on("comm-request").add(lambda _: scheduler.stop())
    scheduler.on_start(lambda: task(1, timeout=None))
    scheduler.run(wait=False)
    assert log.names[-2:] == ["comm-close", "on_cancelled"]
    assert all_accounted_for(scheduler)


def test_a_thread_that_was_abandoned_does_not_wait(fifo: str) -> None:
    """
    Nobody will answer it, and it hears so.
    """
    scheduler, task, log = speaking(Threads(1), tell_what_ends_it)
    task.on("comm-request").add(lambda _: scheduler.stop())
    scheduler.on_start(lambda: task(fifo, "?"))
    reader = ReadsFrom(fifo)
    scheduler.run(wait=False)
    assert reader.text() == "CommNotAnsweredError"
    assert log.names[-2:] == ["comm-close", "on_cancelled"]


def test_a_call_can_close_before_it_ends(elsewhere: Backend, tmp_path: Path) -> None:
    """
    `comm-close` comes while it goes on, and not once more; it cannot say anything then.
    """
    scheduler, task, log = speaking(elsewhere, close_and_wait)
    with Gate(tmp_path / "gate") as gate:
        task.on("comm-close").add(lambda _: gate.let_go())
        scheduler.on_start(lambda: task(gate.path))
        scheduler.run()
    assert log.names.count("comm-close") == 1
    assert log.of("on_result") == ["This Comm was closed, and nothing can be said any more."]


def test_who_has_gone_cannot_be_answered(everywhere: Backend) -> None:
    """
    After `comm-close`, responding is an error; so it is to respond twice, or to a message.
    """
    scheduler, task, log = speaking(everywhere, ask_and_tell)
    errors: list[BaseException] = []

    def respond(msg: Comm.Msg[Any]) -> None:
        try:
            msg.respond("too much")
        except CommError as error:
            errors.append(error)

    task.on("comm-message").add(respond)
    task.on("comm-close").add(lambda msg: respond(next(m for m in log.msgs if m.data == "?")))
    scheduler.on_start(lambda: task("?", timeout=0.1))
    scheduler.run()
    is_sequential = isinstance(everywhere, Sequential)
    assert [type(error) for error in errors] == [
        CommAnswerError,
        CommAnswerError if is_sequential else CommClosedError,
    ]


def test_a_line_that_nobody_lets_go_of_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A process that a dead worker left behind has a copy of its connection: after a while of silence
    the call ends all the same.
    """
    monkeypatch.setattr(comm_talk, "SILENCE", 0.3)
    scheduler, task, log = speaking(Processes(1, mp_context="fork"), hold_the_line)
    with Gate(tmp_path / "gate") as gate:
        scheduler.on_start(lambda: task(gate.path))
        state = scheduler.run(on_exception="end")
        gate.hold()
    assert isinstance(state.exception, WorkerLostError)
    assert log.names == ["on_submitted", "comm-message", "comm-close", "on_done", "on_exception"]


# Attempts.


@pytest.mark.parametrize("retry_first", [True, False])
def test_each_attempt_is_a_call_of_its_own(
    everywhere: Backend, tmp_path: Path, retry_first: bool
) -> None:
    """
    It has an identifier of its own and is closed once, before the next one; the future is the same.
    """
    scheduler = Scheduler(everywhere)
    plugins = [Retry(on=Boom), Comm.Plugin()]
    task = scheduler.task(fail_until, plugins=plugins if retry_first else plugins[::-1])
    log = Log(task)
    task.on("retry")(log.hear_retry)
    scheduler.on_start(lambda: task(str(tmp_path / "attempts"), 3))
    scheduler.run()
    assert log == [
        Entry("on_submitted"),
        *(Entry("comm-message", 1), Entry("comm-close"), Entry("retry", 1)),
        *(Entry("comm-message", 2), Entry("comm-close"), Entry("retry", 2)),
        *(Entry("comm-message", 3), Entry("comm-close"), Entry("on_done"), Entry("on_result", 3)),
    ]
    assert Counter(Counter(msg.identifier for msg in log.msgs).values()) == {2: 3}
    assert len({msg.future for msg in log.msgs}) == 1


def test_an_attempt_that_was_lost_has_said_what_it_said(processes: Backend, tmp_path: Path) -> None:
    """
    Before there is another one.
    """
    scheduler, task, log = speaking(processes, die_until, Retry())
    scheduler.on_start(lambda: task(str(tmp_path / "attempts"), 2))
    scheduler.run()
    assert log.names[1:5] == ["comm-message", "comm-close"] * 2
    assert log.of("comm-message") == [1, 2]


# Calls that are not made.


class Refuses(TaskPlugin):
    """Says no, at one place or the other."""

    name = "refuses"

    def __init__(self, at: str) -> None:
        self.at = at

    @override
    def pre_submit(self, call: Call[R], /) -> Call[R] | None:
        return None if self.at == "pre_submit" else call

    @override
    def attempt_begins(self, attempt: Attempt[R], /) -> Accompanied[R] | None:
        if self.at == "attempt_begins":
            raise Boom(self.at)
        return None

    @override
    def copy(self) -> Self:
        return type(self)(self.at)


def board_of(scheduler: Scheduler) -> Board:
    """Where the lines of the run come in."""
    run = scheduler._run
    assert run is not None
    ((_, board),) = run.services._open.items()
    assert isinstance(board, Board)
    return board


def test_a_refused_call_opens_nothing(everywhere: Backend) -> None:
    """
    If a plugin refuses a call to which `Comm` has agreed, nobody begins to listen for it.
    """
    scheduler = Scheduler(everywhere)
    task = scheduler.task(count_to, plugins=[Comm.Plugin(), Refuses("pre_submit")])
    log = Log(task)
    services: list[int] = []

    @scheduler.on_start
    def begin() -> None:
        assert task(1) is None
        assert scheduler._run is not None
        services.append(len(scheduler._run.services._open))

    scheduler.run()
    assert (log, services) == ([], [0])


@pytest.mark.parametrize("at", ["attempt_begins", "the executor"])
def test_a_call_that_fails_to_be_submitted_leaves_nothing_behind(at: str) -> None:
    """
    Neither a talk that waits for somebody, nor a word about it.
    """
    executor = HandDriven()
    executor.shut = at == "the executor"
    scheduler = Scheduler(executor)
    task = scheduler.task(count_to, plugins=[Comm.Plugin(), Refuses(at)])
    log = Log(task)

    @scheduler.on_start
    def begin() -> None:
        with pytest.raises((Boom, RuntimeError), match=f"{at}|shut"):
            task(1)
        assert board_of(scheduler)._talks == {}

    scheduler.run()
    assert log == []


def test_a_queued_call_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    """
    It never speaks, and says so.
    """
    scheduler, task, log = speaking(Threads(1), ask_at)
    talks: list[int] = []
    with Gate(tmp_path / "gate") as gate:
        task.on("comm-request").add(lambda msg: msg.respond(None))
        task.on("comm-message").add(lambda _: future_of(task(gate.path)).cancel())
        task.on_cancelled.add(lambda _: talks.append(len(board_of(scheduler)._talks)))
        task.on_cancelled.add(lambda _: gate.let_go())
        scheduler.on_start(lambda: task(gate.path))
        scheduler.run()
    assert talks == [1]
    assert log.names[:5] == [
        *("on_submitted", "comm-message", "on_submitted", "comm-close", "on_cancelled")
    ]


@pytest.mark.parametrize("function", [no_comm, only_by_position, all_by_position])
def test_a_function_without_the_argument_is_refused(function: Callable[..., object]) -> None:
    """
    When the plugin is attached, which is then free for another task.
    """
    scheduler = Scheduler.with_sequential()
    plugin = Comm.Plugin()
    with pytest.raises(PluginError, match=r"cannot be given a `comm`.*comm: Comm = Comm.NONE"):
        scheduler.task(function, plugins=plugin)
    assert scheduler.tasks == []
    scheduler.task(count_to, plugins=plugin)
    with pytest.raises(PluginError, match="is attached to"):
        scheduler.task(count_to, plugins=plugin)


def test_a_task_has_one_of_them() -> None:
    """
    A second one is refused, which is then free for another task.
    """
    scheduler = Scheduler.with_sequential()
    first, other = Comm.Plugin(), Comm.Plugin()
    with pytest.raises(PluginError, match=r"another one already.*Leave one of them out"):
        scheduler.task(count_to, plugins=[first, other])
    assert scheduler.tasks == []
    scheduler.task(count_to, plugins=other)


@pytest.mark.parametrize("function", [anything, second, partial(second, 1), partial(anything)])
def test_a_function_may_take_it_in_any_way(function: Callable[..., object]) -> None:
    """
    By its name, with a default, or among all keywords.
    """
    scheduler, task, log = speaking(Sequential(), function)
    task.on("comm-request").add(lambda msg: msg.respond("it does"))
    scheduler.on_start(lambda: task(*([1] if function is second else [])))
    scheduler.run()
    assert log.of("on_result") == ["it does"]


def test_a_function_that_does_not_say_what_it_takes_is_believed() -> None:
    """
    Some builtins have no signature; what they do not take is an error of the call.
    """
    scheduler, task, _ = speaking(Sequential(), max)
    scheduler.on_start(lambda: task([1]))
    state = scheduler.run(on_exception="end")
    assert isinstance(state.exception, TypeError)


def test_who_gives_a_comm_is_told_that_it_is_given_already(everywhere: Backend) -> None:
    """
    By its name or by its position: an error where the call is made.
    """
    scheduler, task, log = speaking(everywhere, second)
    errors: list[str] = []

    @scheduler.on_start
    def begin() -> None:
        for args, kwargs in (((1, Comm.NONE), {}), ((1,), {"comm": Comm.NONE})):
            with pytest.raises(PluginError, match="argument `comm` already") as refused:
                task(*args, **kwargs)
            errors.append(str(refused.value))

    scheduler.run()
    assert len(errors) == 2
    assert log == []


class Holding(partial[R]):
    """One that another `partial` does not take apart."""


@pytest.mark.parametrize(
    "function",
    [
        partial(count_to, comm=Comm.NONE),
        partial(anything, comm=1),
        partial(Holding(second, comm=Comm.NONE), 1),
    ],
)
def test_a_function_that_has_its_comm_is_refused(function: Callable[..., object]) -> None:
    """
    It would never get the one that it holds.
    """
    scheduler = Scheduler.with_sequential()
    with pytest.raises(PluginError, match="argument `comm` already"):
        scheduler.task(function, plugins=Comm.Plugin())
    assert scheduler.tasks == []


def with_comm_as_keyword(call: Call[R], _: int) -> Call[R]:
    return call.with_kwargs(comm=Comm.NONE)


def with_comm_in_function(call: Call[R], _: int) -> Call[R]:
    return call.with_function(partial(call.function, comm=Comm.NONE))


@pytest.mark.parametrize("change", [with_comm_as_keyword, with_comm_in_function])
@pytest.mark.parametrize("retry_first", [True, False])
def test_no_other_plugin_can_give_one_to_a_later_attempt(
    change: Callable[[Call[Any], int], Call[Any]], retry_first: bool
) -> None:
    """
    Wherever it stands: the attempt is not made, and the run is told why.
    """
    scheduler = Scheduler.with_threads(1)
    plugins = [Retry(on=Boom, change=change), Comm.Plugin()]
    task = scheduler.task(count_and_fail, plugins=plugins if retry_first else plugins[::-1])
    log = Log(task)
    scheduler.on_start(lambda: task(1))
    state = scheduler.run(on_exception={Boom: "ignore", PluginError: "end"})
    assert isinstance(state.exception, PluginError)
    assert "argument `comm` already" in str(state.exception)
    assert log.names == [*("on_submitted", "comm-message", "comm-close", "on_done", "on_exception")]


# Who else speaks.


def test_threads_can_share_it(elsewhere: Backend) -> None:
    """
    Each is heard in its order, and gets its own answer.
    """
    scheduler, task, log = speaking(elsewhere, share_with_threads)
    task.on("comm-request").add(lambda msg: msg.respond(10 * msg.data))
    scheduler.on_start(lambda: task(50))
    scheduler.run()
    assert log.of("on_result") == [[0, 10, 20, 30]]
    for who in range(4):
        heard = [i for said, i in log.of("comm-message") if said == who]
        assert heard == list(range(50))


def test_a_thread_does_not_wait_for_the_answer_of_another(elsewhere: Backend) -> None:
    """
    The quick one is asked while the slow one waits, and answered first.
    """
    scheduler, task, log = speaking(elsewhere, ask_in_two_threads)
    asked: dict[str, Comm.Msg[str]] = {}

    @task.on("comm-request")
    def answer_the_quick_one(msg: Comm.Msg[str]) -> None:
        asked[msg.data] = msg
        if len(asked) == 2:
            asked["quick"].respond("at once")

    task.on("comm-message").add(lambda _: asked["slow"].respond("at last"))
    scheduler.on_start(task)
    scheduler.run()
    assert log.of("on_result") == [["at once", "at last"]]


def test_in_place_only_the_thread_of_the_call_can_ask() -> None:
    """
    Another one would wait for the very thread that waits for it. What it sends is heard, at the end.
    """
    scheduler, task, log = speaking(Sequential(), ask_in_a_thread)
    task.on("comm-request").add(lambda msg: msg.respond(1))
    scheduler.on_start(task)
    scheduler.run()
    assert log.of("comm-message") == ["from here", "from a thread"]
    assert "computing this very call" in log.of("on_result")[0]
    assert log.names[-3:] == ["comm-close", "on_done", "on_result"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize(
    "backend", [Processes(1, mp_context="fork"), Processes(1, mp_context="spawn"), Sequential()]
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_processes_of_a_call_can_speak_for_it(backend: Backend, method: str) -> None:
    """
    It can be passed on, copied or forked; all is heard before the outcome.
    """
    scheduler, task, log = speaking(backend, have_a_child_speak)
    scheduler.on_start(lambda: task(method))
    scheduler.run()
    heard = log.of("comm-message")
    assert sorted(map(str, heard)) == ["0", "1", "2", "after", "before"]
    assert [i for i in heard if isinstance(i, int)] == [0, 1, 2]
    assert log.of("on_result") == [0]
    assert log.names.count("comm-close") == 1


def test_a_call_without_a_scheduler_speaks_to_nobody() -> None:
    """
    A function can be called as it is: what it sends is heard by nobody, and nobody answers.
    """
    assert count_to(3) == 3
    with pytest.raises(NotPicklableError):
        Comm.NONE.send(return_a_lock())
    with pytest.raises(CommNotAnsweredError, match=r"Comm\.NONE"):
        ask("?")
    with Comm.NONE as nobody:
        nobody.send(1)
    Comm.NONE.send(2)
    copied: Comm = pickle.loads(pickle.dumps(Comm.NONE))
    copied.send(3)
    assert (repr(copied), copied.identifier) == ("Comm.NONE", "")


# Strangers.


def shout(port: int, data: bytes) -> bytes:
    """Say something that nobody understands, and return all that is said to it."""
    with socket.create_connection(("127.0.0.1", port), 20) as stranger:
        stranger.sendall(data)
        said = b""
        while received := stranger.recv(4096):
            said += received
        return said


def test_strangers_disturb_nobody(elsewhere: Backend, tmp_path: Path) -> None:
    """
    Who says nonsense is hung up on, who has another key is not heard, and who says nothing is left
    standing; what the call says arrives meanwhile.
    """
    scheduler, task, log = speaking(elsewhere, count_at)
    silent: list[socket.socket] = []

    def disturb(gate: Gate) -> None:
        port = board_of(scheduler)._server.port
        silent.extend(socket.create_connection(("127.0.0.1", port)) for _ in range(10))
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(100_000), bytes(9), b"\xff" * 9):
            assert len(shout(port, nonsense)) <= HEAD.size + NONCE
        socket.create_connection(("127.0.0.1", port)).close()
        (known,) = board_of(scheduler)._talks
        for key, identifier in ((b"k" * 32, known), (board_of(scheduler)._server.key, "nobody")):
            with pytest.raises(CommClosedError):
                Peer(Invitation("127.0.0.1", port, key, identifier))
        gate.let_go()

    with Gate(tmp_path / "gate") as gate:
        task.on("comm-message", limit=1)(lambda _: disturb(gate))
        scheduler.on_start(lambda: task(gate.path, 1000))
        scheduler.run()
    assert log.of("comm-message") == ["here", *range(1000)]
    assert log.of("on_result") == [1000]
    for stranger in silent:
        with stranger:
            stranger.settimeout(20)
            while stranger.recv(4096):
                pass


# Where it listens.


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2"])
def test_it_listens_where_it_is_told(host: str) -> None:
    """
    A name or an address of this machine, which calls connect to.
    """
    scheduler = Scheduler.with_processes(1)
    task = scheduler.task(count_to, plugins=Comm.Plugin(host=host))
    log = Log(task)
    scheduler.on_start(lambda: task(3))
    scheduler.run()
    assert log.of("comm-message") == [0, 1, 2]


def test_a_host_that_cannot_be_listened_on_is_an_error_of_the_call() -> None:
    """
    Which says what to do, and leaves nothing behind.
    """
    scheduler = Scheduler.with_threads(1)
    task = scheduler.task(count_to, plugins=Comm.Plugin(host="192.0.2.1"))

    @scheduler.on_start
    def begin() -> None:
        with pytest.raises(PluginError, match=r"cannot listen on '192.0.2.1'.*`host` be how calls"):
            task(1)
        assert task.n_running == 0

    scheduler.run()


def test_a_call_that_cannot_reach_the_scheduler_says_so(elsewhere: Backend) -> None:
    """
    At once, before it has done anything, and how that can be changed.
    """
    scheduler = Scheduler(elsewhere)
    plugin = Comm.Plugin(host="127.0.0.2", listen="127.0.0.1")
    task = scheduler.task(count_to, plugins=plugin)
    log = Log(task)
    scheduler.on_start(lambda: task(3))
    state = scheduler.run(on_exception="end")
    assert isinstance(state.exception, CommClosedError)
    assert "Cannot reach the scheduler at 127.0.0.2:" in str(state.exception)
    assert "Comm.Plugin(host=...)" in str(state.exception)
    assert log.names == ["on_submitted", "comm-close", "on_done", "on_exception"]


@pytest.mark.parametrize("place", [3, None, "", " ", "a..b", "a" * 70, "x\0y", "\ud800"])
def test_a_host_that_is_none_is_refused(place: Any) -> None:
    """
    When the plugin is made.
    """
    with pytest.raises((TypeError, ValueError), match=r"host=.*machine"):
        Comm.Plugin(host=place)
    if place is not None:
        with pytest.raises((TypeError, ValueError), match=r"listen=.*machine"):
            Comm.Plugin(listen=place)


@pytest.mark.parametrize("place", ["host.", "bücher.example", "::1", "fe80::1%eth0", "a" * 63])
def test_a_host_may_have_any_name(place: str) -> None:
    """
    Whether there is such a machine is known only when somebody looks.
    """
    assert Comm.Plugin(place, listen=place).host == place


# Runs.


def test_a_scheduler_can_run_again(backend: Backend) -> None:
    """
    Each run listens anew, with a key of its own; the plugin is the same.
    """
    scheduler, task, log = speaking(backend, count_to)
    keys: list[bytes] = []
    scheduler.on_start(lambda: task(2))
    scheduler.on_start.add(lambda: keys.append(board_of(scheduler)._server.key))
    scheduler.run()
    scheduler.run()
    assert log.of("comm-message") == [0, 1, 0, 1]
    assert log.names.count("comm-close") == 2
    assert len(set(keys)) == 2
    assert len({msg.identifier for msg in log.msgs}) == 2


def test_tasks_of_a_run_listen_together() -> None:
    """
    There is one server, whose messages come to the task whose they are; a copy of a task has its own.
    """
    scheduler, task, log = speaking(Threads(2), count_to)
    copied = task.copy()
    other = Log(copied)
    boards: list[Board] = []
    scheduler.on_start.add(lambda: task(1), lambda: copied(2))
    scheduler.on_start.add(lambda: boards.append(board_of(scheduler)))
    scheduler.run()
    assert (log.of("comm-message"), other.of("comm-message")) == ([0], [0, 1])
    assert len(boards) == 1
    assert repr(copied.plugins) == "(Comm.Plugin(host='127.0.0.1'),)"


def test_several_schedulers_can_listen_in_one_loop() -> None:
    """
    Each hears its own calls.
    """
    speakings = [speaking(backend, count_to) for backend in (Threads(1), Threads(1), Sequential())]

    async def run_all() -> None:
        for n, (scheduler, task, _) in enumerate(speakings):
            scheduler.on_start(partial(task, n + 1))
        await asyncio.gather(*(scheduler.async_run() for scheduler, _, _ in speakings))

    asyncio.run(run_all())
    assert [log.of("comm-message") for _, _, log in speakings] == [[0], [0, 1], [0, 1, 2]]


def test_ctrl_c_in_a_callback_ends_a_call_in_place() -> None:
    """
    Where the call is computed by the thread that heard it, it goes through the call.
    """
    scheduler, task, log = speaking(Sequential(), count_to)

    @task.on("comm-message", limit=1)
    def press(_: Comm.Msg[int]) -> NoReturn:
        raise KeyboardInterrupt

    scheduler.on_start(lambda: task(5))
    with pytest.raises(KeyboardInterrupt):
        scheduler.run()
    assert log.names == ["on_submitted", "comm-message", "comm-close", "on_cancelled"]
    assert all_accounted_for(scheduler)


def test_a_worker_that_was_forked_later_keeps_no_line_open(fifo: str, tmp_path: Path) -> None:
    """
    It has copies of what was open then; a call that is hung up on hears it all the same.
    """
    scheduler, task, log = speaking(Processes(2, mp_context="fork"), tell_what_ends_it)
    dying = scheduler.task(die)
    staying = scheduler.task(wait_at)
    reader = ReadsFrom(fifo)
    asked: list[Comm.Msg[Any]] = []
    with Gate(tmp_path / "gate") as held:

        @task.on("comm-request", limit=1)
        def replace_the_other_worker(msg: Comm.Msg[Any]) -> None:
            asked.append(msg)
            dying()

        @dying.on_exception
        def begin_on_a_new_one(*_: object) -> None:
            staying(held.path)

        @staying.on_submitted
        def hang_up(_: Future[str], gate: str) -> None:
            held.hold()
            asked[0].future.cancel()

        @task.on_cancelled
        def wait_for_the_call(_: Future[None]) -> None:
            assert reader.text() == "CommClosedError"
            held.let_go()

        scheduler.on_start(lambda: task(fifo, "?"))
        scheduler.run(on_exception={WorkerLostError: "ignore"})
    assert log.names.count("on_cancelled") == 1


def test_a_server_that_fails_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, fifo: str
) -> None:
    """
    What is wrong in it ends the run like the error of a callback; calls are not listened to.
    """

    def fail(*_: object) -> NoReturn:
        raise Boom("wrong")

    monkeypatch.setattr(Board, "heard", fail)
    scheduler, task, log = speaking(Threads(1), tell_what_ends_it)
    reader = ReadsFrom(fifo)
    scheduler.on_start(lambda: task(fifo, "?"))
    state = scheduler.run(on_exception="end")
    assert str(state.exception) == "wrong"
    assert reader.text() == "CommClosedError"
    assert log.names == ["on_submitted", "comm-close", "on_done", "on_result"]
