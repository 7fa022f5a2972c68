"""An event loop in a thread of its own, for what `distributed` does.

Left to itself it starts one as well, but does not stop it when connecting fails.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from amltk.backends.signals import deaf_from_birth

if TYPE_CHECKING:
    from tornado.ioloop import IOLoop

__all__ = ["LoopThread"]

T = TypeVar("T")

STOPPING = 5.0
"""Seconds that what is left in the loop may take to end."""


class LoopThread:
    """Runs an event loop until it is told to stop.

    Its thread does not hear Ctrl-C, and neither do worker processes that are started from it.
    """

    def __init__(self) -> None:
        self._started: Future[tuple[IOLoop, asyncio.Event]] = Future()
        with deaf_from_birth():
            self._thread = threading.Thread(target=self._run, name="amltk-dask", daemon=True)
            self._thread.start()
        self.loop: IOLoop
        """The loop, which is running."""
        self.loop, self._stopping = self._started.result()

    def do(self, *coroutines: Coroutine[Any, Any, T], seconds: float | None = None) -> list[T]:
        """Do all of this in the loop, at the same time, and wait for it.

        Raises:
            TimeoutError: If it takes longer than so many seconds; what is not done then is cancelled.
        """

        async def all_of_it() -> list[T]:
            async with asyncio.timeout(seconds):
                return await asyncio.gather(*coroutines)

        return asyncio.run_coroutine_threadsafe(all_of_it(), self.loop.asyncio_loop).result()

    def stop(self) -> None:
        """Cancel what is left in the loop, and wait until its thread has ended."""
        self.loop.add_callback(self._stopping.set)
        self._thread.join(STOPPING)

    def _run(self) -> None:
        # Not in debug mode: it would report whatever keeps the scheduler of Dask busy for a moment.
        asyncio.run(self._main(), debug=False)

    async def _main(self) -> None:
        from tornado.ioloop import IOLoop  # noqa: PLC0415

        stopping = asyncio.Event()
        self._started.set_result((IOLoop.current(), stopping))
        await stopping.wait()
