"""Speaking for a call that the thread of the run computes itself, as the sequential backend does.

That thread cannot compute a call and listen to it. So there is no connection: what the call says
is heard while it says it, and a request is answered before it returns.
"""

from __future__ import annotations

import os
import threading

from amltk.exceptions import CommClosedError
from amltk.scheduling.comm_board import Board
from amltk.scheduling.comm_peer import GONE, understood
from amltk.scheduling.comm_talk import Talk
from amltk.scheduling.comm_wire import Frame

__all__ = ["InPlace"]


class InPlace:
    """What a `Peer` is to other calls.

    Args:
        board: Where the talk belongs to.
        talk: The talk of the call.
    """

    def __init__(self, board: Board, talk: Talk) -> None:
        self._board = board
        self._talk = talk
        self._is_open = False
        self._place = here()

    @property
    def is_here(self) -> bool:
        """Whether this is the thread of the run."""
        return self._place == here()

    def begin(self) -> None:
        """The call begins to be computed, here."""
        self._board.admit(self._talk.identifier)
        self._talk.is_in_place = self._is_open = True
        self._talk.announce()

    def send(self, content: bytes) -> None:
        """Have a message heard."""
        self._require_open()
        self._talk.hear_message(content)
        self._talk.raise_interrupt()

    def ask(self, content: bytes, timeout: float | None) -> bytearray:  # noqa: ARG002 - it is now or never
        """Have a request heard, and return the answer."""
        self._require_open()
        answers: list[Frame] = []
        self._talk.hear_request(
            content, lambda kind, answer: answers.append((kind, bytearray(answer)))
        )
        self._talk.raise_interrupt()
        return understood(*answers[0])

    def close(self) -> None:
        """Say goodbye."""
        if self._is_open:
            self._is_open = self._talk.is_in_place = False
            self._talk.hear_end(with_goodbye=True)

    def _require_open(self) -> None:
        if not self._is_open or self._talk.is_deaf:
            raise CommClosedError(GONE)


def here() -> tuple[int, int]:
    """This thread, unlike any other: not even a copy of it in a process that was forked."""
    return os.getpid(), threading.get_ident()
