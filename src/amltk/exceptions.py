"""Every error this library raises of its own accord.

All of them are `AmltkError`s. Where the standard library has a word for the same thing
(`RuntimeError`, `BrokenExecutor`, `ImportError`), the error is one of those as well, so code
that already handles it keeps working.
"""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from typing import Self

from typing_extensions import override

__all__ = [
    "AmltkError",
    "BackendFileError",
    "BackendNotInstalledError",
    "BackendUnavailableError",
    "CommAnswerError",
    "CommClosedError",
    "CommError",
    "CommNotAnsweredError",
    "CommTimeoutError",
    "CpuTimeoutException",
    "EventNotKnownError",
    "ExecutorBrokenError",
    "ExecutorShutdownError",
    "MemoryLimitException",
    "NotPicklableError",
    "PluginError",
    "PluginNotInstalledError",
    "SchedulerAlreadyRunningError",
    "SchedulerNotRunningError",
    "TimeoutException",
    "UnknownKeyError",
    "WallTimeoutException",
    "WorkerLostError",
    "WrongThreadError",
    "WrongTypeError",
]


class AmltkError(Exception):
    """Base of every error of this library."""


class EventNotKnownError(AmltkError, KeyError):
    """Raised when an event is asked for by a name that nobody declared."""

    @override
    def __str__(self) -> str:
        return Exception.__str__(self)  # that of `KeyError` puts the message in quotes


class SchedulerNotRunningError(AmltkError, RuntimeError):
    """Raised when work is submitted while no run takes any."""


class SchedulerAlreadyRunningError(AmltkError, RuntimeError):
    """Raised when a run is started that cannot be: another one is in the way."""


class WrongThreadError(AmltkError, RuntimeError):
    """Raised when work is submitted from a thread other than the one of the run."""


class ExecutorShutdownError(AmltkError, RuntimeError):
    """Raised when a run starts on an executor that has been shut down."""


class ExecutorBrokenError(AmltkError, BrokenExecutor):
    """Raised when an executor cannot take work any more, and by the work it still had."""


class WorkerLostError(ExecutorBrokenError):
    """Raised in place of a result when the worker died that was computing it."""


class NotPicklableError(AmltkError, TypeError):
    """Raised when a function, an argument, a result or an exception cannot be pickled."""


class BackendNotInstalledError(AmltkError, ImportError):
    """Raised when a backend is opened whose package is not installed."""


class BackendUnavailableError(AmltkError, ConnectionError):
    """Raised when what a backend runs on cannot be started, reached, or used as it is asked to."""


class BackendFileError(AmltkError, ValueError):
    """Raised when a backend cannot be loaded: the file, or the name of it, makes no sense."""


class UnknownKeyError(BackendFileError):
    """Raised when a file has a key that is no field of its recipe."""


class WrongTypeError(BackendFileError, TypeError):
    """Raised when a file has a value of a type that the field does not take."""


class PluginError(AmltkError):
    """Raised when a plugin is used on no task, or on a second one."""


class PluginNotInstalledError(PluginError, ImportError):
    """Raised when a plugin is made whose package is not installed."""


class TimeoutException(AmltkError, TimeoutError):  # noqa: N818 - the name that users know
    """Raised when a call has had all the time that it was given."""


class WallTimeoutException(TimeoutException):
    """Raised when a call has not ended in the time that it was given."""


class CpuTimeoutException(TimeoutException):
    """Raised when a call has used up the CPU time that it was given."""


class MemoryLimitException(AmltkError, MemoryError):  # noqa: N818 - as above
    """Raised when a call needs more memory than it was given."""

    @override
    def __reduce__(self) -> tuple[type[Self], tuple[object, ...], dict[str, object]]:
        # What tblib makes of a `MemoryError` that does not say this cannot be unpickled.
        return type(self), self.args, vars(self)


class CommError(AmltkError):
    """Base of the errors of messages between a call and its scheduler."""


class CommClosedError(CommError, ConnectionError):
    """Raised when somebody is spoken to who does not listen: not any more, or never did."""


class CommTimeoutError(CommError, TimeoutError):
    """Raised when a request was not answered in time."""


class CommNotAnsweredError(CommError):
    """Raised when nobody is going to answer a request."""


class CommAnswerError(CommError, RuntimeError):
    """Raised when a message is answered that is no request, or that has been answered."""
