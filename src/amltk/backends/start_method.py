"""How a new process comes to be."""

from __future__ import annotations

from multiprocessing import get_context
from multiprocessing.context import (
    DefaultContext,
    ForkContext,
    ForkServerContext,
    SpawnContext,
)
from typing import Literal, TypeAlias

__all__ = ["ProcessContext", "StartMethod", "context_for"]

StartMethod: TypeAlias = Literal["fork", "spawn", "forkserver"]
"""The name of a way; `multiprocessing.set_start_method` describes them."""

ProcessContext: TypeAlias = DefaultContext | ForkContext | ForkServerContext | SpawnContext
"""What `multiprocessing.get_context` returns."""


def context_for(how: StartMethod | ProcessContext | None) -> ProcessContext:
    """The context for a start method, which a context is already; Python's default for `None`.

    Raises:
        ValueError: If this system does not have the start method.
    """
    match how:
        case None:
            return get_context()
        case "fork":
            return get_context("fork")
        case "forkserver":
            return get_context("forkserver")
        case "spawn":
            return get_context("spawn")
        case _:
            return require_context(how)


def require_context(context: object) -> ProcessContext:
    if not isinstance(context, ProcessContext):
        raise ValueError(  # noqa: TRY004 - of a name that is not known, not of its type
            f"`mp_context={context!r}` is no way to start a process. Use 'fork', 'forkserver', "
            "'spawn', a context from multiprocessing.get_context(...), or None."
        )
    return context
