"""Running work right where it is submitted, for debugging."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import ParamSpec, TypeVar, override

from amltk.backends.abilities import Abilities

__all__ = ["Sequential", "SequentialExecutor", "run_job"]

P = ParamSpec("P")
R = TypeVar("R")


class SequentialExecutor(Executor):
    """Runs each job while it is being submitted, in the thread that submits it.

    What a job raises goes into its future, as with every executor; only `KeyboardInterrupt` goes
    through to whoever submitted it.
    """

    abilities: ClassVar[Abilities] = Abilities(
        in_background=False, cancels_queued=False, functions="any", overhead=2e-5
    )

    def __init__(self) -> None:
        self._shut = False

    @override
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run the job and return its future, which is done.

        Raises:
            RuntimeError: After `shutdown`.
        """
        if self._shut:
            raise RuntimeError("Cannot submit to a SequentialExecutor after its shutdown().")
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()
        try:
            result = run_job(fn, args, kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)
        else:
            future.set_result(result)
        return future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Refuse work from now on; there is never anything to wait for."""
        self._shut = True


def run_job(fn: Callable[..., R], args: Sequence[object], kwargs: Mapping[str, object]) -> R:
    """Call a job: Ctrl-C in here hits the job, and not the book-keeping around it."""
    return fn(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class Sequential:
    """Run everything in this process, one job after the other, while it is submitted.

    Nothing can interrupt a job here but Ctrl-C: a timeout is noticed after it.
    """

    abilities: ClassVar[Abilities] = SequentialExecutor.abilities

    def open(self) -> SequentialExecutor:
        """Make a new executor."""
        return SequentialExecutor()
