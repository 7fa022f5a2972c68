"""An executor that a Dask client made, with the manners of ours.

What `Client.get_executor()` makes takes calls that look alike for one, keeps keywords of the function
for itself, and complains if a call is cancelled while its result is on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from typing_extensions import ParamSpec, TypeVar, override

from amltk.backends.adapting import ClientExecutor
from amltk.backends.dask.executor import DaskExecutor

__all__ = ["AdaptedExecutor"]

P = ParamSpec("P")
R = TypeVar("R")


class AdaptedExecutor(DaskExecutor):
    """Hands calls to the cluster where an executor of somebody else hands them to.

    Args:
        given: That executor. It stays as it is, and so does its client.
    """

    def __init__(self, given: ClientExecutor) -> None:
        options = {name: value for name, value in given._kwargs.items() if name != "pure"}  # noqa: SLF001
        super().__init__(given._client, close=nothing, options=options)  # noqa: SLF001
        self._given = given

    @override
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Compute a call in the cluster.

        Raises:
            ExecutorBrokenError: If the client is closed.
            RuntimeError: After `shutdown` of either executor.
        """
        if self._given._shutdown:  # noqa: SLF001
            raise RuntimeError("Cannot submit to an executor of a client after its shutdown().")
        return super().submit(fn, *args, **kwargs)


def nothing() -> None:
    """Close nothing: it is not ours to close."""
