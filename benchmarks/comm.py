"""Messages from a worker process to the scheduler, against a bare pipe."""

from __future__ import annotations

from pairs import Pair, in_turn

N_MESSAGES = 100_000
MESSAGE = b"m" * 100


def against_a_pipe(rounds: int) -> list[Pair]:
    return in_turn(
        lambda: seconds_of(through_comm),
        lambda: seconds_of(through_a_pipe),
        rounds,
    )
