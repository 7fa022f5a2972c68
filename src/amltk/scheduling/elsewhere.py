"""Work that would hold up the loop, done in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from amltk.scheduling.outcomes import guarded

__all__ = ["in_thread"]


def in_thread(
    work: Callable[[], None],
    soon: Callable[[Callable[[], object]], None],
    *,
    failed: Callable[[BaseException], None],
    then: Callable[[], object],
) -> threading.Thread:
    """Do something in a thread of its own.

    Args:
        work: What to do there.
        soon: Has the loop call a function; called in that thread.
        failed: Called by the loop with what the work raised.
        then: Called by the loop when the thread is gone.
    """

    def work_and_tell() -> None:
        guarded(lambda error: soon(partial(failed, error)), work)
        soon(gone)

    def gone() -> None:
        thread.join()
        then()

    thread = threading.Thread(target=work_and_tell, name="amltk-closer", daemon=True)
    thread.start()
    return thread
