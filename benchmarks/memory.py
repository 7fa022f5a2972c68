"""What one more pending call costs in memory.

Two threads are kept busy, so that whatever is submitted after that stays pending; the allocator
says how much more memory is in use than before. Both sides hold on to the futures.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from pairs import Pair, in_turn

from amltk import Scheduler

N_CALLS = 20_000
N_WORKERS = 2
KIB = 1024


def per_pending_call(rounds: int) -> list[Pair]:
    return in_turn(through_a_task, with_the_executor, rounds)


def through_a_task() -> float:
    gate = Event()
    scheduler = Scheduler.with_threads(N_WORKERS)
    blocked = scheduler.task(gate.wait)
    task = scheduler.task(nothing)
    used: list[float] = []

    @scheduler.on_start
    def submit_all() -> None:
        for _ in range(N_WORKERS):
            blocked()
        used.append(kib_per_call(task))
        gate.set()

    scheduler.run()
    return used[0]


def with_the_executor() -> float:
    gate = Event()
    with ThreadPoolExecutor(N_WORKERS) as executor:
        for _ in range(N_WORKERS):
            executor.submit(gate.wait)
        used = kib_per_call(lambda: executor.submit(nothing))
        gate.set()
    return used


def kib_per_call(submit: Callable[[], object]) -> float:
    gc.collect()
    tracemalloc.start()
    futures = [submit() for _ in range(N_CALLS)]
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / len(futures) / KIB


def nothing() -> None:
    """The whole task."""
