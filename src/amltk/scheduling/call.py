"""A call that is to be computed elsewhere, and the future of its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

from typing_extensions import ParamSpec, TypeVar, override

from amltk.callbacks import is_async, name_of

if TYPE_CHECKING:
    from amltk.scheduling.outcomes import Owner

__all__ = ["NOT_YET", "Call", "CallFuture"]

Q = ParamSpec("Q")
R = TypeVar("R")
R2 = TypeVar("R2")


class Call(NamedTuple, Generic[R]):
    """A function with the arguments it is going to be called with."""

    function: Callable[..., R]
    """What is called, on a worker."""
    args: tuple[object, ...]
    """Its positional arguments."""
    kwargs: Mapping[str, object]
    """Its keyword arguments."""

    @classmethod
    def of(cls, function: Callable[Q, R2], /, *args: Q.args, **kwargs: Q.kwargs) -> Call[R2]:
        """The call of a function with these arguments, which a type checker compares."""
        return Call(function, args, kwargs)

    def with_function(self, function: Callable[..., R]) -> Call[R]:
        """The same arguments, for another function."""
        return Call(function, self.args, self.kwargs)

    def with_kwargs(self, /, **kwargs: object) -> Call[R]:
        """The same call with these keyword arguments added, or put in place of its own."""
        return Call(self.function, self.args, {**self.kwargs, **kwargs})

    @override
    def __repr__(self) -> str:
        arguments = [repr(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.kwargs.items()]
        return f"{name_of(self.function)}({', '.join(arguments)})"


NOT_YET: Future[Any] = Future()
"""Stands in for the executor's future while the executor is still being given the call."""
NOT_YET.cancel()


class CallFuture(asyncio.Future[R]):
    """The future of one submitted call: an `asyncio.Future` that knows where it came from.

    Cancelling it cancels the call as well, as far as the executor can.
    """

    __slots__ = ("_on_cancel", "call", "owner", "source")

    # Set by `future_of`: an `__init__` would be the slowest step on the way of a call.
    call: Call[R]
    """What is being computed."""
    owner: Owner | None
    """Who hears of the outcome beside the scheduler: the task, if there is one."""
    source: Future[R]
    """The executor's own future."""
    _on_cancel: Callable[[Future[R]], None]

    @override
    def cancel(self, msg: object = None) -> bool:
        """Cancel the call; `False` if its outcome is there already."""
        cancelled = super().cancel(msg)
        if cancelled:
            self._on_cancel(self.source)
        return cancelled

    def drop(self) -> None:
        """Be cancelled, without a word to the executor."""
        super().cancel()

    def fail(self, error: BaseException) -> None:
        """Take over what the computation raised."""
        self.set_exception(raisable(error))
        self.exception()  # it is published: asyncio need not say that nobody looked


def future_of(
    call: Call[R],
    owner: Owner | None,
    source: Future[R],
    on_cancel: Callable[[Future[R]], None],
    loop: asyncio.AbstractEventLoop,
) -> CallFuture[R]:
    """The future of a call that an executor has.

    Args:
        call: What is being computed.
        owner: Who hears of the outcome beside the scheduler.
        source: The executor's own future.
        on_cancel: Called with the source when this one is cancelled.
        loop: The event loop in which the new one can be awaited.
    """
    future: CallFuture[R] = CallFuture(loop=loop)
    future.call = call
    future.owner = owner
    future.source = source
    future._on_cancel = on_cancel  # noqa: SLF001
    return future


def raisable(error: BaseException) -> BaseException:
    """The error itself, unless it is the one that a future cannot hold."""
    if not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"The call raised {error!r}, which cannot be raised from a future.")
    wrapped.__cause__ = error
    return wrapped


def refuse_what_cannot_be_submitted(function: Callable[..., object]) -> None:
    """Raise a `TypeError` for what is no function, or one that has to be awaited."""
    if not callable(function):
        raise TypeError(
            f"Only functions can be submitted, and {function!r} is not one. "
            "Pass the function and its arguments apart: submit(f, 1), not submit(f(1))."
        )
    if is_async(function):
        raise TypeError(
            f"{name_of(function)}() cannot be submitted: it is an `async def`, and workers call "
            "functions, they do not await them. Submit a function that does "
            f"`return asyncio.run({name_of(function)}(...))`."
        )
