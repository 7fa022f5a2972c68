"""What a callback is told that a call has said, and how it answers."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar, override

from amltk.exceptions import CommAnswerError, CommClosedError, CommError, NotPicklableError
from amltk.scheduling.comm_wire import ANSWER, FAILURE, failure, pack

if TYPE_CHECKING:
    from amltk.scheduling.task import Task

__all__ = ["Msg", "Question"]

T = TypeVar("T")


class Question:
    """A request that a call waits for the answer of; it gets one, and not another.

    Args:
        reply: Brings the call an answer, or why there is none: the kind of frame, and its content.
        by_value: Whether the call knows the types of the program only by value.
    """

    __slots__ = ("_by_value", "_reply", "is_open", "is_over")

    def __init__(self, reply: Callable[[int, bytes], None], *, by_value: bool = False) -> None:
        self._reply = reply
        self._by_value = by_value
        self.is_open: bool = True
        """Whether there was no answer yet."""
        self.is_over: bool = False
        """Whether there is nobody to answer any more."""

    def answer(self, value: object) -> None:
        """Give the call its answer.

        Raises:
            NotPicklableError: If that cannot be pickled; the call is told so, too.
        """
        try:
            what = f"an answer, a {type(value).__qualname__}"
            content = pack(value, what, by_value=self._by_value)
        except NotPicklableError as error:
            self.fail(error)
            raise
        self.is_open = False
        self._reply(ANSWER, content)

    def fail(self, error: CommError | NotPicklableError) -> None:
        """Tell the call that there will be no answer, and why."""
        if self.is_open:
            self.is_open = False
            self._reply(FAILURE, failure(error))


class Msg(Generic[T]):
    """What a call has sent, or asked; for `comm-close`, that it has nothing more to say."""

    __slots__ = ("_question", "data", "future", "identifier", "task")

    def __init__(
        self,
        task: Task[..., Any],
        future: Future[Any],
        identifier: str,
        data: T,
        question: Question | None = None,
    ) -> None:
        self.task: Task[..., Any] = task
        """The task whose call it is."""
        self.future: Future[Any] = future
        """The future of the call, as submitting it returned it."""
        self.identifier: str = identifier
        """Which call it is; a call that is attempted again has another one each time."""
        self.data: T = data
        """What was sent or asked; `None` for `comm-close`."""
        self._question = question

    def respond(self, answer: object, /) -> None:
        """Answer a request, now or later: `comm.request(...)` returns this in the call.

        Args:
            answer: Anything that can be pickled.

        Raises:
            CommAnswerError: If this is no request, or has had its answer.
            CommClosedError: If the call does not wait any more, since it has ended.
            NotPicklableError: If the answer cannot be pickled; the call is told so, too.
        """
        if self._question is None:
            raise CommAnswerError(
                f"{self!r} takes no answer: only what a call asks with comm.request(...) does, and "
                "callbacks of `comm-request` hear of."
            )
        if not self._question.is_open:
            raise CommAnswerError(f"{self!r} has had its answer, and takes no second one.")
        if self._question.is_over:
            raise CommClosedError(
                f"{self!r} cannot be answered any more: the call has said goodbye, has ended, or "
                "was cancelled."
            )
        self._question.answer(answer)

    @override
    def __repr__(self) -> str:
        return f"<Msg of {self.identifier}: {self.data!r}>"
