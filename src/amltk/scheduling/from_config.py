"""Constructors that borrow the signature of a config.

`Scheduler.with_loky(...)` takes what `Loky(...)` takes. Written out, each field would stand in two
places with two defaults and two descriptions; here the type checker, the editor and `help()` are
all told to look at the config.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic

from typing_extensions import ParamSpec, TypeVar

__all__ = ["Constructor", "from_config"]

P = ParamSpec("P")
C = TypeVar("C")
T = TypeVar("T")


class Constructor(Generic[P]):
    """A `classmethod` that is called with what a config is made of."""

    def __init__(
        self, config: Callable[P, Any], create: Callable[[type[Any], Any], Any], /
    ) -> None:
        self._config: Callable[P, Any] = config
        self._create: Callable[[type[Any], Any], Any] = create
        self.__doc__: str | None = create.__doc__

    def __get__(self, instance: object, owner: type[T], /) -> Callable[P, T]:
        """Bind to the class to make an instance of."""

        def bound(*args: P.args, **kwargs: P.kwargs) -> T:
            created: T = self._create(owner, self._config(*args, **kwargs))
            return created

        functools.update_wrapper(bound, self._create)
        signature = inspect.signature(self._config).replace(return_annotation=owner)
        vars(bound).update(__signature__=signature)
        return bound


def from_config(config: Callable[P, C], /) -> Callable[[Callable[[type[T], C], T]], Constructor[P]]:
    """Have a function of a class and a config called with the fields of the config instead."""

    def decorate(create: Callable[[type[T], C], T]) -> Constructor[P]:
        return Constructor(config, create)

    return decorate
