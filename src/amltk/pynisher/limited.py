"""A function with limits: what a call has in place of the function that is limited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from typing_extensions import TypeVar, override

from amltk.backends.start_method import StartMethod
from amltk.callbacks import name_of
from amltk.pynisher.limited_process import call_within
from amltk.pynisher.limits import Limits
from amltk.scheduling.around import Context, Layer, around

__all__ = ["Limited", "limited"]

R = TypeVar("R")


@dataclass(frozen=True)
class Limited(Layer[Any]):
    """Calls a function in a process of its own, which ends when it is beyond a limit.

    It can be pickled, and sent to a worker, if the function can.
    """

    function: Callable[..., Any]
    """What is called."""
    limits: Limits = field(hash=False)
    """What it may use."""
    start_method: StartMethod | None = None
    """How the process is started; in Python's own way if `None`."""

    def __post_init__(self) -> None:
        vars(self).update(__qualname__=name_of(self.function))  # what it is called in messages

    @override
    def inside(self, context: Context) -> Self:
        """The same limits, with a context that is entered in the process."""
        return replace(self, function=around(self.function, context))

    @override
    def __call__(self, /, *args: object, **kwargs: object) -> Any:
        """Call the function, and return or raise what it did.

        Raises:
            WallTimeoutException: If it has not ended in time.
            CpuTimeoutException: If it has used up its CPU time.
            MemoryLimitException: If it needs more memory than it may have.
            WorkerLostError: If its process died of anything else.
            NotPicklableError: If it cannot be sent to the process, or what came of it back.
        """
        return call_within(self.limits, self.start_method, self.function, args, kwargs)


def limited(
    function: Callable[..., R],
    *,
    by_default: Limits | None = None,
    limits: Limits | None = None,
    start_method: StartMethod | None = None,
) -> Callable[..., R]:
    """A function with limits, in place of those that it has.

    Args:
        function: The function, which may have limits already.
        by_default: What holds where it has none.
        limits: What holds in any case.
        start_method: How its process is started; as it was if `None`.
    """
    own: Limits = {}
    if isinstance(function, Limited):
        own, start_method = function.limits, start_method or function.start_method
        function = function.function
    return Limited(function, {**(by_default or {}), **own, **(limits or {})}, start_method)
