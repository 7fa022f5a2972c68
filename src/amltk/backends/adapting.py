"""Executors whose manners surprise, behind others that have those of all the rest."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from typing_extensions import TypeIs

from amltk.backends.abilities import Abilities

if TYPE_CHECKING:
    import distributed

__all__ = ["ON_A_CLUSTER_OF_OTHERS", "ClientExecutor", "adapted", "is_of_a_client"]

ON_A_CLUSTER_OF_OTHERS = Abilities(survives_dead_worker=True, functions="by value", overhead=0.002)
"""What can be relied on with a Dask cluster that somebody else has started."""


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
    if is_of_a_client(executor):
        from amltk.backends.dask.given import AdaptedExecutor  # noqa: PLC0415

        return AdaptedExecutor(executor)
    return executor


def is_of_a_client(executor: object) -> TypeIs[ClientExecutor]:
    """Whether a client of Dask made it."""
    # Seen by its name: to import Dask takes a second, and who has none of its executors needs none.
    return type(executor).__module__ == "distributed.cfexecutor" and isinstance(
        executor, ClientExecutor
    )
