"""Running work on this machine: in processes, or in threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from amltk.backends.abilities import Abilities
from amltk.backends.base import n_cores, require_at_least_one, require_initializer
from amltk.backends.start_method import ProcessContext, StartMethod, context_for
from amltk.backends.thread_pool import ThreadPool

if TYPE_CHECKING:
    from amltk.backends.worker_pool import WorkerPool

__all__ = ["Processes", "Threads"]


@dataclass(frozen=True, slots=True)
class Processes:
    """Worker processes on this machine.

    A worker that dies takes the one call with it that it was computing; the others go on, and a
    new worker takes its place.
    """

    max_workers: int | None = None
    """Number of processes; one per core that this process may use if `None`."""
    mp_context: StartMethod | ProcessContext | None = None
    """How processes are started; what Python does by default if `None`. The fork server's are the
    only ones that hear Ctrl-C while they start, and may then print a traceback."""
    initializer: Callable[..., object] | None = None
    """Called in each worker before its first call."""
    initargs: tuple[object, ...] = ()
    """Arguments of the initializer."""
    max_tasks_per_child: int | None = None
    """Calls after which a worker is replaced by a fresh one; never if `None`."""

    def __post_init__(self) -> None:
        require_at_least_one("max_workers", self.max_workers)
        require_at_least_one("max_tasks_per_child", self.max_tasks_per_child)
        require_initializer(self.initializer, self.initargs)
        context_for(self.mp_context)

    @property
    def abilities(self) -> Abilities:
        """What can be relied on; how workers come by functions depends on how they start."""
        forks = context_for(self.mp_context).get_start_method() == "fork"
        return Abilities(
            stops_running=True,
            survives_dead_worker=True,
            isolates_culprit=True,
            functions="inherited" if forks else "by name",
            overhead=6e-5,
        )

    def open(self) -> WorkerPool:
        """Make a new pool; forked processes start now, others with the calls they are needed for."""
        from amltk.backends.worker_pool import WorkerPool  # noqa: PLC0415

        return WorkerPool(
            self.max_workers or n_cores(),
            mp_context=self.mp_context,
            initializer=self.initializer,
            initargs=self.initargs,
            max_tasks_per_child=self.max_tasks_per_child,
        )


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads of this process.

    Python cannot stop a thread from outside: with `run(wait=False)` and on Ctrl-C a call that is
    running is abandoned. It goes on, nobody hears what comes of it, and it ends with the program.
    """

    abilities: ClassVar[Abilities] = ThreadPool.abilities

    max_workers: int | None = None
    """Number of threads; if `None`, four more than there are cores, and at most 32."""
    thread_name_prefix: str = "amltk-thread"
    """What the names of the threads begin with."""
    initializer: Callable[..., object] | None = None
    """Called in each thread before its first call."""
    initargs: tuple[object, ...] = ()
    """Arguments of the initializer."""

    def __post_init__(self) -> None:
        require_at_least_one("max_workers", self.max_workers)
        require_initializer(self.initializer, self.initargs)

    def open(self) -> ThreadPool:
        """Make a new pool; its threads start with the first calls."""
        begin = self.initializer and partial(self.initializer, *self.initargs)
        return ThreadPool(
            self.max_workers or min(32, n_cores() + 4), name=self.thread_name_prefix, begin=begin
        )
