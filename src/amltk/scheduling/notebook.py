"""Running where an event loop runs already, as it does in a notebook."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context

from typing_extensions import TypeVar

from amltk.exceptions import SchedulerAlreadyRunningError

__all__ = ["in_a_thread", "refuse_inside_a_loop"]

R = TypeVar("R")


def refuse_inside_a_loop() -> None:
    """Raise if an event loop is running in this thread.

    Raises:
        SchedulerAlreadyRunningError: If it is; says what to call instead.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SchedulerAlreadyRunningError(
        "Cannot run() here: an event loop is running in this thread, as in a notebook, a "
        "coroutine, or a callback of a run. Write `await scheduler.async_run(...)` instead, or call "
        "scheduler.run_in_notebook(...), which runs in a thread of its own."
    )


def in_a_thread(
    run: Callable[[], R],
    interrupt: Callable[[BaseException], None],
    give_up: Callable[[], None],
) -> R:
    """Run in a thread of its own and wait for it, as if it had been called here.

    Args:
        run: What to run.
        interrupt: Makes it end; called with the first `KeyboardInterrupt` that arrives meanwhile.
        give_up: Ends it by force; called when there is a second one.
    """
    ended: Future[R] = Future()

    def run_into() -> None:
        try:
            ended.set_result(run())
        except BaseException as error:  # noqa: BLE001
            ended.set_exception(error)

    context = copy_context()
    thread = threading.Thread(target=context.run, args=(run_into,), name="amltk-run", daemon=True)
    thread.start()
    try:
        return ended.result()
    except KeyboardInterrupt as pressed:
        if not ended.done():
            interrupt(pressed)
            wait_or(give_up, ended)
        raise


def wait_or(give_up: Callable[[], None], ended: Future[R]) -> None:
    try:
        ended.exception()
    except KeyboardInterrupt:
        give_up()
        raise
