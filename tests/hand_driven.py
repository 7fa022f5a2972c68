"""An executor that computes nothing: a test says when each job begins and how it ends.

`HandDrivenRun` is a scheduler that runs on it, in a loop on virtual time: whatever a test does to it,
it has reacted to completely when `do` returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import ParamSpec, TypeVar, Unpack, override

from amltk import Scheduler, Subscriber, Task
from amltk.scheduling import CallFuture, ExitState
from amltk.scheduling.run_options import RunOptions
from tests.virtual_time import VirtualTimeLoop

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(eq=False)
class HandJob:
    """A call that the executor was given, and the future of it."""

    function: Callable[..., Any]
    args: tuple[object, ...]
    kwargs: dict[str, object]
    future: Future[Any] = field(default_factory=Future[Any])

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


class HandDrivenRun:
    """A scheduler whose run a test takes step by step."""

    def __init__(self) -> None:
        self.loop = VirtualTimeLoop()
        self.recipe = HandDrivenRecipe()
        self.scheduler = Scheduler(self.recipe)
        self.running: asyncio.Task[ExitState]

    @property
    def executor(self) -> HandDriven:
        return self.recipe.executor

    def begin(self, **options: Unpack[RunOptions]) -> None:
        """Start a run, and let it come to rest."""
        self.running = self.loop.create_task(self.scheduler.async_run(**options))
        self.loop.run_until_idle()

    def do(self, action: Callable[[], R]) -> R:
        """Do something in the loop, let the run come to rest, and return what the action did."""
        outcome: Future[R] = Future()

        def act() -> None:
            try:
                outcome.set_result(action())
            except Exception as error:
                outcome.set_exception(error)

        self.loop.call_soon(act)
        self.loop.run_until_idle()
        return outcome.result()

    def end(self) -> ExitState:
        """Have the run end at once; returns, or raises, how it did."""
        self.do(self.scheduler.stop)
        for job in self.executor.open_jobs():
            self.do(job.finish)
        return self.running.result()


Log = list[tuple[object, ...]]


def begun(run: HandDrivenRun, task: Task[..., Any]) -> Log:
    """Start a run that ends when it is told to, and write down all it says about futures.

    Each line has the name of an event, of the scheduler or the task, and what it passed.
    """
    log: Log = []

    def hear(name: str, subscriber: Subscriber) -> None:
        def write_down(*args: object, **kwargs: object) -> None:
            log.append((name, *args, *kwargs.items()))

        subscriber.add(write_down)

    for subscriber in [*run.scheduler.emitter, *task.emitter]:
        if subscriber.event.name not in {"on_start", "on_empty"}:
            hear(subscriber.event.name, subscriber)
    run.begin(end_on_empty=False, on_exception="ignore")
    return log


def submitted(run: HandDrivenRun, call: Callable[[], asyncio.Future[R] | None]) -> CallFuture[R]:
    """Make a call that no plugin refuses."""
    future = run.do(call)
    assert isinstance(future, CallFuture)
    return future


@contextmanager
def hand_driven() -> Generator[HandDrivenRun]:
    """A scheduler in a loop that is closed in the end, and in which nothing went unnoticed."""
    run = HandDrivenRun()
    try:
        yield run
    finally:
        run.loop.close()
    assert run.loop.complaints == []
