"""What is imported, and when."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from amltk import Scheduler
from amltk.backends import Slurm

PACKAGES = ("amltk", "amltk.backends", "amltk.scheduling")


def test_who_imports_amltk_imports_no_recipe_that_is_not_used() -> None:
    """
    There are many of them; the first one that somebody names, or asks a scheduler for, is imported.
    """
    code = """
import sys, amltk
print(*sorted(name for name in sys.modules if name.startswith("amltk.")))
amltk.Scheduler.with_slurm(2, cores=1, memory="1 GB")
print("amltk.backends.jobqueue.slurm" in sys.modules, "amltk.backends.loky" in sys.modules)
amltk.Scheduler.with_loky(2)
print("amltk.backends.loky" in sys.modules, "amltk.backends.ray" in sys.modules)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, *then = done.stdout.splitlines()
    unwanted = ("jobqueue", "dask", "ray", "airflow", "loky", "loading", "comms", "retry")
    assert not {name.rpartition(".")[2] for name in first.split()} & {*unwanted}
    assert then == ["True False", "True False"]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_all_that_it_says_it_has(package: str) -> None:
    """
    Whenever that is imported; editors and shells are told of it before.
    """
    module = import_module(package)
    for name in module.__all__:
        assert name in dir(module)
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        getattr(module, "Nothing")  # noqa: B009 - checkers would refuse it


def test_a_constructor_has_the_signature_of_its_recipe() -> None:
    """
    Though the recipe is imported only when somebody asks.
    """
    taken = inspect.signature(Scheduler.with_slurm).parameters
    assert taken == inspect.signature(Slurm).parameters
