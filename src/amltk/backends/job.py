"""A call that a pool was given, and the future that somebody holds for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic

from typing_extensions import TypeVar

__all__ = ["Job"]

R = TypeVar("R", default=Any)


@dataclass(slots=True, eq=False)
class Job(Generic[R]):
    """A call that somebody waits for."""

    future: Future[R]
    """Where the outcome goes."""
    function: Callable[..., R]
    """What is called."""
    args: tuple[object, ...]
    """Its positional arguments."""
    kwargs: Mapping[str, object]
    """Its keyword arguments."""

    def settle(self, error: BaseException | None, result: R) -> None:
        """Give the future its outcome: the error, or the result if there is none."""
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)

    def cancel(self) -> None:
        """Cancel the future, and tell those who wait for it among others."""
        if self.future.cancel():
            self.future.set_running_or_notify_cancel()
