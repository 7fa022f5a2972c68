"""Exceptions on their way to another process, whatever has been done to pickle.

tblib, which `distributed` imports, has pickle make every exception anew without calling its
`__init__`, so that a `SystemExit` arrives without its code. Where nobody but tblib has said how
to pickle an exception, it is done here as pickle itself would do it.
"""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Raised", "as_pickled", "raised_again"]


class Raised(NamedTuple):
    """What pickle makes an exception of."""

    make: Callable[..., BaseException]
    """Its class, or what else returns one like it."""
    args: tuple[object, ...]
    """What that is called with."""
    state: Any = None
    """Its attributes, if it has some."""


def as_pickled(error: BaseException) -> Raised | BaseException:
    """What to pickle: the exception itself, if somebody has said how that is done."""
    if has_reducer(type(error)):
        return error
    reduced = error.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    if isinstance(reduced, str) or len(reduced) > len(Raised._fields):
        return error  # pickle can do more than exceptions need
    make, args, *state = reduced
    return Raised(make, args, *state)


def has_reducer(kind: type[BaseException]) -> bool:
    reducer = copyreg.dispatch_table.get(kind)
    module = getattr(reducer, "__module__", None)
    return reducer is not None and not str(module).startswith("tblib")


def raised_again(pickled: Raised | BaseException | None) -> BaseException | None:
    """The exception that was pickled."""
    if not isinstance(pickled, Raised):
        return pickled
    error = pickled.make(*pickled.args)
    if pickled.state is not None:
        error.__setstate__(pickled.state)
    return error
