"""A Ray of this machine, and a cluster, each started once for the tests that ask for it."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest

from amltk.backends.ray import Ray, RayExecutor
from tests.helpers import DAEMONS
from tests.ray.cluster import STORE, TOKEN, RayCluster

STARTING = 200
"""Seconds that Ray may take to start, on a machine that has other things to do."""


@pytest.fixture(scope="session", autouse=True)
def rays_environment() -> Generator[None]:
    """Who connects knows the token, and none is written into somebody's home directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", TOKEN)
        patch.delenv("RAY_ADDRESS", raising=False)
        import_module("ray._raylet").Config.initialize("")  # it has read the environment already
        yield


def on_local(**said: Any) -> Ray:
    """A recipe for the Ray that `shared_ray` starts."""
    return Ray(
        local_cpus=2,
        local_resources={"pen": 1},
        local_object_store=STORE,
        timeout=STARTING,
        **said,
    )


@contextmanager
def local_ray() -> Generator[None]:
    """Have a local Ray be there, with workers, also while nobody else uses it."""
    before = set(psutil.Process().children())
    with RayExecutor(on_local(num_cpus=0, max_workers=1)) as keeps_it:
        keeps_it.submit(abs, -1).result()
        parts = {part.pid for part in set(psutil.Process().children()) - before}
        DAEMONS.update(parts)
        try:
            yield
        finally:
            DAEMONS.difference_update(parts)


@pytest.fixture(scope="module")
def shared_ray() -> Generator[None]:
    """A local Ray with two CPUs, for all tests of a module."""
    with local_ray():
        yield


@pytest.fixture
def executor(shared_ray: None) -> Generator[RayExecutor]:
    """An executor on it, with two workers."""
    with on_local().open() as opened:
        yield opened


@contextmanager
def ray_cluster(
    directory: Path, others: Iterable[str] = ("left", "right")
) -> Generator[RayCluster]:
    """A cluster of a head and others."""
    with ExitStack() as stack:
        # Not in the directory of the test: the names of sockets have to be short.
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-"))
        cluster = RayCluster(directory, Path(scratch))
        stack.callback(cluster.end)
        cluster.start()
        for name in others:
            cluster.join(name)
        yield cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Generator[RayCluster]:
    """A cluster of three nodes: `head`, `left` and `right`, each with a resource of that name."""
    with ray_cluster(tmp_path_factory.mktemp("ray")) as started:
        yield started
