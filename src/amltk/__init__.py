"""Run functions anywhere, and react to what comes of them: events, a scheduler, and its backends."""

from amltk.events import Emitter, Event, Subscriber
from amltk.scheduling.scheduler import Scheduler
from amltk.scheduling.task import Task
from amltk.scheduling.task_plugin import CallLimiter, TaskPlugin

__all__ = [
    "CallLimiter",
    "Emitter",
    "Event",
    "Scheduler",
    "Subscriber",
    "Task",
    "TaskPlugin",
]

__version__ = "2.0.0"
