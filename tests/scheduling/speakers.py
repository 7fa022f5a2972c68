"""What calls do that have something to say, and ask.

They stand here and not beside their tests, since every worker has to import what it computes.
"""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path
from typing import Any, NoReturn

from amltk.exceptions import CommClosedError, CommError, CommTimeoutError, NotPicklableError
from amltk.scheduling import Comm
from tests.helpers import (
    Boom,
    FailsWhenUnpickled,
    die,
    fork_one_that_waits_and_die,
    in_thread,
    return_a_lock,
    wait_at,
)


def count_to(n: int, comm: Comm = Comm.NONE) -> int:
    for i in range(n):
        comm.send(i)
    return n


def say_nothing(comm: Comm = Comm.NONE) -> str:
    return "nothing"


def ask(question: object, *, timeout: float | None = 20, comm: Comm = Comm.NONE) -> object:
    comm.send("first")
    answer: object = comm.request(question, timeout=timeout)
    comm.send("last")
    return answer


def ask_and_tell(question: object, *, timeout: float | None = 20, comm: Comm = Comm.NONE) -> str:
    """Ask, and return what was raised."""
    try:
        asked = question() if callable(question) else question
        comm.request(asked, timeout=timeout)
    except Exception as error:
        comm.send("and goes on")
        return f"{type(error).__name__}: {error}"
    return "it was answered"


def is_answered_with(kind: type[object], comm: Comm = Comm.NONE) -> bool:
    return isinstance(comm.request("?"), kind)


def count_and_fail(n: int, comm: Comm = Comm.NONE) -> NoReturn:
    count_to(n, comm)
    raise Boom("in the end")


def count_and_die(n: int, comm: Comm = Comm.NONE) -> None:
    count_to(n, comm)
    die()


def send_what_cannot_be_sent(comm: Comm = Comm.NONE) -> str:
    try:
        comm.send(return_a_lock())
    except NotPicklableError as error:
        comm.send("and goes on")
        return str(error)
    return "it was sent"


def send_what_does_not_arrive(comm: Comm = Comm.NONE) -> None:
    comm.send(FailsWhenUnpickled())
    comm.send("and goes on")


def double(x: int) -> int:
    return 2 * x


def ask_twice(comm: Comm = Comm.NONE) -> object:
    try:
        comm.request("slow", timeout=0.2)
    except CommTimeoutError as error:
        comm.send(str(error))
    return comm.request("quick", timeout=20)


def ask_at(gate: str, comm: Comm = Comm.NONE) -> object:
    comm.send("here")
    wait_at(gate)
    return comm.request("late?")


def tell_what_ends_it(fifo: str, question: object, comm: Comm = Comm.NONE) -> None:
    """Ask, or talk without end; then write down why it ended."""
    try:
        while True:
            comm.request(question) if question else comm.send("and on and on")
    except CommError as error:
        Path(fifo).write_text(type(error).__name__)


def close_and_wait(gate: str, comm: Comm = Comm.NONE) -> str:
    with comm:
        comm.send("all there is")
    wait_at(gate)
    comm.close()
    try:
        comm.send("one more thing")
    except CommClosedError as error:
        return str(error)
    return "it was sent"


def hold_the_line(gate: str, comm: Comm = Comm.NONE) -> None:
    comm.send("last words")
    fork_one_that_waits_and_die(gate)


def fail_until(attempts: str, last: int, comm: Comm = Comm.NONE) -> int:
    with Path(attempts).open("a") as file:
        file.write("x")
    n = len(Path(attempts).read_text())
    comm.send(n)
    if n < last:
        raise Boom(n)
    return n


def die_until(attempts: str, last: int, comm: Comm = Comm.NONE) -> int:
    try:
        return fail_until(attempts, last, comm)
    except Boom:
        die()
        raise


def no_comm(x: int) -> int:
    return x


def only_by_position(comm: object, /) -> None: ...


def all_by_position(*comm: object) -> object:
    return comm


def anything(**kwargs: Any) -> object:
    return kwargs["comm"].request("it works")


def second(x: int, comm: Comm = Comm.NONE, y: int = 0) -> object:
    return comm.request(x + y)


def share_with_threads(n: int, comm: Comm = Comm.NONE) -> list[object]:
    answers: list[object] = []

    def speak(who: int) -> None:
        for i in range(n):
            comm.send((who, i))
        answers.append(comm.request(who))

    threads = [threading.Thread(target=speak, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(answers, key=str)


def ask_in_two_threads(comm: Comm = Comm.NONE) -> list[object]:
    answers: list[object] = []
    slow = threading.Thread(target=lambda: answers.append(comm.request("slow", timeout=20)))
    slow.start()
    answers.append(comm.request("quick", timeout=20))
    comm.send("the quick one was answered")
    slow.join()
    return answers


def ask_in_a_thread(comm: Comm = Comm.NONE) -> str:
    error = in_thread(lambda: comm.request("?"))
    in_thread(lambda: comm.send("from a thread"))
    comm.send("from here")
    return f"{type(error).__name__}: {error}"


def have_a_child_speak(method: str, comm: Comm = Comm.NONE) -> int | None:
    comm.send("before")
    context: Any = multiprocessing.get_context(method)
    child = context.Process(target=count_to, args=(3, comm))
    child.start()
    child.join()
    comm.send("after")
    code: int | None = child.exitcode
    return code


def count_at(gate: str, n: int, comm: Comm = Comm.NONE) -> int:
    comm.send("here")
    wait_at(gate)
    return count_to(n, comm)
