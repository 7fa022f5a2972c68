"""A function that a scheduler runs, with events and plugins of its own.

A task knows no scheduler, only something that takes calls. What it does is to ask its plugins,
hand the call on, and publish what comes of it.
"""

from __future__ import annotations

import inspect
from asyncio import Future
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, Literal, Protocol, overload

from typing_extensions import ParamSpec, TypeIs, TypeVar, Unpack, override

from amltk.callbacks import name_of
from amltk.events import CallbackOptions, Emitter, Event, Subscriber
from amltk.scheduling.call import Call, CallFuture, refuse_what_cannot_be_submitted
from amltk.scheduling.feeding import Feed, TakesItems
from amltk.scheduling.outcomes import Outcomes, Owner, guarded
from amltk.scheduling.submission import Submission
from amltk.scheduling.task_events import (
    ExceptionEvent,
    FutureEvent,
    ResultEvent,
    SubmissionEvent,
    SubmittedEvent,
)
from amltk.scheduling.task_plugin import TaskPlugin, is_free, set_free

if TYPE_CHECKING:
    from rich.tree import Tree

    from amltk.exceptions import (
        CpuTimeoutException,
        MemoryLimitException,
        TimeoutException,
        WallTimeoutException,
    )
    from amltk.scheduling.comm_msg import Msg
    from amltk.scheduling.companions import Attempt, Companion

__all__ = ["TakesCalls", "Task"]

P = ParamSpec("P", default=...)
Q = ParamSpec("Q")
R = TypeVar("R", default=Any)
R2 = TypeVar("R2")
T = TypeVar("T")


class TakesCalls(Protocol):
    """What a task needs of a scheduler."""

    @property
    def tasks(self) -> list[Task[..., Any]]:
        """Every task there is, for those who want to look at them."""
        ...

    @property
    def room(self) -> Subscriber[[]]:
        """Emitted when a run has begun and after each outcome, when everybody was told."""
        ...

    def goes_on(self) -> bool:
        """Whether a run is on, and there is no reason for it to end yet."""
        ...

    def require_open(self, function: Callable[..., object], /) -> None:
        """Raise unless calls can be submitted now."""
        ...

    def submit_call(
        self, call: Call[R2], /, owner: Owner | None = None, asked: Call[R2] | None = None
    ) -> CallFuture[R2]:
        """Have a call computed, and tell its owner, who asked for it in these words, of it."""
        ...

    def report(self, error: BaseException, /) -> None:
        """A callback raised this: what becomes of it, the run decides."""
        ...

    def raise_interrupt(self) -> None:
        """Raise the Ctrl-C that came while callbacks heard of a call: it goes through us, too."""
        ...


class Task(Generic[P, R]):
    """A function that a scheduler runs; calling the task submits it.

    ```python
    task = scheduler.task(train)


    @task.on_result
    def report(future: Future[float], score: float) -> None: ...


    @scheduler.on_start
    def begin() -> None:
        task(learning_rate=0.1)
    ```

    Args:
        function: The function to run; not an `async def`.
        scheduler: What runs it. Usually one writes `scheduler.task(function)` instead.
        plugins: What controls its calls; asked in this order.

    Raises:
        TypeError: If the function cannot be called, or would have to be awaited.
        PluginError: If a plugin is attached to another task.
    """

    SUBMITTED: ClassVar[SubmittedEvent] = SubmittedEvent("on_submitted")
    DONE: ClassVar[FutureEvent] = FutureEvent("on_done")
    CANCELLED: ClassVar[FutureEvent] = FutureEvent("on_cancelled")
    RESULT: ClassVar[ResultEvent] = ResultEvent("on_result")
    EXCEPTION: ClassVar[ExceptionEvent] = ExceptionEvent("on_exception")

    on_submitted: Subscriber[Concatenate[Future[R], P]]
    """A call was submitted; passes its future and its arguments."""
    on_done: Subscriber[[Future[R]]]
    """A call was computed, whatever came of it; passes its future."""
    on_result: Subscriber[[Future[R], R]]
    """A call returned; passes its future and what it returned."""
    on_exception: Subscriber[[Future[R], BaseException]]
    """A call raised; passes its future and what it raised."""
    on_cancelled: Subscriber[[Future[R]]]
    """A call was cancelled; passes its future."""

    def __init__(
        self,
        function: Callable[P, R],
        scheduler: TakesCalls,
        *,
        plugins: TaskPlugin | Iterable[TaskPlugin] = (),
    ) -> None:
        refuse_what_cannot_be_submitted(function)
        self.function: Callable[P, R] = function
        self.name: str = name_of(function)
        """What the task is called where it is shown: the name of its function."""
        self.scheduler: TakesCalls = scheduler
        self.emitter: Emitter = Emitter(self.name)
        self.plugins: tuple[TaskPlugin, ...] = ()
        self.is_accompanied: bool = False
        """Whether one of them may have something go along with attempts."""
        self.feeds: list[Feed[Any]] = []
        """What `feed` has made, oldest first; those that are over leave when it makes another."""
        self._futures: dict[Future[R], None] = {}
        self.on_submitted = self.on(self.SUBMITTED)
        self.on_done = self.on(self.DONE)
        self.on_result = self.on(self.RESULT)
        self.on_exception = self.on(self.EXCEPTION)
        self.on_cancelled = self.on(self.CANCELLED)
        self._submitted: Subscriber = self.emitter.on("on_submitted")
        self.outcomes: Outcomes[R] = Outcomes(
            self.on_done, self.on_result, self.on_exception, self.on_cancelled
        )
        with suppress(ValueError, TypeError):  # some builtins have none
            # What `help(task)` and completion in a notebook show at `task(`.
            self.__signature__: inspect.Signature = inspect.signature(function)
        self._attach(plugins if is_several(plugins) else (plugins,))
        scheduler.tasks.append(self)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Future[R] | None:
        """Submit a call; `None` if a plugin refused it.

        Raises:
            SchedulerNotRunningError: If no run takes work.
            WrongThreadError: If this is not the thread of the run.
        """
        future = self.submit_call(Call(self.function, args, kwargs))
        self.scheduler.raise_interrupt()
        return future

    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> Future[R] | None:
        """Submit a call, as calling the task does."""
        return self(*args, **kwargs)

    def submit_call(self, call: Call[R], /) -> Future[R] | None:
        """Submit a call that is put together already; `None` if a plugin refused it."""
        if self.plugins:
            return Submission(self, call).submit()
        return self.scheduler.submit_call(call, self)

    def feed(self: TakesItems[T], items: Iterable[T], /, *, max_pending: int) -> Feed[T]:
        """Call this with one item after the other, keeping so many calls pending.

        Items are read when there is room for a call: when a run begins (now, if one is on), and
        whenever everybody was told of an outcome. Each is the one argument of a call, a tuple too.
        One that a plugin refuses is kept for the next time.

        Args:
            items: What to call the task with; read lazily.
            max_pending: With fewer pending calls of the task than this, it is called.

        Returns:
            An iterator over what has not been submitted.

        Raises:
            TypeError: If the items cannot be iterated over, or `max_pending` is no whole number.
            ValueError: If `max_pending` is below 1.
            WrongThreadError: If a run is on, and this is not its thread.
        """
        return Feed(self, items, max_pending)

    def attach_plugin(self, plugin: TaskPlugin, /) -> None:
        """Let a plugin control the calls from now on, after those that are attached already.

        Raises:
            PluginError: If the plugin is attached to a task already.
        """
        require_plugin(plugin)
        was_free = is_free(plugin)
        try:
            plugin.attach_task(self)
        except BaseException:
            if was_free:
                set_free(plugin)
            raise
        self.plugins = (*self.plugins, plugin)
        self.is_accompanied |= type(plugin).attempt_begins is not TaskPlugin.attempt_begins

    def _attach(self, plugins: Iterable[TaskPlugin]) -> None:
        try:
            for plugin in plugins:
                self.attach_plugin(plugin)
        except BaseException:  # there will be no such task, and they can be attached to another one
            for plugin in self.plugins:
                set_free(plugin)
            raise

    def copy(self) -> Task[P, R]:
        """A task of the same function with copies of the plugins, and no callbacks."""
        return Task(self.function, self.scheduler, plugins=[p.copy() for p in self.plugins])

    @property
    def n_running(self) -> int:
        """How many calls are pending: submitted and without an outcome."""
        return len(self._futures)

    def running(self) -> bool:
        """Whether any call is pending."""
        return bool(self._futures)

    def futures(self) -> list[Future[R]]:
        """The futures of the calls that are pending, oldest first."""
        return list(self._futures)

    @property
    def event_counts(self) -> Counter[Event | str]:
        """How often each event of this task was emitted; look them up as events or by name."""
        return self.emitter.event_counts

    @overload
    def on(
        self,
        event: SubmissionEvent
        | Literal["call-limit-reached", "concurrent-limit-reached", "disabled-due-to-running-task"],
        /,
        **options: Unpack[CallbackOptions],
    ) -> Subscriber[Concatenate[Task[P, R], P]]: ...
    @overload
    def on(
        self,
        event: SubmittedEvent | Literal["on_submitted"],
        /,
        **options: Unpack[CallbackOptions],
    ) -> Subscriber[Concatenate[Future[R], P]]: ...
    @overload
    def on(
        self,
        event: FutureEvent | Literal["on_done", "on_cancelled"],
        /,
        **options: Unpack[CallbackOptions],
    ) -> Subscriber[[Future[R]]]: ...
    @overload
    def on(
        self,
        event: ResultEvent | Literal["on_result"],
        /,
        **options: Unpack[CallbackOptions],
    ) -> Subscriber[[Future[R], R]]: ...
    @overload
    def on(
        self,
        event: ExceptionEvent | Literal["on_exception"],
        /,
        **options: Unpack[CallbackOptions],
    ) -> Subscriber[[Future[R], BaseException]]: ...
    @overload
    def on(
        self, event: Literal["retry"], /, **options: Unpack[CallbackOptions]
    ) -> Subscriber[[int, BaseException, float]]: ...
    @overload
    def on(
        self, event: Literal["gave-up"], /, **options: Unpack[CallbackOptions]
    ) -> Subscriber[[int, BaseException]]: ...
    @overload
    def on(
        self, event: Literal["pynisher-timeout"], /, **options: Unpack[CallbackOptions]
    ) -> Subscriber[[TimeoutException]]: ...
    @overload
    def on(
        self, event: Literal["pynisher-wall-time-limit"], /, **options: Unpack[CallbackOptions]
    ) -> Subscriber[[WallTimeoutException]]: ...
    @overload
    def on(
        self, event: Literal["pynisher-cpu-time-limit"], /, **options: Unpack[CallbackOptions]
    ) -> Subscriber[[CpuTimeoutException]]: ...
    @overload
    def on(
        self, event: Literal["pynisher-memory-limit"], /, **options: Unpack[CallbackOptions]
    ) -> Subscriber[[MemoryLimitException]]: ...
    @overload
    def on(
        self,
        event: Literal["comm-message", "comm-request", "comm-close"],
        /,
        **options: Unpack[CallbackOptions],
    ) -> Subscriber[[Msg[Any]]]: ...
    @overload
    def on(self, event: Event[Q], /, **options: Unpack[CallbackOptions]) -> Subscriber[Q]: ...
    def on(
        self, event: Event[Q] | str, /, **options: Unpack[CallbackOptions]
    ) -> Subscriber[Q] | Subscriber:
        """Subscribe to an event of this task; use what this returns as a decorator.

        Args:
            event: The event, or its name. A name that no type checker knows: `Event("name")`.
            **options: `when`, `limit`, `repeat` and `every`: see `Emitter.on`.

        Raises:
            EventNotKnownError: If neither the task nor a plugin of it has an event of this name.
        """
        return self.emitter.on(event, **options)

    # What a run tells the owner of a call.

    def accompany(self, attempt: Attempt[R2], /) -> tuple[Call[R2], Sequence[Companion]]:
        """Without plugins, calls are alone."""
        return attempt.call, ()

    def took_off(self, future: CallFuture[Any], /) -> None:
        """The call was given to the executor; nobody has been told yet."""
        self._futures[future] = None

    def announce(self, future: CallFuture[Any], failed: Callable[[BaseException], None], /) -> None:
        """Tell the subscribers that the call was submitted."""
        guarded(failed, self._submitted.emit, future, *future.call.args, **future.call.kwargs)

    def attempt_failed(self, error: BaseException, /) -> None:
        """Without plugins, nobody else needs to know."""

    def again(self, error: BaseException, /) -> None:  # noqa: ARG002
        """Without plugins, nothing is attempted twice."""
        return

    def next_attempt(self) -> None:
        """Without plugins, nothing is attempted twice."""
        return

    def landed(self, future: CallFuture[Any], /) -> None:
        """The call has its outcome; nobody has been told yet."""
        del self._futures[future]

    @override
    def __repr__(self) -> str:
        return f"<Task {self.name}: {self.n_running} pending>"

    def __rich__(self) -> Tree:
        from amltk.rendering.tree import task_tree  # noqa: PLC0415

        return task_tree(self)

    def _repr_mimebundle_(self, **_: object) -> Mapping[str, str]:
        from amltk.rendering.export import mimebundle  # noqa: PLC0415

        return mimebundle(self)


def is_several(
    plugins: TaskPlugin | Iterable[TaskPlugin],
) -> TypeIs[Iterable[TaskPlugin]]:
    return isinstance(plugins, Iterable) and not isinstance(plugins, TaskPlugin)


def require_plugin(plugin: object) -> None:
    if not isinstance(plugin, TaskPlugin):
        raise TypeError(
            f"{plugin!r} is not a plugin: it has to be an instance of a `TaskPlugin`, such as "
            "CallLimiter(max_calls=10)."
        )
