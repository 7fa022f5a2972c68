"""Executors whose manners surprise, behind others that have those of all the rest."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import distributed

__all__ = ["ClientExecutor", "adapted"]


@runtime_checkable
class ClientExecutor(Protocol):
    """What has to be known of an executor that a client of Dask made."""

    _client: distributed.Client
    """The client."""
    _kwargs: Mapping[str, Any]
    """Where calls may run, as `Client.get_executor` was told."""
    _shutdown: bool
    """Whether it takes no more calls."""


def adapted(executor: Executor) -> Executor:
    """What to hand calls to that are for this executor: mostly itself."""
    # Seen by its name: to import Dask takes a second, and who has none of its executors needs none.
    if type(executor).__module__ == "distributed.cfexecutor" and isinstance(
        executor, ClientExecutor
    ):
        from amltk.backends.dask.given import AdaptedExecutor  # noqa: PLC0415

        return AdaptedExecutor(executor)
    return executor
