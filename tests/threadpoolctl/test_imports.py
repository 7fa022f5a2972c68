"""Hearing of imports, without being in their way."""

from __future__ import annotations

import copy
import importlib
import pkgutil
import runpy
import sys
from collections.abc import Generator
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from amltk.threadpoolctl.imports import Imports
from tests.helpers import in_thread

MODULES = {
    "heard_alone.py": "",
    "heard_outer.py": "import heard_inner, heard_package.module",
    "heard_inner.py": "import heard_package",
    "heard_package/__init__.py": "",
    "heard_package/module.py": "",
    "heard_namespace/module.py": "",
    "heard_failing.py": "import heard_alone; 1 / 0",
}


class Heard:
    """What is told of imports, in a program that has some modules to import."""

    def __init__(self) -> None:
        self.times = 0
        self.is_wanted = True
        self.imports = Imports(self.hear, lambda: self.is_wanted)
        self.imports.watch()

    def hear(self) -> None:
        self.times += 1


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Heard]:
    for name, text in MODULES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    heard = Heard()
    try:
        yield heard
    finally:
        sys.meta_path.remove(heard.imports)
        for name in [name for name in sys.modules if name.startswith("heard_")]:
            del sys.modules[name]


def test_an_import_is_told_of_once_with_all_that_it_imports(heard: Heard) -> None:
    """
    When it is over; and what is there already is not told of.
    """
    importlib.import_module("heard_outer")
    assert heard.times == 1
    importlib.import_module("heard_outer")
    importlib.import_module("heard_package.module")
    assert heard.times == 1
    importlib.import_module("heard_alone")
    assert heard.times == 2


def test_a_module_is_as_without_it(heard: Heard) -> None:
    """
    It has its own loader, also when it is loaded again.
    """
    module = importlib.import_module("heard_alone")
    for _ in range(2):
        assert isinstance(module.__loader__, SourceFileLoader)
        assert module.__spec__ is not None
        assert module.__spec__.loader is module.__loader__
        assert module.__spec__.name == "heard_alone"
        module = importlib.reload(module)
    assert heard.times == 3


def test_what_an_import_raises_is_raised(heard: Heard) -> None:
    """
    It is told of nevertheless: something of it may have been loaded.
    """
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("heard_failing")
    assert heard.times == 1
    with pytest.raises(ModuleNotFoundError, match="heard_of_nowhere"):
        importlib.import_module("heard_of_nowhere")
    assert "heard_failing" not in sys.modules
    importlib.import_module("heard_outer")
    assert heard.times == 2


def test_packages_without_a_file_can_be_imported(heard: Heard) -> None:
    """
    Namespace packages have loaders of another kind.
    """
    module = importlib.import_module("heard_namespace.module")
    assert module.__name__ == "heard_namespace.module"
    assert heard.times >= 1


def spec_of(name: str) -> ModuleSpec:
    spec = find_spec(name)
    assert spec is not None
    return spec


def test_a_module_can_be_run_and_its_data_be_read(heard: Heard) -> None:
    """
    Though whoever does so looks for it, and finds the loader that tells.
    """
    assert runpy.run_module("heard_alone")["__name__"] == "heard_alone"
    assert pkgutil.get_data("heard_package", "module.py") == b""


def test_what_a_loader_can_do_the_one_that_tells_can(heard: Heard) -> None:
    """
    It answers as the module's own; so does a copy of it, and what it cannot do is an error.
    """
    loader: Any = spec_of("heard_outer").loader
    for each in (loader, copy.copy(loader)):
        assert each.get_source("heard_outer") == MODULES["heard_outer.py"]
        assert each.path.endswith("heard_outer.py")
        assert not each.is_package("heard_outer")
    with pytest.raises(AttributeError, match=r"SourceFileLoader.*get_nothing"):
        _ = loader.get_nothing
    assert heard.times == 0


def test_while_nobody_wants_to_hear_all_is_as_without_it(heard: Heard) -> None:
    """
    Loaders are not touched, and imports are not told of, until somebody wants to hear again.
    """
    heard.is_wanted = False
    assert type(spec_of("heard_alone").loader) is SourceFileLoader
    importlib.import_module("heard_alone")
    assert heard.times == 0
    heard.is_wanted = True
    importlib.import_module("heard_inner")
    assert heard.times == 1


def test_each_thread_is_heard(heard: Heard) -> None:
    """
    An import in another thread is told of in that thread.
    """
    assert in_thread(lambda: importlib.import_module("heard_outer")) is None
    assert heard.times == 1


def test_it_watches_once(heard: Heard) -> None:
    """
    However often it is told to.
    """
    heard.imports.watch()
    assert sys.meta_path.count(heard.imports) == 1
