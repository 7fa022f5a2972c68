"""When those who keep jobs stop."""

from __future__ import annotations

import asyncio

import pytest

from amltk.backends.jobqueue.keeper import pause


@pytest.mark.parametrize("turns", range(6))
def test_a_pause_that_is_cancelled_as_it_ends_hears_it(turns: int) -> None:
    """
    However many turns of the loop have passed since there was a reason to end it. Otherwise the
    keeper would go on, and whoever closes it would wait for ever.
    """

    async def is_heard() -> bool:
        woken = asyncio.Event()
        pausing = asyncio.create_task(pause(woken, 60))
        await asyncio.sleep(0)
        woken.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        if pausing.done():
            return True  # too late to be cancelled
        pausing.cancel()
        await asyncio.wait([pausing])
        return pausing.cancelled()

    assert asyncio.run(is_heard())
