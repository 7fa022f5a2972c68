"""Names of a package that are imported when somebody asks for them.

The executors of large engines belong to what a package offers, but to import them is to import the
engine, and whoever has none of its recipes opened needs it not. Recipes take little time each, but
there are many, and most programs use one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module

from amltk.backends.base import needs

__all__ = ["Later", "imported_when_asked", "looked_up"]


class Later:
    """A class that is imported when somebody makes an instance of it, or asks what that takes.

    Args:
        module: Which module has it.
        name: What it is called there.
    """

    __slots__ = ("_module", "_name")

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Make one."""
        return self._found()(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._found())

    def _found(self) -> Callable[..., object]:
        found: Callable[..., object] = vars(import_module(self._module))[self._name]
        return found


def looked_up(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Make the `__getattr__` of a package.

    Args:
        package: The name of the package.
        modules: By each name that it has in this way, the module that has it.
    """

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return vars(import_module(modules[name]))[name]

    return get


def imported_when_asked(
    package: str, modules: Mapping[str, str], *, engine: str, extra: str
) -> Callable[[str], object]:
    """Make the `__getattr__` of a package whose modules import an engine.

    Args:
        package: The name of the package.
        modules: By each name that it has in this way, the module that has it.
        engine: What these modules import.
        extra: The extra of ours that brings that.

    Returns:
        A function that raises a `BackendNotInstalledError` if the engine cannot be imported.
    """
    get = looked_up(package, modules)

    def get_or_say_what_is_needed(name: str) -> object:
        with needs(engine, extra=extra):
            return get(name)

    return get_or_say_what_is_needed
