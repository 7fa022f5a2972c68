"""Running work, and telling people what comes of it."""

from typing import TYPE_CHECKING

from amltk.backends.lazily import looked_up
from amltk.backends.sequential import SequentialExecutor
from amltk.scheduling.call import Call, CallFuture
from amltk.scheduling.feeding import Feed
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

if TYPE_CHECKING:
    from amltk.scheduling.comms import Comm
    from amltk.scheduling.retry import Retry, exponential
    from amltk.scheduling.warning_filter import WarningFilterPlugin
else:
    __getattr__ = looked_up(
        __name__,
        {
            "Comm": f"{__name__}.comms",
            "Retry": f"{__name__}.retry",
            "WarningFilterPlugin": f"{__name__}.warning_filter",
            "exponential": f"{__name__}.retry",
        },
    )

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


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
