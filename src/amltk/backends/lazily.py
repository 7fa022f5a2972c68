"""Names of a package that are imported when somebody asks for them.

The executors of large engines belong to what a package offers, but to import them is to import the
engine, and whoever has none of its recipes opened needs it not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from amltk.backends.base import needs

__all__ = ["imported_when_asked"]


def imported_when_asked(
    package: str, modules: Mapping[str, str], *, engine: str, extra: str
) -> Callable[[str], object]:
    """Make the `__getattr__` of a package.

    Args:
        package: The name of the package.
        modules: By each name that it has in this way, the module that has it.
        engine: What these modules import.
        extra: The extra of ours that brings that.

    Returns:
        A function that raises a `BackendNotInstalledError` if the engine cannot be imported.
    """

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with needs(engine, extra=extra):
            return vars(import_module(modules[name]))[name]

    return get
