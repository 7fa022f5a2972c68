"""An executor on Ray, which has none of its own.

What Ray calls a task is a call here. Calls and their outcomes are packed by us, so that whatever
cannot be pickled, or unpickled, fails its own call and says why.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future

from ray import cloudpickle
from typing_extensions import ParamSpec, TypeVar, override

from amltk.backends.abilities import Abilities
from amltk.backends.base import summary
from amltk.backends.payload import pack_call
from amltk.backends.ray.desk import Desk
from amltk.backends.ray.recipe import Ray
from amltk.backends.ray.room import require_room
from amltk.backends.ray.session import hold
from amltk.exceptions import NotPicklableError

__all__ = ["RayExecutor"]

P = ParamSpec("P")
R = TypeVar("R")


class RayExecutor(Executor):
    """Computes calls on Ray.

    `cancel` of its futures also ends calls that are running, and `running` is true of no others.

    Args:
        recipe: Which Ray, and what each call asks for.

    Raises:
        BackendUnavailableError: If that Ray cannot be used, or has no node on which a call would
            ever fit.
    """

    abilities: Abilities = Ray.abilities
    """What can be relied on: what the recipe says."""

    def __init__(self, recipe: Ray | None = None) -> None:
        self._recipe = Ray() if recipe is None else recipe
        session = hold(self._recipe)
        try:
            require_room(self._recipe)
            self._desk = Desk(self._recipe, session)
        except BaseException:
            session.release()
            raise
        # The desk does not know its executor, so one that is forgotten shuts down by itself.
        weakref.finalize(self, self._desk.shut_down)

    @override
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Compute a call on Ray.

        What cannot be pickled ends as the future's exception, a `NotPicklableError`; a worker that
        dies with the call, or is lost with its node, as a `WorkerLostError`.

        Raises:
            ExecutorBrokenError: If Ray is gone.
            RuntimeError: After `shutdown`.
        """
        try:
            packed = bytes(pack_call(fn, args, kwargs, cloudpickle.dumps))
        except NotPicklableError as error:
            self._desk.require_open()
            failed: Future[R] = Future()
            failed.set_exception(error)
            return failed
        return self._desk.submit(fn, packed)

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and leave Ray once those that are left are computed.

        Args:
            wait: Return only when that is done.
            cancel_futures: Cancel the calls that no worker has begun.
        """
        self._desk.shut_down(cancel_queued=cancel_futures)
        if wait:
            self._desk.join()

    def terminate(self) -> None:
        """Cancel all calls, end the workers that compute some with all they started, leave Ray."""
        self._desk.end()

    @override
    def __repr__(self) -> str:
        return f"<RayExecutor on {summary(self._recipe)}: {self._desk.state}>"
