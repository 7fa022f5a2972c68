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

__all__ = ["ProcessContext", "StartMethod", "context_for", "known", "method_of"]

StartMethod: TypeAlias = Literal["fork", "spawn", "forkserver"]
"""The name of a way; `multiprocessing.set_start_method` describes them."""

ProcessContext: TypeAlias = DefaultContext | ForkContext | ForkServerContext | SpawnContext
"""What `multiprocessing.get_context` returns."""


METHODS: tuple[StartMethod, ...] = ("fork", "spawn", "forkserver")


def method_of(how: StartMethod | ProcessContext | None, name: str) -> StartMethod | None:
    """The name of a way, which unlike a context can be sent to a worker; `None` for `None`.

    Args:
        how: The way.
        name: What it is an argument of, to be named in an error.

    Raises:
        ValueError: If this system does not have the start method.
    """
    return None if how is None else known(context_for(how, name).get_start_method())


def known(method: str | None) -> StartMethod | None:
    """A name that Python has for a way; `None` for that of somebody else, such as loky."""
    return next((name for name in METHODS if name == method), None)


def context_for(
    how: StartMethod | ProcessContext | None, name: str = "mp_context"
) -> ProcessContext:
    """The context for a start method, which a context is already; Python's default for `None`.

    Args:
        how: The start method.
        name: What it is an argument of, to be named in an error.

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
            return require_context(how, name)


def require_context(context: object, name: str) -> ProcessContext:
    if not isinstance(context, ProcessContext):
        raise ValueError(  # noqa: TRY004 - of a name that is not known, not of its type
            f"`{name}={context!r}` is no way to start a process. Use 'fork', 'forkserver', "
            "'spawn', a context from multiprocessing.get_context(...), or None."
        )
    return context
