"""What one attempt at a call and its scheduler say to each other, from the first word to the last.

There are no sockets and no threads here: a talk is told what came in on which line, by the thread
of the run, and says what is to go out. A call may speak on several lines, if it has processes of
its own or if the executor computes it twice; each line is heard in its order.

    open ── goodbye, and no other line is left ──────────────────────────▶ over
      │                                                                     ▲
      └── the attempt has an outcome ── the last line ended, or was silent ─┘

When it is over, `comm-close` is emitted, and the outcome of the attempt is let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from amltk.backends.payload import said
from amltk.callbacks import INTERRUPTS
from amltk.events import Registration, Subscriber
from amltk.exceptions import CommNotAnsweredError, NotPicklableError
from amltk.scheduling.comm_msg import Msg, Question
from amltk.scheduling.comm_wire import GOODBYE, MESSAGE, NUMBER, REQUEST, frame, unpack
from amltk.scheduling.companions import Attempt
from amltk.scheduling.outcomes import guarded
from amltk.scheduling.waiting import Timer

if TYPE_CHECKING:
    from amltk.scheduling.task import Task

__all__ = ["ENDED", "Exchange", "Line", "Talk", "Told"]

ENDED = -1
"""The kind of a frame that nobody sends: the line has ended, and nothing more comes on it."""

SILENCE = 5.0
"""Seconds without a word after which the line of an attempt that has ended counts as dead: the
machine at its other end is gone, or some process there still has a copy of the connection."""


class Line(Protocol):
    """One connection to a call."""

    def say(self, data: bytes, /) -> None:
        """Have these bytes sent; returns at once."""
        ...


class Exchange(Protocol):
    """Who connects lines with talks."""

    @property
    def is_ending(self) -> bool:
        """Whether the run takes no more work."""
        ...

    def retire(self, talk: Talk, n_ended: int, /) -> bool:
        """Let no more lines in, if so many have ended and there were no others."""
        ...

    def hang_up(self, talk: Talk, /) -> None:
        """Let no more lines in, and close those that there are."""
        ...

    def finish(self, talk: Talk, /) -> None:
        """Read what there is on the lines, and end them."""
        ...


@dataclass(frozen=True)
class Told:
    """Who hears of the talks of a task."""

    task: Task[..., Any]
    message: Subscriber[[Msg[Any]]]
    request: Subscriber[[Msg[Any]]]
    close: Subscriber[[Msg[Any]]]


class Talk:
    """The companion of an attempt that may speak.

    Args:
        identifier: Which attempt it is, unlike any other.
        attempt: The attempt.
        told: Who is told what is said.
        exchange: Where the lines come from.
    """

    def __init__(
        self, identifier: str, attempt: Attempt[Any], told: Told, exchange: Exchange
    ) -> None:
        self.identifier: str = identifier
        self.n_lines: int = 0
        """How many lines there were; counted by who lets them in."""
        self.n_read: int = 0
        """How many frames were read; counted by who reads them."""
        self.n_bytes: int = 0
        """How many bytes were read; counted there as well."""
        self.is_in_place: bool = False
        """Whether the thread of the run itself computes the attempt, at this moment."""
        self.is_over: bool = False
        """Whether everything was said and heard."""
        self._attempt = attempt
        self._told = told
        self._exchange = exchange
        self._n_heard = 0
        self._n_ended = 0
        self._said_goodbye = False
        self._was_announced = False
        self._let_go: Callable[[], None] | None = None
        self._timer: Timer | None = None
        self._questions: dict[object, Question] = {}

    @property
    def is_deaf(self) -> bool:
        """Whether nobody listens any more: it is over, or the call has just been cancelled."""
        return self.is_over or self._attempt.future.done()

    # What the call says.

    def hear(self, line: Line, kind: int, content: bytearray) -> None:
        """Take what came in on a line."""
        self._n_heard += 1
        if kind == ENDED:
            self.hear_end()
        elif self.is_deaf:
            return
        elif kind == MESSAGE:
            self.hear_message(content)
        elif kind == REQUEST:
            number = bytes(content[: NUMBER.size])
            self.hear_request(
                content[NUMBER.size :],
                lambda kind, answer: line.say(frame(kind, number, answer)),
            )
        elif kind == GOODBYE:
            self._said_goodbye = True

    def hear_message(self, content: bytearray | bytes) -> None:
        """Tell everybody of a message."""
        try:
            data = unpack(content, f"a message of {self.identifier}")
        except NotPicklableError as error:
            self._attempt.run.report(error)
        else:
            self._tell(self._told.message, data)

    def hear_request(self, content: bytearray | bytes, reply: Callable[[int, bytes], None]) -> None:
        """Tell everybody of a request.

        Args:
            content: What is asked.
            reply: Brings the answer; called now or later, once.
        """
        key = object()

        def answered(kind: int, answer: bytes) -> None:
            self._questions.pop(key, None)
            reply(kind, answer)

        by_value = self._attempt.abilities.functions == "by value"
        question = self._questions[key] = Question(answered, by_value=by_value)
        try:
            data = unpack(content, f"a request of {self.identifier}")
        except NotPicklableError as error:
            question.fail(error)
            return
        why_not = self._ask(self._msg(data, question))
        if why_not is not None:
            question.fail(CommNotAnsweredError(f"Nobody answers the request: {why_not}."))

    def hear_end(self, *, with_goodbye: bool = False) -> None:
        """A line has ended, and all that came in on it was heard."""
        self._said_goodbye = self._said_goodbye or with_goodbye
        self._n_ended += 1
        if not self.is_over:
            self._look_whether_over()

    def announce(self) -> None:
        """Tell everybody that there is this call, if they have not heard."""
        self._was_announced = True
        self._attempt.announce()

    def raise_interrupt(self) -> None:
        """Raise the Ctrl-C that came while callbacks heard what was said."""
        self._told.task.scheduler.raise_interrupt()

    # What becomes of the attempt.

    def attempt_ended(self, let_go: Callable[[], None], /) -> None:
        """Let the outcome go when all is heard that was said before."""
        self._let_go = let_go
        if self.is_over:
            let_go()
            return
        self._look_whether_over()
        if not self.is_over:
            self._wait_for_lines()

    def attempt_cancelled(self) -> None:
        """Hang up: nobody listens any more."""
        self._end()

    def attempt_withdrawn(self) -> None:
        """Forget about it; if nobody knows of the call, nobody is told that it says nothing."""
        if self._was_announced:
            self._end()
        else:
            self.is_over = True
            self._exchange.hang_up(self)

    def run_ends(self) -> None:
        """From now on, who has not answered does not answer."""
        for question in tuple(self._questions.values()):
            question.fail(
                CommNotAnsweredError("The run is ending, and nobody has answered the request.")
            )

    def _wait_for_lines(self, before: tuple[int, int] | None = None) -> None:
        now = (self.n_bytes, self._n_heard)
        if now == before and self.n_read == self._n_heard:
            self._exchange.finish(self)
        else:
            self._timer = self._attempt.run.later(SILENCE, partial(self._wait_for_lines, now))

    def _look_whether_over(self) -> None:
        is_last = self._said_goodbye or self._let_go is not None
        if is_last and self._exchange.retire(self, self._n_ended):
            self._end()

    def _end(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        self._exchange.hang_up(self)
        for question in self._questions.values():
            question.is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._tell(self._told.close, None)
        if self._let_go is not None:
            self._let_go()

    # Who is told.

    def _msg(self, data: object, question: Question | None = None) -> Msg[Any]:
        return Msg(self._told.task, self._attempt.future, self.identifier, data, question)

    def _tell(self, subscriber: Subscriber[[Msg[Any]]], data: object) -> None:
        guarded(self._attempt.run.report, subscriber.emit, self._msg(data))

    def _ask(self, msg: Msg[Any]) -> str | None:
        """Tell everybody of a request; returns why nobody is going to answer it, if that is so."""
        subscriber = self._told.request
        asked = subscriber.registrations  # also those that take themselves off meanwhile
        calls_before = n_calls(asked)
        failure: BaseException | None = None
        try:
            subscriber.emit(msg)
        except BaseException as error:  # noqa: BLE001
            self._attempt.run.report(error)
            failure = error
        if isinstance(failure, INTERRUPTS):
            return "the run is interrupted"
        if failure is not None:
            return f"the callback that was asked raised {said(failure)}"
        if n_calls(asked) == calls_before:
            return "no callback of `comm-request` was called"
        if self.is_in_place:
            return "the callbacks returned, and nothing else happens before this call has ended"
        if self._exchange.is_ending:
            return "the callbacks returned, and the run is ending"
        return None


def n_calls(registrations: Iterable[Registration]) -> int:
    return sum(registration.n_calls for registration in registrations)
