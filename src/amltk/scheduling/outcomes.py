"""Who is told of the outcome of a call, and in which order.

Two parties hear of each call: the scheduler first, then the call's owner (its task). Both have
the same four events, so there is one function that tells a party, and it is called twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol

from typing_extensions import ParamSpec, TypeVar

from amltk.events import Subscriber
from amltk.scheduling.call import Call, CallFuture

if TYPE_CHECKING:
    from amltk.scheduling.companions import Attempt, Companion

__all__ = ["Outcomes", "Owner", "guarded"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Outcomes(Generic[R]):
    """The events that one party has for how a call ended."""

    done: Subscriber[[asyncio.Future[R]]]
    """It was computed, whatever came of it."""
    result: Subscriber[[asyncio.Future[R], R]]
    """It returned; passed the future and what it returned."""
    exception: Subscriber[[asyncio.Future[R], BaseException]]
    """It raised; passed the future and what it raised."""
    cancelled: Subscriber[[asyncio.Future[R]]]
    """It will not be computed, or what comes of it is not wanted any more."""

    def publish(self, future: asyncio.Future[R], failed: Callable[[BaseException], None]) -> None:
        """Emit the events for a future that is done.

        Args:
            future: The future, with its outcome.
            failed: Is handed what callbacks raise.
        """
        if future.cancelled():
            guarded(failed, self.cancelled.emit, future)
            return
        # What `guarded` does, written out: it is here that each outcome passes, twice.
        try:
            self.done.emit(future)
        except BaseException as error:  # noqa: BLE001
            failed(error)
        raised = future.exception()
        try:
            if raised is None:
                self.result.emit(future, future.result())
            else:
                self.exception.emit(future, raised)
        except BaseException as error:  # noqa: BLE001
            failed(error)


def guarded(
    failed: Callable[[BaseException], None],
    call: Callable[P, object],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> None:
    """Call, and hand over what it raises instead of raising it."""
    try:
        call(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001
        failed(error)


class Owner(Protocol):
    """Whose call it is: hears of it after the scheduler."""

    @property
    def outcomes(self) -> Outcomes[Any]:
        """Where the outcome is published."""
        ...

    @property
    def is_accompanied(self) -> bool:
        """Whether anything can go along with its attempts: if not, nobody is asked."""
        ...

    def accompany(self, attempt: Attempt[R], /) -> tuple[Call[R], Sequence[Companion]]:
        """An attempt is about to be given to the executor: what to give, and what goes with it."""
        ...

    def took_off(self, future: CallFuture[Any], /) -> None:
        """The call was given to the executor; nobody has been told yet."""
        ...

    def announce(self, future: CallFuture[Any], failed: Callable[[BaseException], None], /) -> None:
        """Tell the owner's subscribers that the call was submitted."""
        ...

    def attempt_failed(self, error: BaseException, /) -> None:
        """An attempt failed, whether or not there is to be another; nobody has been told yet."""
        ...

    def again(self, error: BaseException, /) -> float | None:
        """An attempt failed: in how many seconds to attempt the call again; `None` for never."""
        ...

    def next_attempt(self) -> Call[Any] | None:
        """The call to attempt now, after `again` said so; `None` if it is refused meanwhile."""
        ...

    def landed(self, future: CallFuture[Any], /) -> None:
        """The call has its outcome; nobody has been told yet."""
        ...
