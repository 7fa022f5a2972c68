"""What to say of calls that were lost."""

from __future__ import annotations

from collections.abc import Callable

from amltk.callbacks import name_of
from amltk.exceptions import WorkerLostError

__all__ = ["lost"]


def lost(function: Callable[..., object], why: str) -> WorkerLostError:
    """The error of a call whose worker is gone."""
    return WorkerLostError(
        f"The worker died, or was lost with its node, while it computed {name_of(function)}(). "
        "This call is lost and was not started again; others are not affected. If it ran out of "
        f"memory, have each call ask for more: memory=... Ray says: {why}"
    )
