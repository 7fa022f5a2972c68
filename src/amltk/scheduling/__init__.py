"""Running work, and telling people what comes of it."""

from amltk.backends.sequential import SequentialExecutor
from amltk.scheduling.call import Call, CallFuture
from amltk.scheduling.comms import Comm
from amltk.scheduling.feeding import Feed
from amltk.scheduling.lifecycle import ExitCode, ExitState
from amltk.scheduling.retry import Retry, exponential
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
from amltk.scheduling.warning_filter import WarningFilterPlugin

__all__ = [
    "Call",
    "CallFuture",
    "CallLimiter",
    "Comm",
    "ExceptionEvent",
    "ExitCode",
    "ExitState",
    "Feed",
    "FutureEvent",
    "ResultEvent",
    "Retry",
    "Scheduler",
    "SequentialExecutor",
    "SubmissionEvent",
    "SubmittedEvent",
    "Task",
    "TaskPlugin",
    "WarningFilterPlugin",
    "exponential",
]
