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

    def cancel(self) -> None:
        """Cancel the future, and tell those who wait for it among others."""
        if self.future.cancel():
            self.future.set_running_or_notify_cancel()
