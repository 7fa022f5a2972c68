"""Calling a function inside of something that is entered before it and left after it.

This is what plugins make of a call's function that change what is around it while it runs. It
goes to the worker with the call, and can be pickled if the function and the context can.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias

from typing_extensions import TypeIs, TypeVar, override

from amltk.backends.sequential import run_job
from amltk.callbacks import name_of

__all__ = ["Around", "Context", "Layer", "around"]

R = TypeVar("R")

Context: TypeAlias = Callable[[], AbstractContextManager[object, None]]
"""Makes what is entered, in the worker and anew for each call. It holds nothing back: what the
function raises is the outcome of the call."""


class Layer(ABC, Generic[R]):
    """A function that calls another one, and has contexts go along to where that runs."""

    __slots__ = ()

    @abstractmethod
    def inside(self, context: Context) -> Layer[R]:
        """The same, with a context around the function that it calls."""

    @abstractmethod
    def __call__(self, /, *args: object, **kwargs: object) -> R:
        """Call the other one."""


@dataclass(frozen=True, slots=True)
class Around(Layer[R]):
    """A function that is called inside of a context, and is called what the function is called."""

    function: Callable[..., R]
    """What is called."""
    context: Context
    """Makes what is entered before and left after it, whatever becomes of it."""

    @override
    def inside(self, context: Context) -> Around[R]:
        """The same, with another context inside of this one."""
        return replace(self, function=around(self.function, context))

    @override
    def __call__(self, /, *args: object, **kwargs: object) -> R:
        """Call the function inside of the context."""
        with self.context():
            return run_job(self.function, args, kwargs)

    def __getattr__(self, name: str) -> str:
        if name in {"__name__", "__qualname__"}:
            return name_of(self.function)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def around(function: Callable[..., R], context: Context) -> Layer[R]:
    """Put a context around a function, inside of all that is around it already.

    So contexts are entered in the order in which plugins have put them there, which is the order of
    the plugins; and where a function runs in a process of its own, they are entered there.
    """
    if is_layer(function):
        return function.inside(context)
    return Around(function, context)


def is_layer(function: Callable[..., R]) -> TypeIs[Layer[R]]:
    return isinstance(function, Layer)
