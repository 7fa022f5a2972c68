"""One call of a task that has plugins, from asking them to its outcome."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from amltk.scheduling.attempts import Failure, is_loss
from amltk.scheduling.call import Call, CallFuture
from amltk.scheduling.outcomes import Outcomes, guarded

if TYPE_CHECKING:
    from amltk.scheduling.task import Task
    from amltk.scheduling.task_plugin import TaskPlugin

__all__ = ["Submission"]

R = TypeVar("R")


class Submission(Generic[R]):
    """Asks the plugins of a task for a call; afterwards it stands for the task as its owner.

    Args:
        task: The task.
        asked: The call, as the task was asked for it.
    """

    __slots__ = ("_agreed", "_asked", "_attempt", "_n_lost", "_next", "_task", "_undo")

    def __init__(self, task: Task[..., R], asked: Call[R]) -> None:
        self._task = task
        self._asked = asked
        self._agreed: list[tuple[TaskPlugin, Call[R]]] = []
        self._undo = ExitStack()
        self._attempt = 1
        self._n_lost = 0
        self._next: Call[R] = asked

    def submit(self) -> Future[R] | None:
        """Submit what the plugins make of the call; `None` if one of them refuses it."""
        self._task.scheduler.require_open(self._task.function)
        with self._undo:  # withdraws from all that agreed, unless the call takes off
            call = self._past_plugins()
            if call is None:
                return None
            return self._task.scheduler.submit_call(call, self, self._asked)

    def _past_plugins(self) -> Call[R] | None:
        call = self._next
        for plugin in self._task.plugins[len(self._agreed) :]:
            changed = plugin.pre_submit(call)
            if changed is None:
                return None
            self._agreed.append((plugin, call))
            self._undo.callback(plugin.withdraw, call)
            call = changed
        return call

    # What a run asks and tells the owner of a call.

    def again(self, error: BaseException, /) -> float | None:
        """Ask the plugins whether to attempt the call again, and when."""
        self._n_lost += is_loss(error)
        for position, (plugin, call) in enumerate(self._agreed):
            again = plugin.failed(Failure(call, error, self._attempt, self._n_lost))
            if again is not None:
                self._attempt += not is_loss(error)
                self._next = again.call
                # The plugins after the one that wants it see the next attempt as a new call.
                del self._agreed[position + 1 :]
                return again.wait
        return None

    def next_attempt(self) -> Call[R] | None:
        """What the plugins make of the next attempt; `None` if one of them refuses it."""
        asked = len(self._agreed)
        with ExitStack() as self._undo:
            call = self._past_plugins()
            if call is not None:
                self._take_off(asked)
            return call

    def _take_off(self, position: int) -> None:
        self._undo.pop_all()
        for plugin, call in self._agreed[position:]:
            guarded(self._task.scheduler.report, plugin.submitted, call)

    @property
    def outcomes(self) -> Outcomes[Any]:
        """Where the outcome is published."""
        return self._task.outcomes

    def took_off(self, future: CallFuture[Any], /) -> None:
        """The call was given to the executor; nobody has been told yet."""
        self._task.took_off(future)
        self._take_off(0)

    def announce(self, future: CallFuture[Any], failed: Callable[[BaseException], None], /) -> None:
        """Tell the task's subscribers that the call was submitted."""
        self._task.announce(future, failed)

    def landed(self, future: CallFuture[Any], /) -> None:
        """The call has its outcome; nobody has been told yet."""
        self._task.landed(future)
