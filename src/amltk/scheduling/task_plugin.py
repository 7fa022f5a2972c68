"""What can be attached to a task to control what becomes of its calls, and the first of these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Self

from typing_extensions import ParamSpec, TypeVar, override

from amltk.exceptions import PluginError
from amltk.scheduling.outcomes import guarded
from amltk.scheduling.task_events import SubmissionEvent

if TYPE_CHECKING:
    from amltk.events import Subscriber
    from amltk.scheduling.attempts import Again, Failure
    from amltk.scheduling.call import Call
    from amltk.scheduling.companions import Accompanied, Attempt
    from amltk.scheduling.task import Task

__all__ = ["CallLimiter", "TaskPlugin", "is_free", "set_free"]

P = ParamSpec("P")
R = TypeVar("R")


class TaskPlugin(ABC):
    """Sees every call of a task before it is submitted, and may change or refuse it.

    A plugin belongs to one task. Where it declares events, their class says what their callbacks
    are called with, for instance `SubmissionEvent`: the task, then the arguments.
    """

    name: ClassVar[str]
    """What the plugin is called where a task is shown."""
    each_attempt: ClassVar[bool] = True
    """Whether it is asked anew about each further attempt at a call that a plugin before it has
    attempted again, or about the call once."""

    _task: Task[..., Any] | None = None

    @property
    def task(self) -> Task[..., Any]:
        """The task this is attached to.

        Raises:
            PluginError: If it is attached to none.
        """
        if self._task is None:
            raise PluginError(
                f"{self!r} is not attached to a task. Attach it with "
                "scheduler.task(..., plugins=...) or task.attach_plugin(...)."
            )
        return self._task

    def attach_task(self, task: Task[..., Any], /) -> None:
        """Called once, with the task; override it to declare events or to listen to some.

        Raises:
            PluginError: If the plugin is attached to a task already.
        """
        if self._task is not None:
            raise PluginError(
                f"{self!r} cannot be attached to {task!r}: it is attached to {self._task!r}, and "
                "counts for that one. Attach a plugin.copy() of it."
            )
        vars(self).update(_task=task)  # a plugin may be a frozen dataclass

    def tell(self, subscriber: Subscriber[P], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Emit an event of this plugin while a run is on.

        What its callbacks raise goes where the errors of all callbacks go: `on_exception` decides.
        """
        guarded(self.task.scheduler.report, subscriber.emit, *args, **kwargs)

    def pre_submit(self, call: Call[R], /) -> Call[R] | None:
        """Look at a call before it is submitted.

        Args:
            call: What the plugins before this one have made of it.

        Returns:
            The call to submit, this one or another; `None` to refuse it.
        """
        return call

    def call_withdrawn(self, call: Call[R], /) -> None:  # noqa: B027 - most have nothing to undo
        """Undo what `pre_submit` did: after it agreed, the call was not submitted after all.

        Args:
            call: The call that this plugin was asked about.
        """

    def call_submitted(self, call: Call[R], /) -> None:  # noqa: B027 - as above
        """The call is on its way and counts as running; nobody has been told yet.

        Args:
            call: The call that this plugin was asked about.
        """

    def attempt_begins(self, attempt: Attempt[R], /) -> Accompanied[R] | None:  # noqa: ARG002
        """An attempt is about to be given to the executor: every plugin has agreed to the call.

        Args:
            attempt: What is going to be computed, after what the plugins before this one have
                done to it here.

        Returns:
            What to compute, and a companion that hears when the attempt ends and can hold back
            its outcome. `None` to leave it alone.
        """
        return None

    def failure_heard(self, failure: Failure[R], /) -> None:  # noqa: B027 - as above
        """An attempt at a call raised, or was lost with its worker; nobody has been told yet.

        Each plugin that let the call through hears of each attempt, before any of them is asked
        whether there is to be another one.

        Args:
            failure: What this plugin made of the call, and what became of that.
        """

    def attempt_failed(self, failure: Failure[R], /) -> Again[R] | None:  # noqa: ARG002
        """Say whether to attempt a call again, after `failure_heard`.

        Plugins are asked in their order, until one of them says yes.

        Args:
            failure: What this plugin made of the call, and what became of that.

        Returns:
            What to attempt instead, and when. The future stays pending until then, and the
            plugins after this one are asked about it as about a new call, unless they say that
            `each_attempt` is not for them. `None` to leave it.
        """
        return None

    @abstractmethod
    def copy(self) -> Self:
        """A plugin with the same settings that is attached to no task."""


def is_free(plugin: TaskPlugin) -> bool:
    """Whether it is attached to no task."""
    return vars(plugin).get("_task") is None


def set_free(plugin: TaskPlugin) -> None:
    """Have it attached to none, as if it had never been: its task was refused."""
    vars(plugin).pop("_task", None)


class CallLimiter(TaskPlugin):
    """Refuses calls of a task beyond a limit, and emits an event for each that it refuses.

    It counts calls, not attempts: one that is attempted again is pending all the while, and counts
    once.

    Args:
        max_calls: The most calls of the task that are ever submitted.
        max_concurrent: The most calls of the task that are pending at any time.
        not_while_running: Tasks that must not have pending calls when this one is called.

    Raises:
        ValueError: If a limit is below 1.
    """

    name: ClassVar[str] = "call-limiter"
    each_attempt: ClassVar[bool] = False

    CALL_LIMIT_REACHED: ClassVar[SubmissionEvent] = SubmissionEvent("call-limit-reached")
    """A call was refused since there have been `max_calls`; passes the task and the arguments."""
    CONCURRENT_LIMIT_REACHED: ClassVar[SubmissionEvent] = SubmissionEvent(
        "concurrent-limit-reached"
    )
    """A call was refused since `max_concurrent` are pending; passes the task and the arguments."""
    DISABLED_DUE_TO_RUNNING_TASK: ClassVar[SubmissionEvent] = SubmissionEvent(
        "disabled-due-to-running-task"
    )
    """A call was refused since another task is running; passes this task and the arguments."""

    def __init__(
        self,
        *,
        max_calls: int | None = None,
        max_concurrent: int | None = None,
        not_while_running: Task[..., Any] | Iterable[Task[..., Any]] = (),
    ) -> None:
        require_limit("max_calls", max_calls)
        require_limit("max_concurrent", max_concurrent)
        self.max_calls = max_calls
        self.max_concurrent = max_concurrent
        self.not_while_running: tuple[Task[..., Any], ...] = (
            tuple(not_while_running)
            if isinstance(not_while_running, Iterable)
            else (not_while_running,)
        )
        require_tasks(self.not_while_running)
        self.n_calls: int = 0
        """How many calls were let through."""
        self._on_their_way = 0  # let through, but not yet running: others are still asked

    @override
    def attach_task(self, task: Task[..., Any], /) -> None:
        super().attach_task(task)
        self._call_limit = task.on(self.CALL_LIMIT_REACHED)
        self._concurrent_limit = task.on(self.CONCURRENT_LIMIT_REACHED)
        self._disabled = task.on(self.DISABLED_DUE_TO_RUNNING_TASK)

    @override
    def pre_submit(self, call: Call[R], /) -> Call[R] | None:
        """Let the call through, or emit why not."""
        if self.max_calls is not None and self.n_calls >= self.max_calls:
            self.tell(self._call_limit, self.task, *call.args, **call.kwargs)
        elif self.max_concurrent is not None and self._n_concurrent() >= self.max_concurrent:
            self.tell(self._concurrent_limit, self.task, *call.args, **call.kwargs)
        elif any(task.running() for task in self.not_while_running):
            self.tell(self._disabled, self.task, *call.args, **call.kwargs)
        else:
            self.n_calls += 1
            self._on_their_way += 1
            return call
        return None

    @override
    def call_withdrawn(self, call: Call[R], /) -> None:
        """Do not count the call."""
        self.n_calls -= 1
        self._on_their_way -= 1

    @override
    def call_submitted(self, call: Call[R], /) -> None:
        """From now on the task counts it."""
        self._on_their_way -= 1

    def _n_concurrent(self) -> int:
        return self.task.n_running + self._on_their_way

    @override
    def copy(self) -> Self:
        """A limiter with the same limits that has counted nothing yet."""
        return type(self)(
            max_calls=self.max_calls,
            max_concurrent=self.max_concurrent,
            not_while_running=self.not_while_running,
        )

    @override
    def __repr__(self) -> str:
        limits = {"max_calls": self.max_calls, "max_concurrent": self.max_concurrent}
        shown = [f"{name}={limit}" for name, limit in limits.items() if limit is not None]
        if self.not_while_running:
            shown.append(f"not_while_running={[task.name for task in self.not_while_running]}")
        return f"CallLimiter({', '.join(shown)})"


def require_tasks(tasks: Iterable[object]) -> None:
    for task in tasks:
        if not hasattr(task, "running"):
            raise TypeError(
                f"`not_while_running` has to name tasks, and {task!r} is none. Pass what "
                "scheduler.task(...) returned."
            )


def require_limit(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be a whole number, or None for no limit.")
    if value < 1:
        raise ValueError(
            f"`{name}={value}` would refuse every call: it has to be at least 1, or None for no "
            "limit."
        )
