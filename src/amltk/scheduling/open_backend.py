"""The executor of one run: opened from the backend, opened afresh when it breaks, and closed."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import Any

from typing_extensions import TypeVar

from amltk.backends.abilities import Abilities
from amltk.backends.adapting import adapted
from amltk.backends.base import Backend, Given, abilities_of, shut_down
from amltk.backends.termination import close_executor
from amltk.callbacks import name_of
from amltk.exceptions import ExecutorBrokenError
from amltk.scheduling.call import Call

__all__ = ["OpenBackend"]

R = TypeVar("R")


class OpenBackend:
    """What a run hands its calls to.

    Args:
        backend: Where the executor comes from; it is opened at once.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.abilities: Abilities = abilities_of(backend)
        """What can be relied on."""
        self._open()

    def submit(self, call: Call[R]) -> Future[R]:
        """Hand a call to the executor; to a new one, if it has broken and there is a recipe.

        Raises:
            ExecutorBrokenError: If an executor that the scheduler was given is broken.
            ExecutorShutdownError: If it was shut down by somebody else.
        """
        try:
            return self._hand_over(call)
        except BrokenExecutor as error:
            if isinstance(self._backend, Given):
                raise ExecutorBrokenError(
                    f"Cannot submit {name_of(call.function)}(): the executor that the scheduler "
                    f"was given is broken ({error}). Give it a new one; or a recipe, such as "
                    "Processes(2), which is opened afresh when that happens."
                ) from error
            close_executor(self._executor, at_once=True)
            self._open()
            return self._hand_over(call)
        except RuntimeError as error:
            if isinstance(self._backend, Given) and "shutdown" in str(error):
                raise shut_down(self._executor) from error
            raise

    def abandoned(self, futures: Iterable[Future[Any]]) -> list[Future[Any]]:
        """Those whose calls go on when this is closed at once: nothing can stop them."""
        return [] if self.abilities.stops_running else [f for f in futures if f.running()]

    def close(self, *, at_once: bool = False) -> None:
        """Shut the executor down, unless it is one that stays open after the run.

        Args:
            at_once: End what is being computed, as far as that is possible.
        """
        if self._front is not self._executor:
            close_executor(self._front, at_once=at_once)
        if not isinstance(self._backend, Given) or self._backend.is_ours_to_shut():
            close_executor(self._executor, at_once=at_once)

    def _open(self) -> None:
        self._executor: Executor = self._backend.open()
        self._front: Executor = adapted(self._executor)
        self._passes_keywords_on = passes_keywords_on(self._front)

    def _hand_over(self, call: Call[R]) -> Future[R]:
        if not call.kwargs:
            return self._front.submit(call.function, *call.args)
        if self._passes_keywords_on:
            return self._front.submit(call.function, *call.args, **call.kwargs)
        return self._front.submit(partial(call.function, **call.kwargs), *call.args)


def passes_keywords_on(executor: Executor) -> bool:
    """Whether `submit` keeps no keyword, such as `fn` or `key`, from the function."""
    named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    parameters = inspect.signature(executor.submit).parameters.values()
    return not any(parameter.kind in named for parameter in parameters)
