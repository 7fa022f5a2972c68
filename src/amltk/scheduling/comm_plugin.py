"""The plugin that has calls speak, and what it makes of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Generic, Self

from typing_extensions import TypeVar, override

from amltk.callbacks import name_of
from amltk.events import Event
from amltk.exceptions import PluginError
from amltk.scheduling.call import Call
from amltk.scheduling.comm_board import Board
from amltk.scheduling.comm_in_place import InPlace
from amltk.scheduling.comm_msg import Msg
from amltk.scheduling.comm_peer import Peer
from amltk.scheduling.comm_talk import Told
from amltk.scheduling.comm_wire import Invitation
from amltk.scheduling.companions import Accompanied, Attempt
from amltk.scheduling.task import Task
from amltk.scheduling.task_plugin import TaskPlugin

__all__ = ["CLOSE", "MESSAGE", "REQUEST", "CommPlugin"]

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")

MESSAGE: Event[[Msg[Any]]] = Event("comm-message")
REQUEST: Event[[Msg[Any]]] = Event("comm-request")
CLOSE: Event[[Msg[Any]]] = Event("comm-close")

NAME = "comm"
"""The argument that calls are given."""


class CommPlugin(TaskPlugin):
    """Gives each call of a task a `Comm`, as its argument `comm`; written as `Comm.Plugin`.

    Args:
        host: The name or address under which calls reach the machine of the scheduler. The default
            is for calls that run on that same machine.
        listen: The name or address to listen on, if that is another one: "0.0.0.0" for all that
            the machine has.

    Raises:
        TypeError: If one of these is no text.
        ValueError: If it is empty, or can be the name of no machine.
    """

    name: ClassVar[str] = NAME

    def __init__(self, host: str = "127.0.0.1", *, listen: str | None = None) -> None:
        require_place("host", host)
        if listen is not None:
            require_place("listen", listen)
        self.host: str = host
        self.listen: str | None = listen
        self._position: int | None = None  # of the argument, if it can be given by position
        self._told: Told

    @override
    def attach_task(self, task: Task[..., Any], /) -> None:
        """Declare the events.

        Raises:
            PluginError: If the function takes no argument `comm`, or has one already; if the
                plugin is attached to a task already, or the task has another one.
        """
        if any(isinstance(plugin, CommPlugin) for plugin in task.plugins):
            raise PluginError(
                f"{self!r} cannot be attached to {task!r}: there is another one already, and a call "
                "is given one `comm`. Leave one of them out."
            )
        if holds_comm(task.function):
            raise given_already(task.function)
        position = position_of_comm(task.function)
        super().attach_task(task)
        self._position = position
        self._told = Told(task, task.on(MESSAGE), task.on(REQUEST), task.on(CLOSE))

    @override
    def pre_submit(self, call: Call[R], /) -> Call[R]:
        """Let the call through.

        Raises:
            PluginError: If it has an argument `comm` already.
        """
        is_by_position = self._position is not None and len(call.args) > self._position
        if is_by_position or is_by_name(call):
            raise given_already(call)
        return call

    @override
    def attempt_begins(self, attempt: Attempt[R], /) -> Accompanied[R]:
        """Give the attempt its `Comm`.

        Raises:
            PluginError: If calls cannot talk where it is computed; if one cannot listen to them; if
                a plugin has given it an argument `comm` since it was let through.
        """
        if not attempt.abilities.messages:
            raise PluginError(
                f"{attempt.call!r} cannot be given a `comm`: on this backend, calls cannot talk to "
                "the scheduler while they are computed. Have the task computed somewhere else, or "
                "without Comm.Plugin; `docs/backends.md` says which backends have messages."
            )
        if is_by_name(attempt.call):
            raise given_already(attempt.call)
        key = (self.host, self.listen)
        board = attempt.run.services.get(Board, key, lambda: self._board(attempt))
        talk = board.open(attempt, self._told)
        speaking = Speaking(attempt.call.function, board.invitation(talk), InPlace(board, talk))
        return Accompanied(attempt.call.with_function(speaking), talk)

    def _board(self, attempt: Attempt[Any]) -> Board:
        listen = self.host if self.listen is None else self.listen
        try:
            return Board(self.host, listen, attempt.run)
        except OSError as error:
            raise PluginError(
                f"{self!r} cannot listen on {listen!r} for what calls of {self.task.name}() say: "
                f"{error}. Let `host` be how calls reach this machine, and `listen` one of its own "
                "addresses, if that is another one."
            ) from error

    @override
    def copy(self) -> Self:
        """A plugin with the same settings."""
        return type(self)(self.host, listen=self.listen)

    @override
    def __repr__(self) -> str:
        listen = "" if self.listen is None else f", listen={self.listen!r}"
        return f"Comm.Plugin(host={self.host!r}{listen})"


class Speaking(Generic[R_co]):
    """A function that is called with a `Comm`, which is closed at its end.

    Args:
        function: The function.
        invitation: What it needs to speak from anywhere.
        in_place: What it needs to speak in the thread of the run; only that one can have it.
    """

    def __init__(
        self,
        function: Callable[..., R_co],
        invitation: Invitation,
        in_place: InPlace | None = None,
    ) -> None:
        self.__qualname__: str = name_of(function)  # errors are about the function
        self._function = function
        self._invitation = invitation
        self._in_place = in_place

    def __call__(self, /, *args: object, **kwargs: object) -> R_co:
        """Call the function."""
        from amltk.scheduling.comms import Comm  # noqa: PLC0415 - it knows its plugin

        with Comm(self._invitation, self._line()) as comm:
            return self._function(*args, **{**kwargs, NAME: comm})

    def _line(self) -> Peer | InPlace:
        if self._in_place is None or not self._in_place.is_here:
            return Peer(self._invitation)
        self._in_place.begin()
        return self._in_place

    @override
    def __reduce__(self) -> tuple[type[Self], tuple[Callable[..., R_co], Invitation]]:
        return type(self), (self._function, self._invitation)

    @override
    def __repr__(self) -> str:
        return f"<{name_of(self._function)}() with a Comm>"


def is_by_name(call: Call[Any]) -> bool:
    """Whether a call has its own argument `comm`, as a keyword."""
    return NAME in call.kwargs or holds_comm(call.function)


def holds_comm(function: Callable[..., object]) -> bool:
    """Whether a function is a `partial` with an argument `comm`, which would be overridden."""
    return isinstance(function, partial) and (
        NAME in function.keywords or holds_comm(function.func)
    )


def given_already(what: object) -> PluginError:
    return PluginError(
        f"{what!r} has an argument `comm` already, and that is what Comm.Plugin gives it. Leave it "
        "out."
    )


def position_of_comm(function: Callable[..., object]) -> int | None:
    """Where the argument `comm` stands; `None` if it is given by name alone.

    Raises:
        PluginError: If there is no such argument.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None  # some builtins do not say what they take
    found = parameters.get(NAME)
    if found is not None and found.kind is found.POSITIONAL_OR_KEYWORD:
        return list(parameters).index(NAME)
    by_name = {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}
    if not any(
        p.kind in by_name and (p is found or p.kind is p.VAR_KEYWORD) for p in parameters.values()
    ):
        raise PluginError(
            f"{name_of(function)}() cannot be given a `comm`: it has no argument of that name. "
            f"Write it as `def {name_of(function)}(..., *, comm: Comm = Comm.NONE)`."
        )
    return None


def require_place(name: str, place: object) -> None:
    if not isinstance(place, str):
        raise TypeError(f"`{name}={place!r}` has to be the name or address of a machine.")
    try:
        encoded = place.strip().encode("idna")  # as it is looked up
    except UnicodeError as error:
        raise ValueError(
            f"`{name}={place!r}` cannot name a machine: there have to be 1 to 63 letters, numbers "
            "or hyphens between its dots."
        ) from error
    if not encoded or b"\0" in encoded:
        raise ValueError(f"`{name}={place!r}` names no machine.")
