"""What it costs that a limited call has a process of its own.

It is compared to the least that one could do by hand: fork, call, send the result through a pipe.
"""

from __future__ import annotations

from multiprocessing import get_context
from multiprocessing.connection import Connection

from pairs import Pair, in_turn, seconds

from amltk import Scheduler
from amltk.pynisher import PynisherPlugin

N_CALLS = 100


def with_all_limits(rounds: int) -> list[Pair]:
    return in_turn(lambda: seconds(limited), lambda: seconds(by_hand), rounds)


def nothing(n: int) -> int:
    """The whole task."""
    return n


def limited() -> None:
    scheduler = Scheduler.with_sequential()
    limits = PynisherPlugin((64, "GB"), cpu_time_limit=60, wall_time_limit=60, context="fork")
    task = scheduler.task(nothing, plugins=limits)
    task.feed(range(N_CALLS), max_pending=1)
    scheduler.run()
    require_all(task.event_counts["on_result"])


def by_hand() -> None:
    results = [in_a_process(n) for n in range(N_CALLS)]
    require_all(len(results))


def in_a_process(n: int) -> object:
    context = get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=call_and_send, args=(writer, n))
    process.start()
    writer.close()
    result = reader.recv()
    process.join()
    reader.close()
    return result


def call_and_send(writer: Connection, n: int) -> None:
    writer.send(nothing(n))


def require_all(n: int) -> None:
    if n != N_CALLS:
        raise RuntimeError(f"{n} of {N_CALLS} results arrived: this measured something else.")
