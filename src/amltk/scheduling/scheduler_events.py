"""The events of a scheduler, as the run that emits them has them in hand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from amltk.events import Subscriber
from amltk.scheduling.outcomes import Outcomes

__all__ = ["SchedulerEvents"]


@dataclass(frozen=True)
class SchedulerEvents:
    """What a run tells the subscribers of its scheduler."""

    started: Subscriber[[]]
    empty: Subscriber[[]]
    stop: Subscriber[[]]
    timeout: Subscriber[[]]
    finishing: Subscriber[[]]
    finished: Subscriber[[]]
    submitted: Subscriber[[asyncio.Future[Any]]]
    room: Subscriber[[]]
    outcomes: Outcomes[Any]
