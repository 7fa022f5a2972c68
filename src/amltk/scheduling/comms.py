"""Messages between a call that is being computed and its scheduler."""

from __future__ import annotations

import math
import os
import threading
from types import TracebackType
from typing import Any, ClassVar, Self, TypeAlias

from typing_extensions import override

from amltk.events import Event
from amltk.exceptions import CommClosedError, CommNotAnsweredError
from amltk.scheduling import comm_msg, comm_plugin
from amltk.scheduling.comm_in_place import InPlace
from amltk.scheduling.comm_peer import CLOSED, Peer
from amltk.scheduling.comm_wire import Invitation, pack, unpack

__all__ = ["Comm"]


class Comm:
    """What a call says to its scheduler while it is computed, and asks it.

    A task with `plugins=Comm.Plugin()` gives one to each of its calls, as the argument `comm`, and
    closes it when the function returns or raises.

    ```python
    def train(rate: float, *, comm: Comm = Comm.NONE) -> float:
        for loss in losses(rate):
            comm.send(loss)
            if not comm.request("go on?"):
                break
        return loss


    training = scheduler.task(train, plugins=Comm.Plugin())


    @training.on("comm-request")
    def decide(msg: Comm.Msg[str]) -> None:
        msg.respond(True)
    ```

    Threads of the call can share it, and it can be passed on to processes that the call starts:
    they get connections of their own.
    """

    MESSAGE: ClassVar[Event[[comm_msg.Msg[Any]]]] = comm_plugin.MESSAGE
    """A call has sent something."""
    REQUEST: ClassVar[Event[[comm_msg.Msg[Any]]]] = comm_plugin.REQUEST
    """A call asks something, and waits until somebody responds."""
    CLOSE: ClassVar[Event[[comm_msg.Msg[Any]]]] = comm_plugin.CLOSE
    """A call says nothing more; emitted once for each attempt, before its outcome."""

    # A `TypeAlias` of a generic class would not be generic for some type checkers.
    from amltk.scheduling.comm_msg import Msg as Msg  # noqa: PLC0414, PLC0415

    Plugin: TypeAlias = comm_plugin.CommPlugin

    NONE: ClassVar[Comm]
    """One to nobody, for calls without a scheduler: the default of an argument `comm`. What is
    sent is heard by nobody, and requests are not answered."""

    # Made by the plugin.
    def __init__(
        self, invitation: Invitation | None, line: Peer | InPlace | None = None, /
    ) -> None:
        self._invitation = invitation
        self._lines: tuple[Peer | InPlace, ...] = () if line is None else (line,)
        self._is_open = True
        self._process = os.getpid()
        self._opening = threading.Lock()

    @property
    def identifier(self) -> str:
        """Which call this is: what callbacks know as `msg.identifier`. Empty if it is to nobody."""
        return "" if self._invitation is None else self._invitation.identifier

    def send(self, message: object, /) -> None:
        """Send something: callbacks of `comm-message` hear of it.

        What was sent arrives, also if the call raises right then or its worker is killed.

        Args:
            message: Anything that can be pickled.

        Raises:
            NotPicklableError: If it cannot be.
            CommClosedError: If this is closed, or the scheduler does not listen any more.
        """
        content = pack(message, f"a message, a {type(message).__qualname__}")
        line = self._line()
        if line is not None:
            line.send(content)

    def request(self, question: object, /, *, timeout: float | None = None) -> Any:
        """Ask something, and wait until a callback of `comm-request` responds.

        Args:
            question: Anything that can be pickled.
            timeout: Seconds to wait; `None` for as long as the run and the call go on.

        Returns:
            What the callback passed to `msg.respond(...)`.

        Raises:
            CommTimeoutError: If no answer came in time.
            CommNotAnsweredError: If nobody is going to answer: no callback was called, or the one
                that was called raised, or the run is ending.
            CommClosedError: If this is closed, or the scheduler does not listen any more.
            NotPicklableError: If the question or the answer cannot be pickled or unpickled.
        """
        require_timeout(timeout)
        content = pack(question, f"a request, a {type(question).__qualname__}")
        line = self._line()
        if line is None:
            raise CommNotAnsweredError(
                "Nobody answers: this is Comm.NONE. Only calls of a task with "
                "plugins=Comm.Plugin() can ask something."
            )
        return unpack(line.ask(content, timeout), "the answer to a request")

    def close(self) -> None:
        """Say that nothing more comes; may be called more than once."""
        if self._invitation is not None:
            self._is_open = False
        for line in self._lines:
            if line.is_here:
                line.close()

    def _line(self) -> Peer | InPlace | None:
        if not self._is_open:
            raise CommClosedError(CLOSED)
        for line in self._lines:
            if line.is_here:
                return line
        return None if self._invitation is None else self._line_from_here(self._invitation)

    def _line_from_here(self, invitation: Invitation) -> Peer | InPlace | None:
        """A new connection: this process has none, or the one there is is not for this thread."""
        if self._process != os.getpid():  # it was forked, and who had the lock stayed behind
            self._process, self._opening = os.getpid(), threading.Lock()
        with self._opening:
            if not any(line.is_here for line in self._lines):
                self._lines = (*self._lines, Peer(invitation))
        return self._line()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @override
    def __reduce__(self) -> tuple[type[Self], tuple[Invitation | None]]:
        return type(self), (self._invitation,)

    @override
    def __repr__(self) -> str:
        state = "open" if self._is_open else "closed"
        return f"<Comm {self.identifier}: {state}>" if self._invitation else "Comm.NONE"


Comm.NONE = Comm(None)


def require_timeout(timeout: object) -> None:
    if timeout is None:
        return
    if not isinstance(timeout, int | float) or isinstance(timeout, bool):
        raise TypeError(f"`timeout={timeout!r}` has to be a number of seconds, or None.")
    if not 0 <= timeout < math.inf:
        raise ValueError(f"`timeout={timeout}` is no time to wait: give seconds, or None.")
