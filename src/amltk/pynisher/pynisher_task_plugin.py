"""Limiting what the calls of a task may use of memory and time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, TypeAlias

from typing_extensions import TypeVar, Unpack, override

from amltk import exceptions
from amltk.backends.start_method import ProcessContext, StartMethod, method_of
from amltk.callbacks import refuse_unknown
from amltk.events import Event
from amltk.pynisher.amounts import Memory, Time
from amltk.pynisher.limited import limited
from amltk.pynisher.limits import Bounds, Kind, Limits, require_supported, supports
from amltk.scheduling.attempts import Failure
from amltk.scheduling.call import Call
from amltk.scheduling.task import Task
from amltk.scheduling.task_plugin import TaskPlugin

__all__ = ["PynisherPlugin"]

R = TypeVar("R")


class Exceptions:
    """What calls end with that have reached a limit, at hand where the limits are."""

    # Apart from the plugin, of which they would be fields.
    TimeoutException: TypeAlias = exceptions.TimeoutException
    """It took too long, on the clock or of the CPU: one of the next two."""
    WallTimeoutException: TypeAlias = exceptions.WallTimeoutException
    """It has reached its `wall_time_limit`."""
    CpuTimeoutException: TypeAlias = exceptions.CpuTimeoutException
    """It has reached its `cpu_time_limit`."""
    MemoryLimitException: TypeAlias = exceptions.MemoryLimitException
    """It has reached its `memory_limit`."""


@dataclass(frozen=True)
class PynisherPlugin(Exceptions, TaskPlugin):
    """Ends calls of a task that use too much, with everything they have started.

    Each call runs in a process of its own, on every backend. One that is beyond a limit fails, with
    an exception that is at hand as `PynisherPlugin.TimeoutException` and so on.

    ```python
    limits = PynisherPlugin(memory_limit=(2, "GB"), wall_time_limit=(10, "min"))
    task = scheduler.task(train, plugins=limits)
    ```

    Raises:
        ValueError: If a limit allows nothing, has no end or an unknown unit, or if this system
            cannot keep it.
        TypeError: If one is no amount at all.
        PluginNotInstalledError: If pynisher is not installed.
    """

    memory_limit: Memory | None = None
    """The most address space of the process, in bytes or as `(2, "GB")`. The interpreter and all
    that is loaded into it are part of that."""
    cpu_time_limit: Time | None = None
    """The most CPU time that the call may use with all that it starts, in seconds or as
    `(10, "min")`."""
    wall_time_limit: Time | None = None
    """The longest that the call may take, in seconds or as `(10, "min")`; it counts from when the
    worker begins with it."""
    context: StartMethod | ProcessContext | None = field(default=None, kw_only=True)
    """How processes are started; what Python does by default if `None`."""

    name: ClassVar[str] = "pynisher"

    TIMEOUT: ClassVar[Event[[exceptions.TimeoutException]]] = Event("pynisher-timeout")
    """An attempt at a call has reached one of the two limits of time; passes the exception."""
    WALL_TIME_LIMIT_REACHED: ClassVar[Event[[exceptions.WallTimeoutException]]] = Event(
        "pynisher-wall-time-limit"
    )
    """An attempt at a call has reached its `wall_time_limit`; passes the exception."""
    CPU_TIME_LIMIT_REACHED: ClassVar[Event[[exceptions.CpuTimeoutException]]] = Event(
        "pynisher-cpu-time-limit"
    )
    """An attempt at a call has reached its `cpu_time_limit`; passes the exception."""
    MEMORY_LIMIT_REACHED: ClassVar[Event[[exceptions.MemoryLimitException]]] = Event(
        "pynisher-memory-limit"
    )
    """An attempt at a call has reached its `memory_limit`; passes the exception."""

    def __post_init__(self) -> None:
        require_supported(Bounds.of(self._limits()))
        method_of(self.context, "context")

    @staticmethod
    def supports(limit: Kind, /) -> bool:
        """Whether this can be limited on the system that this runs on.

        Raises:
            ValueError: If it is none of "memory", "cpu_time" and "wall_time".
        """
        return supports(limit)

    @staticmethod
    def with_limits(call: Call[R], /, **limits: Unpack[Limits]) -> Call[R]:
        """The same call with other limits: for `Retry(change=...)`, for instance.

        Args:
            call: A call of a task that has this plugin, wherever in the list it stands.
            **limits: `memory_limit`, `cpu_time_limit`, `wall_time_limit`, each as for the plugin;
                `None` for no limit. What is not given stays as it is.

        Raises:
            ValueError: If a limit allows nothing, or this system cannot keep it.
            TypeError: If one is no amount at all, or is called something else.
        """
        refuse_unknown(limits, Limits.__annotations__, "A limited call")
        require_supported(Bounds.of(limits))
        return call.with_function(limited(call.function, limits=limits))

    @override
    def attach_task(self, task: Task[..., Any], /) -> None:
        if any(isinstance(plugin, PynisherPlugin) for plugin in task.plugins):
            raise exceptions.PluginError(
                f"{self!r} cannot be attached to {task!r}: there is another one already, and a "
                "call cannot have two sets of limits. Put all limits into one plugin."
            )
        super().attach_task(task)
        for event in (
            self.TIMEOUT,
            self.WALL_TIME_LIMIT_REACHED,
            self.CPU_TIME_LIMIT_REACHED,
            self.MEMORY_LIMIT_REACHED,
        ):
            task.on(event)

    @override
    def pre_submit(self, call: Call[R], /) -> Call[R]:
        """Give the call the limits, where it has none of its own."""
        method = method_of(self.context, "context")
        function = limited(call.function, by_default=self._limits(), start_method=method)
        return call.with_function(function)

    @override
    def failure_heard(self, failure: Failure[R], /) -> None:
        """Emit which limit it was, if it was one."""
        error = failure.error
        if isinstance(error, exceptions.TimeoutException):
            self.tell(self.task.on(self.TIMEOUT), error)
        if isinstance(error, exceptions.WallTimeoutException):
            self.tell(self.task.on(self.WALL_TIME_LIMIT_REACHED), error)
        if isinstance(error, exceptions.CpuTimeoutException):
            self.tell(self.task.on(self.CPU_TIME_LIMIT_REACHED), error)
        if isinstance(error, exceptions.MemoryLimitException):
            self.tell(self.task.on(self.MEMORY_LIMIT_REACHED), error)

    @override
    def copy(self) -> Self:
        """The same limits."""
        return replace(self)

    def _limits(self) -> Limits:
        return {
            "memory_limit": self.memory_limit,
            "cpu_time_limit": self.cpu_time_limit,
            "wall_time_limit": self.wall_time_limit,
        }
