"""Limits on the threads of numerical libraries while calls run, in the process that runs them.

Some libraries have one number of threads for the whole process, as OpenBLAS mostly does, others
have one for each thread that calls them, as OpenMP does. For each number there is a `Throttle`,
which knows all calls that want it lower: it is what the most modest of them wants, and when the
last has left it is what it was before the first came. So calls in threads may come and go in
any order.

threadpoolctl finds the libraries, and looks for them again when modules have been imported. That
may be in the middle of a call, so as long as one is limited, imports are watched.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from amltk.backends.base import needs
from amltk.exceptions import PluginNotInstalledError
from amltk.threadpoolctl.imports import Imports

if TYPE_CHECKING:
    from threadpoolctl import LibController, ThreadpoolController

__all__ = ["ThreadLimit", "UserAPI", "finder_of_libraries"]

UserAPI: TypeAlias = Literal["blas", "openmp"]
"""What a library is used as."""


@dataclass(frozen=True, slots=True)
class ThreadLimit:
    """At most so many threads for each library; calling it makes what has it hold in between."""

    max_threads: int
    user_api: UserAPI | None

    def __call__(self) -> Limiting:
        """Make a context for one call."""
        return Limiting(self)


class Limiting:
    """Has a limit hold from when it is entered until it is left, in the same thread."""

    __slots__ = ("_throttles", "_user_api", "max_threads", "thread")

    def __init__(self, limit: ThreadLimit) -> None:
        self.max_threads: int = limit.max_threads
        self.thread: int = threading.get_ident()
        self._user_api = limit.user_api
        self._throttles: list[Throttle] = []

    def __enter__(self) -> None:
        in_this_process.enter(self)

    def __exit__(self, *_: object) -> None:
        in_this_process.leave(self)

    def lower(self, throttles: Iterable[Throttle]) -> None:
        """Have these lowered as well, as far as they are among those that are meant."""
        for throttle in throttles:
            is_meant = self._user_api is None or throttle.user_api == self._user_api
            is_reached = throttle.thread is None or throttle.thread == self.thread
            if is_meant and is_reached and throttle not in self._throttles:
                self._throttles.append(throttle)
                throttle.lower(self)

    def lift(self) -> None:
        """Have none of them lowered for this any more."""
        for throttle in self._throttles:
            throttle.lift(self)
        self._throttles.clear()

    def lift_what_is_shared(self) -> None:
        """The same, without those of a thread that is not there any more."""
        self._throttles = [throttle for throttle in self._throttles if throttle.thread is None]
        self.lift()


class Throttle:
    """One number of threads, and the calls that want it lower.

    Args:
        library: Whose number it is.
        thread: The thread that has it, or `None` if all of the process do.
    """

    def __init__(self, library: LibController, thread: int | None) -> None:
        self.user_api: str = library.user_api
        self.thread: int | None = thread
        self._library = library
        # OpenBLAS is only changed by the thread that was the first to do so, until it lets others.
        self._let_others = (
            library.clear_controlling_thread if isinstance(library, Controlled) else None
        )
        self._calls: list[Limiting] = []
        self._before: int | None = None

    def lower(self, call: Limiting) -> None:
        """Have no more threads than this call wants."""
        if not self._calls:
            self._before = self._library.num_threads
        self._calls.append(call)
        self._set()

    def lift(self, call: Limiting) -> None:
        """Have as many again as if this call had never been."""
        self._calls.remove(call)
        self._set()

    def _set(self) -> None:
        if self._before is None:
            return  # it does not say how many there are, so that could not be put back
        lowest = min([self._before, *(call.max_threads for call in self._calls)])
        if self._let_others is not None:
            self._let_others(force=True)
        self._library.set_num_threads(lowest)
        if self._let_others is not None:
            self._let_others(force=True)


class LimitsOfProcess:
    """All limits in this process, and all throttles."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Limiting] = []
        self._shared: dict[str, Throttle] = {}
        self._of_threads = ThrottlesOfThread()
        self._imports = Imports(self._look_again, self._has_calls)

    def enter(self, call: Limiting) -> None:
        """A call begins, in this thread."""
        find = finder_of_libraries()
        with self._lock:
            throttles = self._throttles(find)
            self._calls.append(call)
            self._imports.watch()
            call.lower(throttles)

    def leave(self, call: Limiting) -> None:
        """It has ended."""
        with self._lock:
            self._calls.remove(call)
            call.lift()

    def before_fork(self) -> None:
        """Wait until nothing is half done here, or in threadpoolctl by us."""
        self._lock.acquire()

    def after_fork(self) -> None:
        """In this process all goes on."""
        self._lock.release()

    def begin_in_child(self) -> None:
        """This process is a copy, and of the threads it has the one that made it."""
        for call in tuple(self._calls):
            if call.thread != threading.get_ident():
                self._calls.remove(call)
                call.lift_what_is_shared()
        self._lock.release()

    def _has_calls(self) -> bool:
        return bool(self._calls)

    def _look_again(self) -> None:
        if self._calls:
            find = finder_of_libraries()
            with self._lock:
                throttles = self._throttles(find)
                for call in self._calls:
                    call.lower(throttles)

    def _throttles(self, find: Callable[[], ThreadpoolController]) -> list[Throttle]:
        return [self._throttle(library) for library in find().lib_controllers]

    def _throttle(self, library: LibController) -> Throttle:
        is_one_for_all = is_shared(library)
        known = self._shared if is_one_for_all else self._of_threads.by_path
        if library.filepath not in known:
            thread = None if is_one_for_all else threading.get_ident()
            known[library.filepath] = Throttle(library, thread)
        return known[library.filepath]


class ThrottlesOfThread(threading.local):
    """Those of the libraries that have a number for each thread."""

    def __init__(self) -> None:
        self.by_path: dict[str, Throttle] = {}


@runtime_checkable
class Controlled(Protocol):
    """A library that one thread controls as soon as it has changed the number of threads."""

    def clear_controlling_thread(self, *, force: bool = ...) -> None:
        """Let others change it."""
        ...


def is_shared(library: LibController) -> bool:
    """Whether all threads of the process have the same number of threads for this library."""
    by_openmp = (
        library.internal_api == "openblas" and vars(library).get("threading_layer") == "openmp"
    )
    return not (by_openmp or library.internal_api in {"openmp", "mkl"})


def finder_of_libraries() -> Callable[[], ThreadpoolController]:
    """What finds the libraries that this process has loaded.

    Raises:
        PluginNotInstalledError: If there is no threadpoolctl, or it is too old.
    """
    needed = needs(
        "threadpoolctl",
        extra="threadpoolctl",
        what="ThreadPoolCTLPlugin",
        raises=PluginNotInstalledError,
    )
    with needed:
        from threadpoolctl import get_cached_controller  # noqa: PLC0415
    return get_cached_controller


in_this_process: LimitsOfProcess = LimitsOfProcess()
os.register_at_fork(
    before=in_this_process.before_fork,
    after_in_parent=in_this_process.after_fork,
    after_in_child=in_this_process.begin_in_child,
)
