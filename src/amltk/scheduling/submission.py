"""One call of a task that has plugins, from asking them to its outcome."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

from typing_extensions import TypeVar

from amltk.callbacks import ask
from amltk.scheduling.attempts import Again, Failure, is_loss, require_seconds
from amltk.scheduling.call import Call, CallFuture
from amltk.scheduling.outcomes import Outcomes, guarded

if TYPE_CHECKING:
    from amltk.scheduling.companions import Attempt, Companion
    from amltk.scheduling.task import Task
    from amltk.scheduling.task_plugin import TaskPlugin

__all__ = ["Submission"]

R = TypeVar("R")
R2 = TypeVar("R2")


class Agreed(NamedTuple, Generic[R]):
    """That a plugin let a call through."""

    plugin: TaskPlugin
    asked: Call[R]
    """What it was asked about."""
    made: Call[R]
    """What it made of that."""


class Submission(Generic[R]):
    """Asks the plugins of a task for a call; afterwards it stands for the task as its owner.

    Args:
        task: The task.
        asked: The call, as the task was asked for it.
    """

    __slots__ = ("_agreed", "_asked", "_attempt", "_judged", "_n_lost", "_on_their_way", "_task")

    def __init__(self, task: Task[..., R], asked: Call[R]) -> None:
        self._task = task
        self._asked = asked
        self._agreed: list[Agreed[R]] = []
        self._on_their_way: list[tuple[TaskPlugin, Call[R]]] = []  # agreed, but not told the end
        self._judged: list[TaskPlugin] = []  # have seen the call, and need not see each attempt
        self._attempt = 1
        self._n_lost = 0

    def submit(self) -> Future[R] | None:
        """Submit what the plugins make of the call; `None` if one of them refuses it."""
        self._task.scheduler.require_open(self._task.function)
        try:
            call = self._past_plugins(self._asked)
            if call is None:
                return None
            return self._task.scheduler.submit_call(call, self, self._asked)
        finally:
            self._withdraw()  # from all that agreed, unless the call took off

    def _past_plugins(self, call: Call[R]) -> Call[R] | None:
        for plugin in self._task.plugins[len(self._agreed) :]:
            made = self._past(plugin, call)
            if made is None:
                return None
            self._agreed.append(Agreed(plugin, call, made))
            call = made
        return call

    def _past(self, plugin: TaskPlugin, call: Call[R]) -> Call[R] | None:
        if self._judged and any(plugin is judged for judged in self._judged):
            return call
        made = ask(lambda: plugin.pre_submit(call))
        if made is not None:
            require_call(plugin, made)
            self._on_their_way.append((plugin, call))
        return made

    def _take_off(self) -> None:
        agreed = tuple(self._on_their_way)
        self._on_their_way.clear()
        for plugin, call in agreed:
            guarded(self._task.scheduler.report, plugin.call_submitted, call)

    def _withdraw(self) -> None:
        if not self._on_their_way:
            return
        with ExitStack() as undo:  # each withdraws, whatever another one raises
            for plugin, call in self._on_their_way:
                undo.callback(plugin.call_withdrawn, call)
            self._on_their_way.clear()

    # What a run asks and tells the owner of a call.

    def attempt_failed(self, error: BaseException, /) -> None:
        """Tell the plugins what became of an attempt."""
        self._n_lost += is_loss(error)
        for agreed in tuple(self._agreed):
            failure = self._failure(agreed, error)
            guarded(self._task.scheduler.report, agreed.plugin.failure_heard, failure)

    def again(self, error: BaseException, /) -> float | None:
        """Ask the plugins whether to attempt the call again, and when."""
        for position, agreed in enumerate(self._agreed):
            again = self._ask_again(agreed, error)
            if again is not None:
                require_again(agreed.plugin, again)
                require_call(agreed.plugin, again.call)
                require_seconds("wait", again.wait)
                self._attempt += not is_loss(error)
                self._begin_again(position, again.call)
                return again.wait
        return None

    def _ask_again(self, agreed: Agreed[R], error: BaseException) -> Again[R] | None:
        return ask(lambda: agreed.plugin.attempt_failed(self._failure(agreed, error)))

    def _failure(self, agreed: Agreed[R], error: BaseException) -> Failure[R]:
        return Failure(agreed.made, error, self._attempt, self._n_lost)

    def _begin_again(self, position: int, call: Call[R]) -> None:
        later = [agreed.plugin for agreed in self._agreed[position + 1 :]]
        self._judged = [plugin for plugin in later if not plugin.each_attempt]
        # The others after the one that wants it see the next attempt as a new call.
        self._agreed[position:] = [self._agreed[position]._replace(made=call)]

    def next_attempt(self) -> Call[R] | None:
        """What the plugins make of the next attempt; `None` if one of them refuses it."""
        try:
            call = self._past_plugins(self._agreed[-1].made)
            if call is not None:
                self._take_off()
            return call
        finally:
            self._withdraw()

    @property
    def is_accompanied(self) -> bool:
        """Whether a plugin of the task may have something go along with attempts."""
        return self._task.is_accompanied

    def accompany(self, attempt: Attempt[R2], /) -> tuple[Call[R2], Sequence[Companion]]:
        """Ask the plugins what is to go along with the attempt."""
        companions: list[Companion] = []
        with ExitStack() as undo:
            for plugin, *_ in self._agreed:
                accompanied = plugin.attempt_begins(attempt)
                if accompanied is not None:
                    attempt = attempt._replace(call=accompanied.call)
                    companions.append(accompanied.companion)
                    undo.callback(accompanied.companion.attempt_withdrawn)
            undo.pop_all()  # all have said what they want
        return attempt.call, companions

    @property
    def outcomes(self) -> Outcomes[Any]:
        """Where the outcome is published."""
        return self._task.outcomes

    def took_off(self, future: CallFuture[Any], /) -> None:
        """The call was given to the executor; nobody has been told yet."""
        self._task.took_off(future)
        self._take_off()

    def announce(self, future: CallFuture[Any], failed: Callable[[BaseException], None], /) -> None:
        """Tell the task's subscribers that the call was submitted."""
        self._task.announce(future, failed)

    def landed(self, future: CallFuture[Any], /) -> None:
        """The call has its outcome; nobody has been told yet."""
        self._task.landed(future)


def require_call(plugin: object, made: object) -> None:
    if not isinstance(made, Call):
        raise TypeError(
            f"{plugin!r} made {made!r} out of a call, and has to make a `Call`, or return None to "
            "refuse it."
        )


def require_again(plugin: object, again: object) -> None:
    if not isinstance(again, Again):
        raise TypeError(
            f"{plugin!r} answered {again!r} to an attempt that failed, and has to return an "
            "`Again`, or None."
        )
