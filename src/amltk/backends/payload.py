"""Calls and outcomes as bytes.

What cannot be pickled is turned into an error that says so, at the end where it is noticed, so
that whoever waits for the outcome always gets one.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.reduction import ForkingPickler
from typing import TypeAlias

from typing_extensions import override

from amltk.exceptions import NotPicklableError

__all__ = [
    "Packed",
    "RemoteTraceback",
    "outcome_of",
    "outcome_of_packed",
    "pack_call",
    "pack_error",
    "unpack_outcome",
]

Packed: TypeAlias = bytes | memoryview
"""Something pickled."""


class RemoteTraceback(Exception):  # noqa: N818 - it is a cause, nobody raises it
    """The traceback of an exception in the process where it was raised, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    @override
    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def pack_call(
    function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> Packed:
    """Pickle a call.

    Raises:
        NotPicklableError: If the function or an argument cannot be pickled.
    """
    try:
        return ForkingPickler.dumps((function, args, kwargs))
    except Exception as error:
        raise NotPicklableError(
            f"Cannot send {function!r} with its arguments to a worker: {explained(error)}. "
            "Functions have to be defined at the top level of a module, and arguments have to "
            "be picklable."
        ) from error


def outcome_of_packed(packed_call: bytes) -> Packed:
    """Compute a packed call, in the worker, and pack what comes of it."""
    try:
        function, args, kwargs = pickle.loads(packed_call)
    except BaseException as error:  # noqa: BLE001
        return pack_error(
            NotPicklableError(
                f"A worker cannot unpickle the call it got: {explained(error)}. The function has "
                "to be importable in the worker under the name it was defined with."
            ),
            error,
        )
    return outcome_of(function, args, kwargs)


def outcome_of(
    function: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    dumps: Callable[[object], Packed] = ForkingPickler.dumps,
) -> Packed:
    """Compute a call, in the worker, and pack what comes of it."""
    try:
        result = function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001
        return pack_error(error, error, dumps)
    return pack_result(function, result, dumps)


def pack_result(
    function: Callable[..., object], result: object, dumps: Callable[[object], Packed]
) -> Packed:
    try:
        return dumps((None, result))
    except Exception as error:  # noqa: BLE001
        kind = type(result).__qualname__
        return pack_error(
            NotPicklableError(
                f"Cannot send back what {function!r} returned, a {kind}: {explained(error)}. "
                "Return something that can be pickled."
            ),
            error,
            dumps,
        )


def pack_error(
    error: BaseException,
    origin: BaseException,
    dumps: Callable[[object], Packed] = ForkingPickler.dumps,
) -> Packed:
    """Pickle an exception with the traceback of where it comes from."""
    trace = "".join(traceback.format_exception(origin))
    try:
        packed = dumps((error, trace))
        pickle.loads(packed)  # many exceptions can be pickled but not unpickled
    except Exception as reason:  # noqa: BLE001
        replacement = NotPicklableError(
            f"The call raised {type(error).__qualname__}: {error}. The exception itself cannot be "
            f"sent back: {explained(reason)}. Its arguments have to be those of its `__init__`."
        )
        packed = dumps((replacement, trace))
    return packed


def unpack_outcome(packed: Packed) -> tuple[BaseException | None, object]:
    """The exception, or `None` and the result, that a worker sent."""
    try:
        error, value = pickle.loads(packed)
    except Exception as reason:  # noqa: BLE001
        unreadable = NotPicklableError(
            f"The outcome that a worker sent cannot be unpickled here: {explained(reason)}."
        )
        unreadable.__cause__ = reason
        return unreadable, None
    if error is None:
        return None, value
    error.__cause__ = RemoteTraceback(value)
    return error, None


def explained(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
