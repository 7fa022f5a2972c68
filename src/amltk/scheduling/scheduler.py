"""The face of the library: submit work, hear what comes of it, run until it is done."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from typing_extensions import ParamSpec, TypeVar, Unpack, override

from amltk.backends.base import Backend, summary
from amltk.callbacks import name_of
from amltk.events import Emitter, Event, Subscriber
from amltk.exceptions import SchedulerAlreadyRunningError, SchedulerNotRunningError
from amltk.scheduling import lifecycle
from amltk.scheduling.call import Call, CallFuture, refuse_what_cannot_be_submitted
from amltk.scheduling.interrupts import ctrl_c_goes_to
from amltk.scheduling.notebook import in_a_thread, refuse_inside_a_loop
from amltk.scheduling.on_backend import OnBackend
from amltk.scheduling.outcomes import Outcomes, Owner
from amltk.scheduling.run import Run
from amltk.scheduling.run_options import RunOptions, lifecycle_for
from amltk.scheduling.scheduler_events import SchedulerEvents
from amltk.scheduling.task import Task
from amltk.scheduling.task_plugin import TaskPlugin

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Scheduler"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")


class Scheduler(OnBackend):
    """Runs functions elsewhere, and tells its subscribers all that happens.

    ```python
    scheduler = Scheduler.with_processes(2)


    @scheduler.on_start
    def begin() -> None:
        scheduler.submit(pow, 2, 10)


    @scheduler.on_future_result
    def report(future: Future[Any], result: Any) -> None:
        print(result)


    scheduler.run()
    ```

    Args:
        executor: What does the work: an executor, or a recipe that opens one for each run, such
            as `Processes(2)`.
        terminate: Whether a run takes over an executor that was passed, and shuts it down at its
            end. With `False` it stays open, and is there for the next run.

    Raises:
        TypeError: If it is neither an executor nor a recipe.
        ValueError: If `terminate=False` is said of a recipe, whose executors nobody else has.
    """

    ExitCode: TypeAlias = lifecycle.ExitCode
    ExitState: TypeAlias = lifecycle.ExitState

    STARTED: ClassVar[Event[[]]] = Event("on_start")
    FINISHING: ClassVar[Event[[]]] = Event("on_finishing")
    FINISHED: ClassVar[Event[[]]] = Event("on_finished")
    STOP: ClassVar[Event[[]]] = Event("on_stop")
    TIMEOUT: ClassVar[Event[[]]] = Event("on_timeout")
    EMPTY: ClassVar[Event[[]]] = Event("on_empty")
    FUTURE_SUBMITTED: ClassVar[Event[[asyncio.Future[Any]]]] = Event("on_future_submitted")
    FUTURE_DONE: ClassVar[Event[[asyncio.Future[Any]]]] = Event("on_future_done")
    FUTURE_RESULT: ClassVar[Event[[asyncio.Future[Any], Any]]] = Event("on_future_result")
    FUTURE_EXCEPTION: ClassVar[Event[[asyncio.Future[Any], BaseException]]] = Event(
        "on_future_exception"
    )
    FUTURE_CANCELLED: ClassVar[Event[[asyncio.Future[Any]]]] = Event("on_future_cancelled")

    on_start: Subscriber[[]]
    """The run has begun and takes work."""
    on_finishing: Subscriber[[]]
    """The run is about to end; the last moment to submit anything."""
    on_finished: Subscriber[[]]
    """The run is over: nothing is pending, the executor is closed. Nothing is emitted after it."""
    on_stop: Subscriber[[]]
    """The run ends because of `stop()` or an exception."""
    on_timeout: Subscriber[[]]
    """The run ends because its time is over."""
    on_empty: Subscriber[[]]
    """Nothing is pending any more; what is submitted here keeps the run going."""
    on_future_submitted: Subscriber[[asyncio.Future[Any]]]
    """A call was submitted; passes its future."""
    on_future_done: Subscriber[[asyncio.Future[Any]]]
    """A call was computed, whatever came of it; passes its future."""
    on_future_result: Subscriber[[asyncio.Future[Any], Any]]
    """A call returned; passes its future and what it returned."""
    on_future_exception: Subscriber[[asyncio.Future[Any], BaseException]]
    """A call raised; passes its future and what it raised."""
    on_future_cancelled: Subscriber[[asyncio.Future[Any]]]
    """A call was cancelled; passes its future."""

    def __init__(self, executor: Executor | Backend, *, terminate: bool = True) -> None:
        super().__init__(executor, terminate=terminate)
        self.emitter: Emitter = Emitter("Scheduler")
        """What emits the events."""
        self.tasks: list[Task[..., Any]] = []
        """The tasks of this scheduler, oldest first."""
        self.exit_state: lifecycle.ExitState | None = None
        """How the last run ended; `None` before that."""
        self.room: Subscriber[[]] = Emitter().subscriber(Event[[]]("room"))
        """Emitted when everybody was told of the start or of an outcome: what feeds listen to."""
        self._run: Run | None = None
        self._one_at_a_time = threading.Lock()
        self.on_start = self.emitter.subscriber(self.STARTED)
        self.on_finishing = self.emitter.subscriber(self.FINISHING)
        self.on_finished = self.emitter.subscriber(self.FINISHED)
        self.on_stop = self.emitter.subscriber(self.STOP)
        self.on_timeout = self.emitter.subscriber(self.TIMEOUT)
        self.on_empty = self.emitter.subscriber(self.EMPTY)
        self.on_future_submitted = self.emitter.subscriber(self.FUTURE_SUBMITTED)
        self.on_future_done = self.emitter.subscriber(self.FUTURE_DONE)
        self.on_future_result = self.emitter.subscriber(self.FUTURE_RESULT)
        self.on_future_exception = self.emitter.subscriber(self.FUTURE_EXCEPTION)
        self.on_future_cancelled = self.emitter.subscriber(self.FUTURE_CANCELLED)

    # Work.

    def task(
        self,
        function: Callable[P, R],
        /,
        *,
        plugins: TaskPlugin | Iterable[TaskPlugin] = (),
    ) -> Task[P, R]:
        """Make a task: a function with events of its own, which is called to be submitted.

        Args:
            function: What to run; not an `async def`.
            plugins: What controls its calls; asked in this order.

        Raises:
            TypeError: If the function cannot be called, or would have to be awaited.
        """
        return Task(function, self, plugins=plugins)

    def submit(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[R]:
        """Have a function called with these arguments, all of which are passed on to it.

        Returns:
            The future of the call; in a coroutine it can be awaited.

        Raises:
            SchedulerNotRunningError: If no run takes work.
            WrongThreadError: If this is not the thread of the run.
            TypeError: If the function cannot be called, or would have to be awaited.
        """
        refuse_what_cannot_be_submitted(function)
        future = self.submit_call(Call(function, args, kwargs))
        self.raise_interrupt()
        return future

    def submit_call(
        self, call: Call[R], /, owner: Owner | None = None, asked: Call[R] | None = None
    ) -> CallFuture[R]:
        """Have a call computed; what tasks do.

        Args:
            call: What to compute.
            owner: Who hears of the outcome beside the scheduler.
            asked: The call as the owner was asked for it, if plugins have changed it.

        Raises:
            SchedulerNotRunningError: If no run takes work.
            WrongThreadError: If this is not the thread of the run.
        """
        return self._open_run(call.function).submit(call, owner, asked)

    def goes_on(self) -> bool:
        """Whether a run is on, and there is no reason for it to end yet."""
        return self._run is not None and self._run.goes_on

    def require_open(self, function: Callable[..., object], /) -> None:
        """Raise what submitting this function would raise now, if anything; see `submit`."""
        self._open_run(function).require_open(function)

    def report(self, error: BaseException, /) -> None:
        """Have the run's `on_exception` decide about what a callback raised.

        Raises:
            BaseException: The error itself, if there is no run.
        """
        if self._run is None:
            raise error
        self._run.report(error)

    def raise_interrupt(self) -> None:
        """Raise the Ctrl-C that came while callbacks heard of a call: it goes through us, too."""
        if self._run is not None and self._run.life.interrupt is not None:
            raise self._run.life.interrupt

    def _open_run(self, function: Callable[..., object]) -> Run:
        if self._run is None:
            raise SchedulerNotRunningError(
                f"Cannot submit {name_of(function)}(): the scheduler is not running. Submit from "
                "a callback, for instance one that is registered with @scheduler.on_start."
            )
        return self._run

    # Running.

    def run(
        self, *, asyncio_debug_mode: bool = False, **options: Unpack[RunOptions]
    ) -> lifecycle.ExitState:
        """Run until there is a reason to end.

        The first Ctrl-C ends the run at once, as `stop()` does with `wait=False`, and is raised
        when the run is over; a second one gives up everything.

        Args:
            asyncio_debug_mode: Run the event loop in its debug mode.
            **options: `timeout` in seconds; `end_on_empty`, whether the run ends when nothing is
                left to do; `wait`, whether what is pending at the end is awaited; `on_exception`,
                what becomes of the run when a call or a callback fails: "raise", "end", "ignore",
                or a mapping from exception types to these; `display`, whether it is shown live.

        Returns:
            Why the run ended.

        Raises:
            BaseException: What a call or a callback raised, with `on_exception="raise"`.
            SchedulerAlreadyRunningError: If it is running already, or inside of an event loop.
            ExecutorShutdownError: If the executor that was given is not open any more.
            BackendNotInstalledError: If the package of the backend is not installed.
        """
        refuse_inside_a_loop()
        life = lifecycle_for(options)
        with (
            self._alone(),
            ctrl_c_goes_to(self._interrupt, self._give_up),
            asyncio.Runner(debug=asyncio_debug_mode) as runner,
            suppress(asyncio.CancelledError),  # how it ended, `life` knows
        ):
            runner.run(self._live(options, life))
        return life.result()

    async def async_run(self, **options: Unpack[RunOptions]) -> lifecycle.ExitState:
        """Run in the event loop that is running, as `run` does.

        If the coroutine is cancelled, the run ends as with `wait=False` and then it is.

        Args:
            **options: See `run`.

        Returns:
            Why the run ended.

        Raises:
            BaseException: What a call or a callback raised, with `on_exception="raise"`.
            SchedulerAlreadyRunningError: If it is running already.
        """
        life = lifecycle_for(options)
        with self._alone():
            await self._live(options, life)
        if life.was_cancelled:
            raise asyncio.CancelledError
        return life.result()

    def run_in_notebook(self, **options: Unpack[RunOptions]) -> lifecycle.ExitState:
        """Run in a thread of its own, and wait for it: what works where a loop is running.

        Callbacks are called in that thread. Interrupting the kernel is what Ctrl-C is to `run`.

        Args:
            **options: See `run`.

        Returns:
            Why the run ended.
        """
        return in_a_thread(partial(self.run, **options), self._interrupt, self._give_up)

    def stop(self, *_: object, exception: BaseException | None = None, **__: object) -> None:
        """End the run; does nothing if there is none.

        Callbacks may call it, and so may other threads and signal handlers. It takes any
        arguments, so that it can be a callback itself: `task.on_result(scheduler.stop)`.

        Args:
            exception: Why, for the `ExitState`. It is not raised.
        """
        run = self._run  # it may end in another thread while this looks at it
        if run is not None:
            run.stop(exception)

    async def _live(self, options: RunOptions, life: lifecycle.Lifecycle) -> None:
        run = self._run = Run(self.backend, self._events(), life)
        # Shown from now on, not before: workers are no copies of a process that is drawing.
        with self._shown(options):
            try:
                await run.live()
            finally:
                self.exit_state = life.exit
                self._run = None

    def _events(self) -> SchedulerEvents:
        return SchedulerEvents(
            started=self.on_start,
            empty=self.on_empty,
            stop=self.on_stop,
            timeout=self.on_timeout,
            finishing=self.on_finishing,
            finished=self.on_finished,
            submitted=self.on_future_submitted,
            room=self.room,
            outcomes=Outcomes(
                self.on_future_done,
                self.on_future_result,
                self.on_future_exception,
                self.on_future_cancelled,
            ),
        )

    @contextmanager
    def _alone(self) -> Generator[None]:
        if not self._one_at_a_time.acquire(blocking=False):
            raise SchedulerAlreadyRunningError(
                f"{self!r} is running already, and can do so only once at a time. Wait for that "
                "run to end, or make a second scheduler: they can run side by side."
            )
        try:
            yield
        finally:
            self._one_at_a_time.release()

    def _shown(self, options: RunOptions) -> AbstractContextManager[None]:
        if not options.get("display", False):
            return nullcontext()
        from amltk.rendering.live import shown_live  # noqa: PLC0415

        return shown_live(self)

    def _interrupt(self, interrupt: BaseException) -> None:
        if (run := self._run) is None:
            raise interrupt
        run.interrupt(interrupt)

    def _give_up(self) -> None:
        if (run := self._run) is not None:
            run.give_up()

    # Looking at it.

    def running(self) -> bool:
        """Whether there is a run that takes work."""
        return self._run is not None and self._run.life.takes_work

    def empty(self) -> bool:
        """Whether nothing is pending."""
        return self._run is None or not self._run.pending

    @property
    def queue(self) -> Mapping[asyncio.Future[Any], Call[Any]]:
        """The futures that have no outcome yet, with what they compute, oldest first."""
        return {} if self._run is None else self._run.queue

    @property
    def event_counts(self) -> Counter[Event | str]:
        """How often each event was emitted; look them up as events or by their names."""
        return self.emitter.event_counts

    @override
    def __repr__(self) -> str:
        state = "running" if self.running() else "not running" if self._run is None else "closing"
        n_pending = 0 if self._run is None else len(self._run.pending)
        n_done = self.on_future_done.event_count + self.on_future_cancelled.event_count
        return (
            f"<Scheduler on {summary(self.backend)}: {state}, {n_pending} pending, {n_done} done>"
        )

    def __rich__(self) -> RenderableType:
        from amltk.rendering.tree import scheduler_tree  # noqa: PLC0415

        return scheduler_tree(self)

    def _repr_mimebundle_(self, **_: object) -> Mapping[str, str]:
        from amltk.rendering.export import mimebundle  # noqa: PLC0415

        return mimebundle(self)
