"""What a user has typed so far, in the tests of editors."""

from __future__ import annotations

PROGRAM = '''
from asyncio import Future

from amltk import CallLimiter, Scheduler


def train(rate: float, *, epochs: int = 1) -> str:
    """Learn it all by heart."""
    return f"{rate} {epochs}"


scheduler = Scheduler.with_processes(2)
task = scheduler.task(train, plugins=CallLimiter(max_calls=2))
'''
