"""What Dask says when there is no outcome of a call, in our words."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError

from distributed.scheduler import KilledWorker

from amltk.exceptions import ExecutorBrokenError, WorkerLostError

__all__ = ["loss_of"]


def loss_of(name: str, error: BaseException, about: Callable[[str], str]) -> BaseException:
    """The exception of a call that did not come back.

    Args:
        name: What its function is called.
        error: What Dask raised in place of its outcome.
        about: What else is known of the worker at an address.
    """
    loss = in_our_words(name, error, about)
    if loss is None:
        return error
    loss.__cause__ = error
    return loss


def in_our_words(
    name: str, error: BaseException, about: Callable[[str], str]
) -> ExecutorBrokenError | None:
    if isinstance(error, KilledWorker):
        worker = error.last_worker.address
        return WorkerLostError(
            f"The Dask worker {worker} died while it held {name}(). {fate(error.allowed_failures)} If "
            "the worker ran out of memory, use fewer of them, or smaller calls." + about(worker)
        )
    if isinstance(error, CancelledError):
        return WorkerLostError(f"The Dask cluster has lost {name}(): {error}")
    if isinstance(error, OSError | RuntimeError):
        return ExecutorBrokenError(f"The Dask cluster cannot compute {name}(): {error!r}")
    return None


def fate(failures: int) -> str:
    """What became of a call, and of others, where Dask gives it to so many more workers."""
    if not failures:
        return "This call is lost and was not started again; others are not affected."
    return (
        f"Dask has given this call to {failures + 1} workers, one after the other, which all died, and "
        "gives it up; others that they held may be lost as well."
    )
