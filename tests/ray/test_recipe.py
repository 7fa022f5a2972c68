"""The recipe `Ray`, and what can be tried of the backend without a Ray."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import amltk.backends.dask
import amltk.backends.ray
from amltk import Scheduler
from amltk.backends import Ray, load
from amltk.backends.ray.future import RayFuture
from amltk.backends.ray.room import fitting, in_words_of_nodes, wanted, worker_options
from amltk.backends.ray.session import is_same_place
from amltk.exceptions import BackendNotInstalledError
from tests.helpers import Boom, echo

NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"address": None}, "address"),
    ({"address": ""}, "address"),
    ({"address": "here"}, "address"),
    ({"address": ":6379"}, "address"),
    ({"address": "host:port"}, "address"),
    ({"address": "ray://host:10001"}, "address.*ray job submit"),
    ({"num_cpus": -1}, "num_cpus"),
    ({"num_cpus": "1"}, "num_cpus"),
    ({"num_cpus": True}, "num_cpus"),
    ({"num_cpus": 0.00001}, "num_cpus"),
    ({"num_cpus": float("inf")}, "num_cpus"),
    ({"num_cpus": float("nan")}, "num_cpus"),
    ({"num_gpus": -0.5}, "num_gpus"),
    ({"num_gpus": 1.5}, "num_gpus"),
    ({"memory": "1GB"}, "memory"),
    ({"memory": 1.5}, "memory"),
    ({"memory": -1}, "memory"),
    ({"resources": ["pen"]}, "resources"),
    ({"resources": {3: 1}}, "resources"),
    ({"resources": {"pen": "one"}}, r"resources\['pen'\]"),
    ({"resources": {"CPU": 1}}, "resources.*num_cpus"),
    ({"local_resources": {"GPU": 1}}, "local_resources.*num_gpus"),
    ({"local_resources": 1}, "local_resources"),
    ({"runtime_env": "env.yaml"}, "runtime_env"),
    ({"max_workers": 0}, "max_workers"),
    ({"max_workers": 1.0}, "max_workers"),
    ({"max_tasks_per_child": 0}, "max_tasks_per_child"),
    ({"local_cpus": 0}, "local_cpus"),
    ({"local_gpus": -1}, "local_gpus"),
    ({"local_gpus": 0.5}, "local_gpus"),
    ({"local_object_store": 1000}, "local_object_store"),
    ({"autoscaling": 1}, "autoscaling"),
    ({"log_to_driver": "no"}, "log_to_driver"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": "soon"}, "timeout"),
    ({"timeout": float("inf")}, "timeout"),
    ({"address": "auto", "local_cpus": 2}, "local_cpus.*address='auto'"),
    ({"address": "h:1", "local_resources": {"pen": 1}}, "local_resources.*address='h:1'"),
]


@pytest.mark.parametrize(("options", "name"), NONSENSE, ids=str)
def test_what_cannot_work_cannot_be_built(options: dict[str, Any], name: str) -> None:
    """
    The error names the field; it comes before anything is started.
    """
    with pytest.raises((TypeError, ValueError), match=f"`{name}"):
        Scheduler.with_ray(**options)


@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.1:6379", "head:1", "[::1]:6379"])
def test_addresses_are_as_ray_has_them(address: str) -> None:
    """
    Two words, and the host and port of a head.
    """
    assert Ray(address).address == address


def test_recipes_are_values() -> None:
    """
    They can be compared, hashed and printed, with resources too.
    """
    assert Ray(resources={"pen": 1}) == Ray(resources={"pen": 1}) != Ray()
    assert len({Ray(resources={"pen": 1}), Ray(resources={"pen": 1})}) == 1
    assert "Ray('auto')" not in repr(Scheduler.with_ray("auto"))
    assert "Ray(address='auto', num_cpus=2)" in repr(Scheduler.with_ray("auto", num_cpus=2))


def test_a_recipe_stays_as_it_is() -> None:
    """
    Whatever becomes of the mapping that it was made with.
    """
    resources = {"pen": 1.0}
    recipe = Ray(resources=resources)
    resources["pen"] = 2
    assert recipe == Ray(resources={"pen": 1})


def test_a_recipe_comes_out_of_a_file(tmp_path: Path) -> None:
    """
    As every other one.
    """
    file = tmp_path / "ray.toml"
    file.write_text('backend = "ray"\naddress = "auto"\nnum_cpus = 2\n[resources]\npen = 1\n')
    assert load(file) == Ray("auto", num_cpus=2, resources={"pen": 1})


# Names that are imported when asked for.


def test_ray_is_imported_when_it_is_needed() -> None:
    """
    Neither amltk nor a recipe imports Ray or Dask; the names of their executors do.
    """
    code = """
import sys
from amltk import Scheduler
from amltk.backends.ray import Ray
Scheduler.with_ray()
print([name for name in ("ray", "distributed") if name in sys.modules])
from amltk.backends.ray import RayExecutor
from amltk.backends.dask import DaskExecutor
print(RayExecutor.__name__, DaskExecutor.__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "RayExecutor DaskExecutor"]


@pytest.mark.parametrize("package", [amltk.backends.ray, amltk.backends.dask])
def test_what_a_package_has_not_it_says(package: Any) -> None:
    """
    As every other module.
    """
    with pytest.raises(AttributeError, match=f"{package.__name__}.*no attribute 'Rya'"):
        package.Rya


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    By the recipe, and by who imports the executor.
    """
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in [name for name in sys.modules if name.startswith("amltk.backends.ray.exec")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(BackendNotInstalledError, match=r"pip install \"amltk\[ray\]\""):
        Ray().open()
    with pytest.raises(BackendNotInstalledError, match=r"pip install \"amltk\[ray\]\""):
        amltk.backends.ray.RayExecutor


# Room.


def test_what_asks_for_nothing_fits_once_per_cpu() -> None:
    """
    Otherwise as often as the scarcest of what it asks for allows.
    """
    node = {"CPU": 4.0, "pen": 1.0}
    assert fitting(node, wanted(Ray(num_cpus=0))) == 4
    assert fitting(node, wanted(Ray())) == 4
    assert fitting(node, wanted(Ray(num_cpus=0.1))) == 40
    assert fitting(node, wanted(Ray(resources={"pen": 0.5}))) == 2
    assert fitting(node, wanted(Ray(num_gpus=1))) == 0


@given(st.integers(1, 10_000), st.integers(1, 64))
def test_parts_of_a_cpu_add_up(n: int, cpus: int) -> None:
    """
    For every n: of calls that ask for an nth of all CPUs, rounded as Ray counts, n fit.
    """
    part = (cpus * 10_000 // n) / 10_000
    if part:
        assert fitting({"CPU": cpus}, {"CPU": part}) >= n


def test_a_worker_asks_for_what_was_said() -> None:
    """
    And for nothing else.
    """
    assert worker_options(Ray()) == {"num_cpus": 1}
    asked: dict[str, Any] = {
        "num_gpus": 1,
        "memory": 5,
        "resources": {"pen": 1},
        "runtime_env": {"pip": []},
    }
    assert worker_options(Ray(**asked, num_cpus=0)) == {**asked, "num_cpus": 0}


def test_nodes_are_described_without_what_ray_notes_for_itself() -> None:
    """
    Those that are alike, once.
    """
    node = {"CPU": 2.0, "node:10.0.0.1": 1.0, "object_store_memory": 9.0}
    assert in_words_of_nodes([node, {**node, "node:10.0.0.2": 1.0}]) == "Its nodes have CPU: 2."
    assert in_words_of_nodes([]) == "It has no nodes."


def test_the_same_place_has_many_names() -> None:
    """
    By name or by number; not at another port.
    """
    assert is_same_place("localhost:6379", "10.1.2.3:6379")  # Ray says the address in the network
    assert is_same_place("10.1.2.3:6379", "10.1.2.3:6379")
    assert not is_same_place("10.1.2.3:6379", "10.1.2.3:6380")
    assert not is_same_place("10.1.2.3:6379", "10.1.2.4:6379")
    assert not is_same_place("no-such-host.invalid:6379", "10.1.2.4:6379")


# Futures and losses.


def test_a_future_has_one_outcome() -> None:
    """
    Whoever comes first says which; who cancels what is running stops it, once.
    """
    stopped: list[object] = []
    waits, runs, done = (RayFuture[Any](echo, stopped.append) for _ in range(3))
    assert waits.cancel()
    assert not waits.begin()
    assert waits.cancel()  # it is
    assert stopped == []
    assert runs.begin()
    assert runs.running()
    assert runs.cancel()
    assert runs.cancel()
    assert stopped == [runs]
    runs.settle(None, 5)
    with pytest.raises(CancelledError):
        runs.result()
    done.settle(Boom("gone"), None)
    assert not done.cancel()
    assert isinstance(done.exception(), Boom)
