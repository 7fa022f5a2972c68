"""What a Dask worker is asked to do: compute a packed call."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence
from functools import partial

from amltk.backends.dask.spool import compute_once
from amltk.backends.payload import outcome_of

__all__ = ["Failed", "arrived", "leave_outcome", "return_outcome"]


class Failed(Exception):  # noqa: N818 - no user sees it
    """Raised in a worker when a call failed that Dask itself is to try again."""

    def __init__(self, packed: bytes) -> None:
        super().__init__(packed)
        self.packed: bytes = packed
        """The outcome of the call."""


class Here(threading.local):
    """What belongs to the call that this thread computes."""

    values: Sequence[object] = ()
    """What the futures of Dask stand for that the call was packed with."""


here: Here = Here()


def arrived(position: int) -> object:
    """What unpickling puts in the place of a future of Dask."""
    return here.values[position]


def return_outcome(
    packed: bytes, _number: int, values: Sequence[object] = (), *, raising: bool
) -> bytes:
    """Compute a call, and return its packed outcome.

    Args:
        packed: The call.
        values: What the futures stand for that it was packed with.
        raising: Whether Dask is to hear of it if the call fails, to try it again.

    Raises:
        Failed: If the call fails, and Dask is to hear of it.
    """
    outcome = compute(packed, values)
    if raising and pickle.loads(outcome)[0] is not None:
        raise Failed(outcome)
    return outcome


def leave_outcome(
    packed: bytes, number: int, values: Sequence[object] = (), *, folder: str
) -> None:
    """Compute a call, and leave its packed outcome in a folder on this machine."""
    compute_once(folder, number, partial(compute, packed, values))


def compute(packed: bytes, values: Sequence[object]) -> bytes:
    import cloudpickle  # noqa: PLC0415

    here.values = values
    try:
        return bytes(outcome_of(packed, cloudpickle.dumps))
    finally:
        here.values = ()
