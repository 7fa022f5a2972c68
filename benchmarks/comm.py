"""Messages from one worker process, against the same through a bare pipe.

Both workers are there when the time begins. Ours has yet to get its call and to connect.
"""

from __future__ import annotations

from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter

from pairs import Pair, in_turn, seconds

from amltk import Scheduler
from amltk.scheduling import Comm

N_MESSAGES = 100_000
MESSAGE = b"m" * 100


def against_a_pipe(rounds: int) -> list[Pair]:
    return in_turn(through_comm, through_a_pipe, rounds)


def speak(comm: Comm = Comm.NONE) -> None:
    for _ in range(N_MESSAGES):
        comm.send(MESSAGE)


def through_comm() -> float:
    scheduler = Scheduler.with_processes(1, mp_context="fork")
    task = scheduler.task(speak, plugins=Comm.Plugin())
    heard = 0
    begin = end = 0.0

    @scheduler.on_start
    def start_the_clock() -> None:
        nonlocal begin
        begin = perf_counter()
        task()

    @task.on("comm-message")
    def count(_msg: Comm.Msg[bytes]) -> None:
        nonlocal heard
        heard += 1

    @task.on("comm-close")
    def stop_the_clock(_msg: Comm.Msg[None]) -> None:
        nonlocal end
        end = perf_counter()

    scheduler.run()
    require_all(heard)
    return end - begin


def through_a_pipe() -> float:
    fork = get_context("fork")
    ours, theirs = fork.Pipe()
    process = fork.Process(target=send_all, args=(theirs,))
    process.start()
    theirs.close()
    with ours:
        ours.recv()
        taken = seconds(lambda: receive_all(ours))
    process.join()
    return taken


def send_all(pipe: Connection) -> None:
    pipe.send("here")
    pipe.recv()
    for _ in range(N_MESSAGES):
        pipe.send(MESSAGE)
    pipe.close()


def receive_all(pipe: Connection) -> None:
    pipe.send("go")
    heard = 0
    try:
        while True:
            pipe.recv()
            heard += 1
    except EOFError:
        require_all(heard)


def require_all(heard: int) -> None:
    if heard != N_MESSAGES:
        raise RuntimeError(
            f"{heard} of {N_MESSAGES} messages arrived: this measured another thing."
        )
