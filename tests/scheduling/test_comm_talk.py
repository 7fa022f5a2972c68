"""One talk, and several at once, by hand: what is said when, and when it is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk import Scheduler
from amltk.backends import Abilities
from amltk.exceptions import (
    CommAnswerError,
    CommClosedError,
    CommNotAnsweredError,
    NotPicklableError,
)
from amltk.scheduling import Call, Comm
from amltk.scheduling.comm_talk import ENDED, Talk, Told
from amltk.scheduling.comm_wire import (
    ANSWER,
    FAILURE,
    GOODBYE,
    MESSAGE,
    NUMBER,
    REQUEST,
    Frames,
    failed,
    pack,
    unpack,
)
from amltk.scheduling.companions import Attempt
from amltk.scheduling.services import Services
from tests.helpers import Boom, FailsWhenUnpickled, return_a_lock


def work(comm: Comm = Comm.NONE) -> None:
    comm.close()


class Clock:
    """Timers that a test lets pass."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def later(self, _: float, what: Callable[[], None]) -> Clock:
        self.waiting.append(what)
        return self

    def cancel(self) -> None:
        self.waiting.clear()

    def pass_by(self) -> None:
        (what,) = self.waiting
        self.waiting.clear()
        what()


class ByHand(Clock):
    """Everything that a talk has around it, and the log of what it does."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[str, object]] = []
        self.errors: list[BaseException] = []
        self.services = Services(self.report)
        self.is_ending = False
        self.task = Scheduler.with_sequential().task(work, plugins=Comm.Plugin())
        self.finished: list[Talk] = []

    def soon(self, what: Callable[[], object]) -> None:
        what()

    def report(self, error: BaseException) -> None:
        self.errors.append(error)

    # What an exchange does.

    def retire(self, talk: Talk, n_ended: int) -> bool:
        return talk.n_lines == n_ended

    def hang_up(self, talk: Talk) -> None:
        self.log.append(("hang up", talk.identifier))

    def finish(self, talk: Talk) -> None:
        self.finished.append(talk)

    def talk(self, identifier: str = "work-1") -> Talk:
        future: Any = Future[None]()
        attempt = Attempt(
            Call.of(work), future, self, Abilities(), lambda: self.log.append(("announced", ""))
        )
        on = self.task.on
        told = Told(self.task, on(Comm.MESSAGE), on(Comm.REQUEST), on(Comm.CLOSE))
        return Talk(identifier, attempt, told, self)

    def listen(self) -> None:
        for name in (Comm.MESSAGE, Comm.REQUEST, Comm.CLOSE):
            self.task.on(name).add(partial(self.hear, name.name))

    def hear(self, name: str, msg: Comm.Msg[Any]) -> None:
        self.log.append((name, msg.data))

    def let_go(self) -> None:
        self.log.append(("let go", None))


@dataclass
class HandLine:
    """A line that remembers what was said on it; its call says things by hand."""

    talk: Talk
    said: list[tuple[int, int, Any]] = field(default_factory=list[tuple[int, int, Any]])
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    def __post_init__(self) -> None:
        self.talk.n_lines += 1

    def say(self, data: bytes) -> None:
        for kind, content in Frames().feed(data):
            (number,) = NUMBER.unpack_from(content)
            rest = content[NUMBER.size :]
            self.said.append((number, kind, unpack(rest, "") if kind == ANSWER else failed(rest)))

    def comes(self, kind: int, content: bytes = b"") -> None:
        self.talk.n_read += 1
        self.talk.n_bytes += len(content)
        self.talk.hear(self, kind, bytearray(content))

    def sends(self, value: object) -> None:
        self.comes(MESSAGE, pack(value, ""))

    def asks(self, value: object) -> None:
        self.comes(REQUEST, NUMBER.pack(next(self.numbers)) + pack(value, ""))

    def ends(self, *, goodbye: bool = False) -> None:
        if goodbye:
            self.comes(GOODBYE)
        self.comes(ENDED)


@pytest.fixture
def around() -> ByHand:
    by_hand = ByHand()
    by_hand.listen()
    return by_hand


def names(log: list[tuple[str, object]]) -> list[str]:
    return [name for name, _ in log if name != "hang up"]


# When it is over.


def test_the_outcome_waits_for_the_end_of_the_line(around: ByHand) -> None:
    """
    What is still on its way when the call has its outcome is heard before that is let go.
    """
    talk = around.talk()
    line = HandLine(talk)
    line.sends(1)
    talk.attempt_ended(around.let_go)
    line.sends(2)
    assert names(around.log) == ["comm-message", "comm-message"]
    line.ends()
    assert names(around.log)[2:] == ["comm-close", "let go"]
    assert talk.is_over


def test_a_call_that_has_no_line_keeps_nobody_waiting(around: ByHand) -> None:
    """
    It says nothing more, and its outcome goes.
    """
    around.talk().attempt_ended(around.let_go)
    assert names(around.log) == ["comm-close", "let go"]


def test_goodbye_is_the_end_although_the_call_goes_on(around: ByHand) -> None:
    """
    `comm-close` comes then, and not once more with the outcome.
    """
    talk = around.talk()
    HandLine(talk).ends(goodbye=True)
    assert names(around.log) == ["comm-close"]
    talk.attempt_ended(around.let_go)
    assert names(around.log) == ["comm-close", "let go"]


def test_goodbye_on_one_of_two_lines_is_not_the_end(around: ByHand) -> None:
    """
    A process of the call may still speak.
    """
    talk = around.talk()
    main, other = HandLine(talk), HandLine(talk)
    main.ends(goodbye=True)
    other.sends(1)
    assert names(around.log) == ["comm-message"]
    other.ends()
    assert names(around.log) == ["comm-message", "comm-close"]


def test_a_line_that_breaks_is_not_the_end(around: ByHand) -> None:
    """
    The executor may compute the call once more, and then it speaks again.
    """
    talk = around.talk()
    HandLine(talk).ends()
    second = HandLine(talk)
    second.sends("again")
    assert names(around.log) == ["comm-message"]
    second.ends(goodbye=True)
    assert names(around.log)[1:] == ["comm-close"]


def test_silence_is_the_end_of_a_call_that_has_its_outcome(around: ByHand) -> None:
    """
    As long as something comes in, it goes on; then the line is finished.
    """
    talk = around.talk()
    line = HandLine(talk)
    talk.attempt_ended(around.let_go)
    line.sends(1)
    around.pass_by()
    talk.n_bytes += 7  # half of something long
    around.pass_by()
    assert around.finished == []
    around.pass_by()
    assert around.finished == [talk]
    line.ends()
    assert names(around.log) == ["comm-message", "comm-close", "let go"]


def test_it_is_not_silent_who_is_not_heard(around: ByHand) -> None:
    """
    While something has been read that callbacks have no time for, nothing is finished.
    """
    talk = around.talk()
    line = HandLine(talk)
    talk.attempt_ended(around.let_go)
    talk.n_read += 1
    around.pass_by()
    around.pass_by()
    assert around.finished == []
    line.talk.hear(line, MESSAGE, bytearray(pack(1, "")))
    around.pass_by()
    around.pass_by()
    assert around.finished == [talk]


def test_a_call_that_is_cancelled_is_not_listened_to(around: ByHand) -> None:
    """
    Also if it had its outcome, and was still being listened to.
    """
    for has_outcome in (False, True):
        around.log.clear()
        talk = around.talk()
        line = HandLine(talk)
        line.sends(1)
        if has_outcome:
            talk.attempt_ended(around.let_go)
        talk.attempt_cancelled()
        line.sends(2)
        line.ends()
        assert names(around.log)[:2] == ["comm-message", "comm-close"]
        assert ("hang up", "work-1") in around.log
        assert not around.waiting


def test_of_a_call_that_nobody_took_nobody_hears(around: ByHand) -> None:
    """
    Unless everybody knows of it already.
    """
    around.talk().attempt_withdrawn()
    assert names(around.log) == []
    known = around.talk()
    known.announce()
    known.attempt_withdrawn()
    assert names(around.log) == ["announced", "comm-close"]


# Who answers.


def test_an_answer_goes_where_the_request_came_from(around: ByHand) -> None:
    """
    Requests of several lines may be answered in any order.
    """
    talk = around.talk()
    msgs: list[Comm.Msg[str]] = []
    around.task.on(Comm.REQUEST).add(msgs.append)
    one, two = HandLine(talk), HandLine(talk)
    one.asks("a")
    two.asks("b")
    one.asks("c")
    for msg in reversed(msgs):
        msg.respond(msg.data.upper())
    assert one.said == [(1, ANSWER, "C"), (0, ANSWER, "A")]
    assert two.said == [(0, ANSWER, "B")]


def test_a_request_is_answered_once(around: ByHand) -> None:
    """
    The second answer is an error, and does not arrive.
    """
    msgs: list[Comm.Msg[int]] = []
    around.task.on(Comm.REQUEST).add(msgs.append)
    line = HandLine(around.talk())
    line.asks(1)
    msgs[0].respond(2)
    with pytest.raises(CommAnswerError, match="has had its answer"):
        msgs[0].respond(3)
    assert line.said == [(0, ANSWER, 2)]


def test_what_is_no_request_takes_no_answer(around: ByHand) -> None:
    """
    Neither a message nor the end.
    """
    msgs: list[Comm.Msg[Any]] = []
    around.task.on(Comm.MESSAGE).add(msgs.append)
    around.task.on(Comm.CLOSE).add(msgs.append)
    line = HandLine(around.talk())
    line.sends(1)
    line.ends(goodbye=True)
    assert [msg.data for msg in msgs] == [1, None]
    for msg in msgs:
        with pytest.raises(CommAnswerError, match="takes no answer"):
            msg.respond(1)


def test_who_has_gone_is_not_answered(around: ByHand) -> None:
    """
    After `comm-close` an answer is an error.
    """
    msgs: list[Comm.Msg[int]] = []
    around.task.on(Comm.REQUEST).add(msgs.append)
    line = HandLine(around.talk())
    line.asks(1)
    line.talk.attempt_cancelled()
    with pytest.raises(CommClosedError, match="cannot be answered any more"):
        msgs[0].respond(2)
    assert line.said == []


def test_if_nobody_listens_nobody_answers() -> None:
    """
    The call hears so at once, also if there is a callback which is not called any more.
    """
    around = ByHand()
    line = HandLine(around.talk())
    line.asks(1)
    around.task.on(Comm.REQUEST)(lambda msg: msg.respond(msg.data), limit=1)
    line.asks(2)
    line.asks(3)
    assert [(kind, str(said)) for _, kind, said in line.said] == [
        (FAILURE, "Nobody answers the request: no callback of `comm-request` was called."),
        (ANSWER, "2"),
        (FAILURE, "Nobody answers the request: no callback of `comm-request` was called."),
    ]
    assert around.errors == []


def test_who_takes_itself_off_may_answer_later() -> None:
    """
    It was asked, though nobody is registered any more when the request was heard.
    """
    asked: list[Comm.Msg[int]] = []
    around = ByHand()
    subscriber = around.task.on(Comm.REQUEST)

    def once(msg: Comm.Msg[int]) -> None:
        subscriber.remove(once)
        asked.append(msg)

    subscriber.add(once)
    line = HandLine(around.talk())
    line.asks(1)
    assert line.said == []
    asked[0].respond("late")
    assert line.said == [(0, ANSWER, "late")]


def explode(_: object) -> NoReturn:
    raise Boom("no idea")


def test_a_callback_that_raises_does_not_answer(around: ByHand) -> None:
    """
    The call need not wait; what was raised is for the run to judge.
    """
    around.task.on(Comm.REQUEST).add(explode)
    line = HandLine(around.talk())
    line.asks(1)
    ((_, kind, said),) = line.said
    assert (kind, type(said)) == (FAILURE, CommNotAnsweredError)
    assert "raised Boom: no idea" in str(said)
    assert [type(error) for error in around.errors] == [Boom]


def test_a_callback_that_raises_after_another_has_answered(around: ByHand) -> None:
    """
    The answer counts.
    """
    around.task.on(Comm.REQUEST).add(lambda msg: msg.respond("yes"), explode)
    line = HandLine(around.talk())
    line.asks(1)
    assert line.said == [(0, ANSWER, "yes")]


def test_an_answer_that_cannot_be_pickled_is_an_error_on_both_sides(around: ByHand) -> None:
    """
    Whoever responds hears it, and the call does not wait for another.
    """
    msgs: list[Comm.Msg[int]] = []
    around.task.on(Comm.REQUEST).add(msgs.append)
    line = HandLine(around.talk())
    line.asks(1)
    with pytest.raises(NotPicklableError, match="Cannot send an answer, a lock: "):
        msgs[0].respond(return_a_lock())
    ((_, kind, said),) = line.said
    assert (kind, type(said)) == (FAILURE, NotPicklableError)


def test_what_cannot_be_unpickled_is_not_lost_silently(around: ByHand) -> None:
    """
    Of a message the run is told, of a request the call; both go on.
    """
    line = HandLine(around.talk())
    line.sends(FailsWhenUnpickled())
    line.asks(FailsWhenUnpickled())
    line.sends("and on")
    assert [type(error) for error in around.errors] == [NotPicklableError]
    ((_, kind, said),) = line.said
    assert (kind, type(said)) == (FAILURE, NotPicklableError)
    assert around.log == [("comm-message", "and on")]


def test_when_the_run_ends_nobody_waits_for_an_answer(around: ByHand) -> None:
    """
    What was asked before ends then; what is asked later is answered at once or never.
    """
    line = HandLine(around.talk())
    line.asks("early")
    assert line.said == []
    around.is_ending = True
    line.talk.run_ends()
    line.asks("late")
    around.task.on(Comm.REQUEST).add(lambda msg: msg.respond("in time"))
    line.asks("later")
    assert [(kind, type(said)) for _, kind, said in line.said] == [
        (FAILURE, CommNotAnsweredError),
        (FAILURE, CommNotAnsweredError),
        (ANSWER, str),
    ]


# For any order of events.


class Script(NamedTuple):
    """What one call does: how many messages on each of its lines, and how these end."""

    lines: list[tuple[int, bool]]
    is_cancelled: bool


scripts = st.builds(
    Script,
    lines=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=3),
    is_cancelled=st.booleans(),
)


@given(scripts=st.lists(scripts, min_size=1, max_size=4), data=st.data())
def test_every_message_is_heard_once_in_order_and_in_time(
    scripts: list[Script], data: st.DataObject
) -> None:
    """
    For any interleaving of what several calls say, the ends of their lines, and their outcomes:
    each line of a call that is not cancelled is heard in its order and to its end, before
    `comm-close`, which comes once for each call, before its outcome.
    """
    around = ByHand()
    log: list[tuple[str, str, object]] = []
    for event in (Comm.MESSAGE, Comm.CLOSE):
        around.task.on(event).add(partial(write_down, log, event.name))
    steps = {
        (number, place): step
        for number, script in enumerate(scripts)
        for place, step in enumerate(acted(around, log, str(number), script))
    }
    places = [key for key, queue in steps.items() for _ in queue]
    for key in data.draw(st.permutations(places)):
        steps[key].popleft()()
    for number, script in enumerate(scripts):
        mine = [(what, said) for what, who, said in log if who == str(number)]
        assert [what for what, _ in mine].count("comm-close") == 1
        if script.is_cancelled:
            assert mine[-1][0] == "comm-close"
            continue
        assert [what for what, _ in mine[-2:]] == ["comm-close", "outcome"]
        for line, (n_messages, _) in enumerate(script.lines):
            expected = [(line, n) for n in range(n_messages)]
            assert [said for _, said in mine[:-2] if said in expected] == expected


def write_down(log: list[tuple[str, str, object]], what: str, msg: Comm.Msg[Any]) -> None:
    log.append((what, msg.identifier, msg.data))


def acted(
    around: ByHand, log: list[tuple[str, str, object]], name: str, script: Script
) -> list[deque[Callable[[], object]]]:
    """What happens to a call: things in different queues may happen in any order."""
    talk = around.talk(name)
    end = talk.attempt_cancelled
    if not script.is_cancelled:
        end = partial(talk.attempt_ended, lambda: log.append(("outcome", name, None)))
    queues: list[deque[Callable[[], object]]] = [deque([end])]
    for number, (n_messages, goodbye) in enumerate(script.lines):
        line = HandLine(talk)
        sends = [partial(line.sends, (number, n)) for n in range(n_messages)]
        queues.append(deque([*sends, partial(line.ends, goodbye=goodbye)]))
    return queues
