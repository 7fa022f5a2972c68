"""Threads that nobody waits for any more, and the processes that these wait for."""

from __future__ import annotations

import subprocess
import threading

from amltk.backends.abandoned import abandon, awaited, ended_when_abandoned
from tests.backends.test_termination import is_gone, start


def wait_for(process: subprocess.Popen[str], begun: threading.Event) -> None:
    with ended_when_abandoned(process.pid):
        begun.set()
        process.wait()


def test_what_a_thread_waits_for_ends_when_it_is_abandoned() -> None:
    """
    With all it has started; the thread itself goes on, and what others wait for is left alone.
    """
    (first, child), (second, _) = start(), start()
    threads: list[threading.Thread] = []
    for process in (first, second):
        begun = threading.Event()
        threads.append(threading.Thread(target=wait_for, args=(process, begun)))
        threads[-1].start()
        begun.wait()
    abandon(threads[:1])
    threads[0].join()
    assert is_gone(child)
    assert second.poll() is None
    abandon(threads)
    threads[1].join()
    assert not awaited


def test_a_thread_that_was_abandoned_before_waits_for_nothing() -> None:
    """
    What it has started meanwhile is ended at once.
    """
    process, child = start()
    goes_on = threading.Event()

    def wait_later() -> None:
        goes_on.wait()
        wait_for(process, threading.Event())

    thread = threading.Thread(target=wait_later)
    thread.start()
    abandon([thread])
    assert process.poll() is None
    goes_on.set()
    thread.join()
    assert is_gone(child)


def test_a_thread_that_waits_for_nothing_is_no_error() -> None:
    """
    Nor is one that waits no more.
    """
    process, _ = start()
    thread = threading.Thread(target=wait_for, args=(process, threading.Event()))
    thread.start()
    process.kill()
    thread.join()
    abandon([thread, threading.Thread()])
