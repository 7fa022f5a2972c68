"""What Ray says of calls that it has lost, in our words."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ray import exceptions as rays

from amltk.backends.payload import said, unpack_outcome
from amltk.callbacks import name_of
from amltk.exceptions import WorkerLostError

__all__ = ["is_loss", "lost", "outcome_in"]

LOSSES: tuple[type[BaseException], ...] = (
    rays.RayActorError,
    rays.OutOfMemoryError,
    rays.NodeDiedError,
    rays.LocalRayletDiedError,
    rays.ObjectLostError,
)
"""What Ray raises when a worker, or its node, or a result that was there, is gone."""


def outcome_in(
    arrived: Future[bytes], function: Callable[..., object]
) -> tuple[BaseException | None, Any]:
    """The exception, or `None` and the result, of a call that Ray is done with."""
    error = arrived.exception()
    if error is None:
        return unpack_outcome(arrived.result())
    if not isinstance(error, LOSSES):
        return error, None
    loss = lost(function, said(error))
    loss.__cause__ = error
    return loss, None


def is_loss(arrived: Future[bytes]) -> bool:
    """Whether the worker that computed it is gone."""
    return isinstance(arrived.exception(), LOSSES)


def lost(function: Callable[..., object], why: str) -> WorkerLostError:
    """What to say of a call that was lost."""
    return WorkerLostError(
        f"The worker died, or was lost with its node, while it computed {name_of(function)}(). "
        "This call is lost and was not started again; others are not affected. If it ran out of "
        f"memory, have each call ask for more: memory=... Ray says: {why}"
    )
