"""An executor that computes nothing: a test says when each job begins and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import ParamSpec, TypeVar, override

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(eq=False)
class HandJob:
    """A call that the executor was given, and the future of it."""

    function: Callable[..., Any]
    args: tuple[object, ...]
    kwargs: dict[str, object]
    future: Future[Any] = field(default_factory=Future)

    def start(self) -> None:
        """Let it run, from when on it cannot be cancelled any more."""
        if not self.future.running():
            self.future.set_running_or_notify_cancel()

    def finish(self, result: object = None) -> None:
        """Let it return."""
        self.start()
        self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Let it raise."""
        self.start()
        self.future.set_exception(error)


class HandDriven(Executor):
    """Takes every job and leaves it to the test. It ends at once: jobs that are left stay open."""

    def __init__(self) -> None:
        self.jobs: list[HandJob] = []
        """Every job there was, oldest first."""
        self.shut = False
        self.terminated = False

    def open_jobs(self) -> list[HandJob]:
        """The jobs that have not ended, oldest first."""
        return [job for job in self.jobs if not job.future.done()]

    @override
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        if self.shut:
            raise RuntimeError("Cannot submit: the executor is shut down.")
        self.jobs.append(HandJob(fn, args, kwargs))
        return self.jobs[-1].future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.shut = True

    def terminate(self) -> None:
        self.shut = self.terminated = True


class HandDrivenRecipe:
    """Opens such an executor for each run, and remembers them."""

    def __init__(self) -> None:
        self.opened: list[HandDriven] = []

    def open(self) -> HandDriven:
        self.opened.append(HandDriven())
        return self.opened[-1]

    @property
    def executor(self) -> HandDriven:
        """The one of the latest run."""
        return self.opened[-1]
