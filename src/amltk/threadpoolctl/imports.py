"""Hearing of imports: a function is called whenever an import statement has loaded something.

What is heard of are imports as the program writes them, with all that they import in turn. The
way to do this is a finder in `sys.meta_path` that has the others find a module and comes in
between it and its loader. Once it is there it stays: another thread may be going through that list,
and would miss a finder if one were taken out. While nobody wants to hear of imports it finds nothing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from typing_extensions import override

from amltk.backends.sequential import run_job

__all__ = ["Imports"]


class Imports(MetaPathFinder):
    """Tells of imports, once `watch` has been called.

    Args:
        then: Called after each import, in the thread that imports.
        is_wanted: Whether anybody wants to hear of one that begins now.
    """

    def __init__(self, then: Callable[[], None], is_wanted: Callable[[], bool]) -> None:
        self._then = then
        self._is_wanted = is_wanted
        self._here = State()

    def watch(self) -> None:
        """Be told of imports from now on."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Find the module as it would be found otherwise, and have its loader tell."""
        if self._here.is_importing or not self._is_wanted():
            return None  # a part of what will be told of, or nobody's business
        self._here.is_importing = True
        try:
            spec = self._found_by_others(fullname, path, target)
        finally:
            self._here.is_importing = False
        loader = None if spec is None else spec.loader
        if spec is not None and loader is not None and hasattr(loader, "exec_module"):
            spec.loader = TellingLoader(loader, self.tell)
        return spec

    def tell(self, loader: Loader, module: ModuleType) -> None:
        """Have a module loaded, and tell of it."""
        self._here.is_importing = True
        try:
            run_job(loader.exec_module, (module,), {})
        finally:
            self._here.is_importing = False
            self._then()

    def _found_by_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in tuple(sys.meta_path):
            if finder is not self and hasattr(finder, "find_spec"):
                spec = run_job(finder.find_spec, (fullname, path, target), {})
                if spec is not None:
                    return spec
        return None


class State(threading.local):
    """Whether this thread is importing something that will be told of."""

    is_importing: bool = False


class TellingLoader(Loader):
    """Loads one module as its own loader does, and tells of it; the module keeps its own loader.

    Whatever else somebody asks of a loader, its own answers: for its source, for data beside it.
    """

    def __init__(self, loader: Loader, tell: Callable[[Loader, ModuleType], None]) -> None:
        self._loader = loader
        self._tell = tell

    @override
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Have its own loader make it."""
        return self._loader.create_module(spec)

    @override
    def exec_module(self, module: ModuleType) -> None:
        """Have its own loader load it."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._tell(self._loader, module)

    def __getattr__(self, name: str) -> object:
        own: object = object.__getattribute__(self, "_loader")  # a copy has none at first
        found: object = getattr(own, name)
        return found
