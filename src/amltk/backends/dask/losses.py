"""What Dask says when there is no outcome of a call, in our words."""

from __future__ import annotations

from concurrent.futures import CancelledError

from distributed.scheduler import KilledWorker

from amltk.exceptions import ExecutorBrokenError, WorkerLostError

__all__ = ["loss_of"]


def loss_of(name: str, error: BaseException) -> BaseException:
    """The exception of a call that did not come back.

    Args:
        name: What its function is called.
        error: What Dask raised in place of its outcome.
    """
    loss = in_our_words(name, error)
    if loss is None:
        return error
    loss.__cause__ = error
    return loss


def in_our_words(name: str, error: BaseException) -> ExecutorBrokenError | None:
    if isinstance(error, KilledWorker):
        return WorkerLostError(
            f"The Dask worker {error.last_worker.address} died while it held {name}(). This call is "
            "lost and was not started again; others are not affected. If the worker ran out of "
            "memory, use fewer of them, or smaller calls."
        )
    if isinstance(error, CancelledError):
        return WorkerLostError(f"The Dask cluster has lost {name}(): {error}")
    if isinstance(error, OSError | RuntimeError):
        return ExecutorBrokenError(f"The Dask cluster cannot compute {name}(): {error!r}")
    return None
