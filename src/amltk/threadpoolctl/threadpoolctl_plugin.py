"""The plugin: what a task's calls are limited to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self, get_args

from typing_extensions import TypeVar, override

from amltk.scheduling.around import around
from amltk.scheduling.call import Call
from amltk.scheduling.task_plugin import TaskPlugin
from amltk.threadpoolctl.limiting import ThreadLimit, UserAPI, finder_of_libraries

__all__ = ["ThreadPoolCTLPlugin"]

R = TypeVar("R")


@dataclass(frozen=True)
class ThreadPoolCTLPlugin(TaskPlugin):
    """Limits the threads that BLAS and OpenMP use inside the calls of a task.

    Without it each call uses as many threads as there are cores, and two calls at once twice as
    many. A library that uses fewer threads already is left at that. Of several limits the lowest
    holds.

    ```python
    task = scheduler.task(fit, plugins=ThreadPoolCTLPlugin(max_threads=1))
    ```

    Raises:
        ValueError: If fewer than one thread is allowed, or there is no such API.
        TypeError: If the number is no whole number.
        PluginNotInstalledError: If threadpoolctl is not installed.
    """

    max_threads: int
    """How many threads each library uses at most for what one thread of the call has it do."""
    user_api: UserAPI | None = None
    """Which libraries: "blas" (OpenBLAS, MKL, BLIS, FlexiBLAS), "openmp", or all of them."""

    name: ClassVar[str] = "threadpoolctl"

    def __post_init__(self) -> None:
        require_max_threads(self.max_threads)
        require_user_api(self.user_api)
        finder_of_libraries()  # one hears now if threadpoolctl is missing, and not from workers

    @override
    def pre_submit(self, call: Call[R], /) -> Call[R]:
        """Have the function called under the limit."""
        limit = ThreadLimit(self.max_threads, self.user_api)
        return call.with_function(around(call.function, limit))

    @override
    def copy(self) -> Self:
        """The same limit."""
        return replace(self)


def require_max_threads(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"`max_threads={value!r}` has to be a whole number.")
    if value < 1:
        raise ValueError(f"`max_threads={value}` would leave no thread: it has to be at least 1.")


def require_user_api(user_api: object) -> None:
    known = get_args(UserAPI)
    if user_api is not None and user_api not in known:
        raise ValueError(
            f"`user_api={user_api!r}` is not known. Use one of {list(known)}, or None for all."
        )
