"""Running work, and telling people what comes of it."""

from amltk.backends.sequential import SequentialExecutor
from amltk.scheduling.call import Call, CallFuture
from amltk.scheduling.lifecycle import ExitCode, ExitState
from amltk.scheduling.scheduler import Scheduler
from amltk.scheduling.task import Task
from amltk.scheduling.task_events import (
    ExceptionEvent,
    FutureEvent,
    ResultEvent,
    SubmissionEvent,
    SubmittedEvent,
)
from amltk.scheduling.task_plugin import CallLimiter, TaskPlugin

__all__ = [
    "Call",
    "CallFuture",
    "CallLimiter",
    "ExceptionEvent",
    "ExitCode",
    "ExitState",
    "FutureEvent",
    "ResultEvent",
    "Scheduler",
    "SequentialExecutor",
    "SubmissionEvent",
    "SubmittedEvent",
    "Task",
    "TaskPlugin",
]
