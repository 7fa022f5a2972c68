"""The kinds of events that a task can have.

What the callbacks of a task's event are called with depends on the task: its arguments, what it
returns. An event that is declared once, on a class, cannot say so in its own type. So there is
a class for each kind, and `Task.on` knows what each means for its task.
"""

from __future__ import annotations

from asyncio import Future
from typing import TYPE_CHECKING, Any, Concatenate

from amltk.events import Event

if TYPE_CHECKING:
    from amltk.scheduling.task import Task

__all__ = ["ExceptionEvent", "FutureEvent", "ResultEvent", "SubmissionEvent", "SubmittedEvent"]


class SubmissionEvent(Event[Concatenate["Task[..., Any]", ...]]):
    """Called with the task, then the arguments of the call it is about."""


class SubmittedEvent(Event[Concatenate["Future[Any]", ...]]):
    """Called with the future of a call, then its arguments."""


class FutureEvent(Event[["Future[Any]"]]):
    """Called with the future of a call."""


class ResultEvent(Event[["Future[Any]", Any]]):
    """Called with the future of a call and what it returned."""


class ExceptionEvent(Event[["Future[Any]", BaseException]]):
    """Called with the future of a call and what it raised."""
