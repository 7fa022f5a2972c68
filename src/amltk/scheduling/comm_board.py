"""The switchboard of a run: which line belongs to which talk, and who hears what came in.

    call ══ socket ══▶ thread of the server ──▶ inbox ──▶ thread of the run ──▶ talk ──▶ callbacks

The thread of the server appends to the inbox and wakes the run, unless somebody has done so
already: a thousand messages that arrive together cost one wake-up.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from typing import Any

from amltk.exceptions import CommNotAnsweredError
from amltk.scheduling.comm_line import SocketLine
from amltk.scheduling.comm_msg import Question
from amltk.scheduling.comm_server import CommServer
from amltk.scheduling.comm_talk import Talk, Told
from amltk.scheduling.comm_wire import NUMBER, REQUEST, Frame, Invitation, frame
from amltk.scheduling.companions import Attempt, OpenRun

__all__ = ["Board"]

BATCH = 256
"""Frames heard, about, before other users of the event loop get their turn."""


class Board:
    """Opens talks, and brings them what comes in, for as long as a run lasts.

    Args:
        host: The name or address under which calls reach this machine.
        listen: The name or address to listen on.
        run: The run.

    Raises:
        OSError: If one cannot listen there.
    """

    def __init__(self, host: str, listen: str, run: OpenRun) -> None:
        self.is_ending: bool = False
        """Whether the run takes no more work."""
        self._host = host
        self._run = run
        self._talks: dict[str, Talk] = {}
        self._inbox: deque[tuple[SocketLine, Talk, list[Frame], int]] = deque()
        self._awake = False
        self._lock = threading.Lock()  # a line is let in, or it is not: there is no in-between
        self._server = CommServer(listen, self)

    # What the thread of the run calls.

    def open(self, attempt: Attempt[Any], told: Told) -> Talk:
        """Begin a talk with an attempt."""
        identifier = f"{told.task.name}-{secrets.token_hex(8)}"
        talk = self._talks[identifier] = Talk(identifier, attempt, told, self)
        return talk

    def invitation(self, talk: Talk) -> Invitation:
        """What an attempt needs to take part in its talk."""
        return Invitation(self._host, self._server.port, self._server.key, talk.identifier)

    def retire(self, talk: Talk, n_ended: int) -> bool:
        """Let no more lines in, if so many have ended and there were no others."""
        with self._lock:
            if talk.n_lines != n_ended:
                return False
            self._talks.pop(talk.identifier, None)
            return True

    def hang_up(self, talk: Talk) -> None:
        """Let no more lines in, and close those that there are."""
        with self._lock:
            self._talks.pop(talk.identifier, None)
        self._server.hang_up(talk)

    def finish(self, talk: Talk) -> None:
        """Read what there is on the lines, and end them."""
        self._server.finish(talk)

    def run_ends(self) -> None:
        """Who has not answered until now does not answer any more."""
        self.is_ending = True
        for talk in tuple(self._talks.values()):
            talk.run_ends()

    def close(self) -> None:
        """Hang up on everybody, and stop listening."""
        self._server.close()
        self._inbox.clear()

    def _deliver(self) -> None:
        self._awake = False  # before looking: whoever appends after the look wakes us again
        n_heard = 0
        while self._inbox and n_heard < BATCH:
            line, talk, frames, size = self._inbox.popleft()
            n_heard += len(frames)
            for kind, content in frames:
                talk.hear(line, kind, content)
            self._server.was_heard(line, size)
        if self._inbox:
            self._wake()

    # What the thread of the server calls.

    def admit(self, identifier: str) -> Talk | None:
        """The talk that a new line belongs to; `None` if it is over."""
        with self._lock:
            talk = self._talks.get(identifier)
            if talk is not None:
                talk.n_lines += 1
            return talk

    def heard(self, line: SocketLine, talk: Talk, frames: list[Frame], size: int) -> None:
        """Have the thread of the run hear these frames."""
        if talk.is_in_place:
            frames = [refused(line, *said) for said in frames]
        self._inbox.append((line, talk, frames, size))
        if not self._awake:
            self._wake()

    def failed(self, error: BaseException) -> None:
        """The server has failed: so has the run, and nobody waits for what is said in it."""
        self._run.soon(lambda: self._give_up(error))

    def _give_up(self, error: BaseException) -> None:
        self._run.report(error)
        for talk in tuple(self._talks.values()):
            talk.attempt_cancelled()

    def _wake(self) -> None:
        self._awake = True
        self._run.soon(self._deliver)


NOTHING: Frame = (-2, bytearray())
"""In the place of a frame that has been dealt with."""


def refused(line: SocketLine, kind: int, content: bytearray) -> Frame:
    """A frame, unless it is a request that would wait for the very thread that waits for it."""
    if kind != REQUEST:
        return kind, content
    number = bytes(content[: NUMBER.size])
    Question(lambda kind, answer: line.say(frame(kind, number, answer))).fail(
        CommNotAnsweredError(
            "Nobody can answer: the thread that would call the callbacks is computing this very "
            "call. There, only the call's own thread can ask; or use another backend."
        )
    )
    return NOTHING
