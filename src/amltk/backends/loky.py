"""Running work in loky's processes, which joblib and scikit-learn use as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.context import BaseContext
from typing import Any, ClassVar, Literal, TypeAlias

from amltk.backends.abilities import Abilities
from amltk.backends.base import needs, require_at_least_one, require_initializer
from amltk.backends.payload import outcome_of, pack_call
from amltk.backends.reopening import ReopeningPool
from amltk.backends.signals import leave_signals_alone, start_trackers

__all__ = ["Loky"]

Reducers: TypeAlias = Mapping[type[Any], Callable[[Any], object]]
"""Functions that reduce objects of a type for pickling."""

CONTEXTS = ("loky", "loky_init_main", "spawn", "fork", "forkserver")
"""The names of loky's ways to start a process."""


@dataclass(frozen=True, slots=True)
class Loky:
    """Worker processes of loky, started anew, so nothing of this process is copied into them.

    The pool belongs to the run. The pool that joblib shares between everybody in the process is
    not touched, unless `reuse` asks for it, and even then it is left open.
    """

    abilities: ClassVar[Abilities] = Abilities(
        stops_running=True, survives_dead_worker=True, functions="by value", overhead=2e-4
    )

    max_workers: int | None = None
    """Number of processes; one per core if `None`."""
    context: (
        Literal["loky", "loky_init_main", "spawn", "fork", "forkserver"] | BaseContext | None
    ) = None
    """How processes are started; loky's own way if `None`."""
    timeout: float | None = 10
    """Seconds after which a worker that has nothing to do ends; never if `None`."""
    kill_workers: bool = False
    """With `reuse`: end the workers of the shared pool if it has to be resized."""
    reuse: bool | Literal["auto"] = False
    """Use loky's pool that is shared by the whole process, and leave it open after the run."""
    job_reducers: Reducers | None = field(default=None, hash=False)
    """How to pickle the arguments of calls that cannot be pickled as they are, by type."""
    result_reducers: Reducers | None = field(default=None, hash=False)
    """The same for results."""
    initializer: Callable[..., object] | None = None
    """Called in each worker before its first call."""
    initargs: tuple[object, ...] = ()
    """Arguments of the initializer."""
    env: Mapping[str, str] | None = field(default=None, hash=False)
    """Environment variables that are set in the workers before anything is imported."""

    def __post_init__(self) -> None:
        require_at_least_one("max_workers", self.max_workers)
        require_initializer(self.initializer, self.initargs)
        if isinstance(self.context, str) and self.context not in CONTEXTS:
            raise ValueError(
                f"`context={self.context!r}` is no way to start a process. Use one of "
                f"{', '.join(CONTEXTS)}, a context, or None."
            )
        if self.timeout is not None and self.timeout < 0:
            raise ValueError(f"`timeout={self.timeout}` is no time: give seconds, or None.")

    def open(self) -> ReopeningPool:
        """Make a new pool, or get the shared one.

        Raises:
            BackendNotInstalledError: If loky is not installed.
        """
        with needs("loky", extra="loky"):
            import loky  # noqa: PLC0415
            from loky.backend.reduction import dumps  # noqa: PLC0415

        at_most = self.max_workers or loky.cpu_count()
        open_pool = self._shared_pool if self.reuse else self._own_pool
        return ReopeningPool(
            open_pool,
            at_most,
            owned=not self.reuse,
            pack=partial(pack_call, dumps=partial(dumps, reducers=self.job_reducers)),
            compute=partial(compute, result_reducers=self.result_reducers),
        )

    def _own_pool(self) -> Executor:
        import loky  # noqa: PLC0415

        start_trackers()
        return loky.ProcessPoolExecutor(
            max_workers=self.max_workers,
            job_reducers=self.job_reducers,
            result_reducers=self.result_reducers,
            timeout=self.timeout,
            context=self.context,
            initializer=begin,
            initargs=(self.initializer, self.initargs),
            env=self.env,
        )

    def _shared_pool(self) -> Executor:
        import loky  # noqa: PLC0415

        return loky.get_reusable_executor(
            max_workers=self.max_workers,
            context=self.context,
            timeout=self.timeout,
            kill_workers=self.kill_workers,
            reuse=self.reuse,
            job_reducers=self.job_reducers,
            result_reducers=self.result_reducers,
            initializer=self.initializer,
            initargs=self.initargs,
            env=self.env,
        )


def begin(initializer: Callable[..., object] | None, initargs: tuple[object, ...]) -> None:
    """What a worker does first."""
    leave_signals_alone()
    if initializer is not None:
        initializer(*initargs)


def compute(packed: bytes, *, result_reducers: Reducers | None) -> bytes:
    """Compute a call, in a worker; its outcome is packed here, where it cannot break the pool."""
    from loky.backend.reduction import dumps  # noqa: PLC0415

    return bytes(outcome_of(packed, partial(dumps, reducers=result_reducers)))
