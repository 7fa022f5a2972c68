"""Running work in a Dask cluster: one that is there already, or one on this machine."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

from amltk.backends.abilities import Abilities
from amltk.backends.adapting import ON_A_CLUSTER_OF_OTHERS
from amltk.backends.base import needs, require_at_least_one
from amltk.backends.memory import is_enough

if TYPE_CHECKING:
    from amltk.backends.dask.executor import DaskExecutor

__all__ = ["Credentials", "Dask"]

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]


@runtime_checkable
class Credentials(Protocol):
    """What encrypts and authenticates connections: a `distributed.Security`."""

    def get_connection_args(self, role: str) -> dict[str, Any]:
        """What a client, a scheduler or a worker needs to connect."""
        ...


OF_OUR_OWN_CLUSTER = (
    "n_workers",
    "threads_per_worker",
    "memory_limit",
    "host",
    "dashboard_address",
    "local_directory",
)
"""Fields that say nothing of a scheduler that is running already."""

TEXTS = ("address", "host", "dashboard_address", "local_directory", "scheduler_file")
"""Fields that are texts, if anything."""

ADDRESS = re.compile(r"(inproc://\S+|(\w+://)?(\[[\w:.%]+\]|[^\s\[\]:/]+):\d+)")
"""An address of a scheduler: a protocol perhaps, a host and a port."""


@dataclass(frozen=True, slots=True)
class Dask:
    """Workers of a Dask cluster.

    With an `address` or a `scheduler_file` the run connects to a scheduler that is running, and
    leaves the cluster as it is. Otherwise the run starts one on this machine, and closes it at its end.
    A worker that dies there takes the calls with it that it was computing, and is replaced.

    The scheduler of such a cluster listens on a port of this machine. Without `security` everybody
    who can connect to it can run code here: on the default `host`, all users of this machine.
    """

    address: str | None = None
    """Where a scheduler listens that is running, as in `"tcp://10.0.0.1:8786"`."""
    n_workers: int | None = None
    """Number of worker processes on this machine; one per core that this process may use if `None`."""
    threads_per_worker: int = 1
    """Number of calls that each of these workers computes at the same time."""
    memory_limit: str | float | None = "auto"
    """Memory that each of these worker processes may use, or else it is ended: a text such as
    `"4GiB"`, a number of bytes, a fraction of this machine's memory, or no limit if `None`; with
    `"auto"` they share all of it."""
    host: str = "127.0.0.1"
    """Where the scheduler of this cluster listens, and its workers do."""
    dashboard_address: str | None = None
    """Where to look at this cluster in a browser, as in `":8787"`; nowhere if `None`."""
    local_directory: str | None = None
    """Where these workers put their files; where Dask is configured to if `None`."""
    scheduler_file: str | None = None
    """A file in which a scheduler that is running has written where it listens."""
    security: Credentials | None = None
    """What encrypts and authenticates all connections, a `distributed.Security`."""
    timeout: float = 10
    """Seconds within which the scheduler has to answer."""
    silence_logs: LogLevel = "critical"
    """What is printed of the log of `distributed`, here and by these workers: this and worse."""

    def __post_init__(self) -> None:
        require_at_least_one("n_workers", self.n_workers)
        require_at_least_one("threads_per_worker", self.threads_per_worker)
        for name in TEXTS:
            require_text(name, getattr(self, name))
        require_address(self.address)
        require_memory(self.memory_limit)
        require_seconds(self.timeout)
        require_level(self.silence_logs)
        require_credentials(self.security)
        self._require_one_cluster()

    @property
    def abilities(self) -> Abilities:
        """What can be relied on; less with workers of somebody else, or that share a process."""
        if self._attaches():
            return ON_A_CLUSTER_OF_OTHERS
        return Abilities(
            stops_running=True,
            survives_dead_worker=True,
            isolates_culprit=self.threads_per_worker == 1,
            functions="by value",
            overhead=2e-3,
        )

    def open(self) -> DaskExecutor:
        """Connect to the scheduler, or start a cluster.

        Raises:
            BackendNotInstalledError: If `distributed` is not installed.
            BackendUnavailableError: If the scheduler does not answer in time.
        """
        with needs("distributed", extra="dask"):
            from amltk.backends.dask import opening  # noqa: PLC0415

        return opening.connect(self) if self._attaches() else opening.start(self)

    def _attaches(self) -> bool:
        return self.address is not None or self.scheduler_file is not None

    def _require_one_cluster(self) -> None:
        if self.address is not None and self.scheduler_file is not None:
            raise ValueError("`address` and `scheduler_file` name a scheduler each: give only one.")
        meant_otherwise = [
            field.name
            for field in fields(self)
            if field.name in OF_OUR_OWN_CLUSTER and getattr(self, field.name) != field.default
        ]
        if self._attaches() and meant_otherwise:
            raise ValueError(
                f"`{meant_otherwise[0]}` is for a cluster that the run starts on this machine, but "
                "`address` or `scheduler_file` names one that is running. Give one or the other."
            )


def require_text(name: str, value: object) -> None:
    """Refuse what is no text."""
    if value is not None and not (isinstance(value, str) and value):
        raise TypeError(f"`{name}={value!r}` has to be a text that says something, or None.")


def require_address(address: str | None) -> None:
    """Refuse a text that is no address."""
    if address is not None and not ADDRESS.fullmatch(address):
        raise ValueError(
            f"`address={address!r}` is no address of a scheduler: it has to be like "
            "'tcp://10.0.0.1:8786'."
        )


def require_memory(limit: object) -> None:
    """Refuse what is no amount of memory."""
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, str | float | int):
        raise TypeError(f"`memory_limit={limit!r}` has to be a text, a number, or None.")
    if isinstance(limit, str):
        is_amount = limit == "auto" or is_enough(limit)
    else:
        is_amount = 0 < limit < math.inf
    if not is_amount:
        raise ValueError(
            f"`memory_limit={limit!r}` is no amount of memory. Give one like '4GiB', a number of "
            "bytes, a fraction of this machine's memory, 'auto' or None."
        )


def require_seconds(seconds: object) -> None:
    """Refuse what is no time to wait."""
    if isinstance(seconds, bool) or not isinstance(seconds, float | int):
        raise TypeError(f"`timeout={seconds!r}` has to be a number of seconds.")
    if not 0 < seconds < math.inf:
        raise ValueError(f"`timeout={seconds}` has to be more than 0 seconds, and not endless.")


def require_level(level: object) -> None:
    """Refuse what is no level of a log."""
    if level not in get_args(LogLevel):
        levels = ", ".join(map(repr, get_args(LogLevel)))
        raise ValueError(f"`silence_logs={level!r}` has to be one of {levels}.")


def require_credentials(security: object) -> None:
    """Refuse what encrypts nothing."""
    if security is not None and not isinstance(security, Credentials):
        raise TypeError(f"`security={security!r}` has to be a distributed.Security, or None.")
