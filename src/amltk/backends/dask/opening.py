"""Connecting to a Dask cluster, or starting one, as a recipe says."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import distributed
from distributed.comm import connect as connect_to
from distributed.comm import get_address_host_port

from amltk.backends.dask.cluster import DaskCluster
from amltk.backends.dask.executor import DaskExecutor
from amltk.backends.dask.logs import Quiet, level_of
from amltk.backends.dask.loop import LoopThread
from amltk.backends.dask.outcomes import OutcomesInFiles
from amltk.exceptions import BackendUnavailableError

if TYPE_CHECKING:
    from amltk.backends.dask.recipe import Dask

__all__ = ["connect", "start"]

SAYING_WHY = 0.5
"""Seconds that Dask may take to say why nobody answered in time."""

GLANCE = 0.05
"""Seconds between two looks at a file."""


def start(recipe: Dask) -> DaskExecutor:
    """Start a cluster on this machine."""
    with ExitStack() as stack:
        loop = begin(recipe, stack)
        cluster = DaskCluster(recipe, loop)
        stack.callback(cluster.close)
        client = client_for(recipe, cluster.address, loop)
        stack.callback(client.close)
        closing = stack.pop_all()

    def end() -> None:
        cluster.end_workers()
        closing.close()

    return DaskExecutor(client, close=closing.close, end=end, outcomes=OutcomesInFiles())


def connect(recipe: Dask) -> DaskExecutor:
    """Connect to a scheduler that is running."""
    address = recipe.address or address_in(Path(str(recipe.scheduler_file)), recipe.timeout)
    with ExitStack() as stack:
        client = client_for(recipe, address, begin(recipe, stack))
        stack.callback(client.close)
        return DaskExecutor(client, close=stack.pop_all().close)


def begin(recipe: Dask, stack: ExitStack) -> LoopThread:
    stack.callback(Quiet(level_of(recipe.silence_logs)).undo)
    loop = LoopThread()
    stack.callback(loop.stop)
    return loop


def client_for(recipe: Dask, address: str, loop: LoopThread) -> distributed.Client:
    try:
        loop.do(answer_from(address, recipe), seconds=recipe.timeout + SAYING_WHY)
        return distributed.Client(
            address,
            security=recipe.security,
            timeout=recipe.timeout,
            loop=loop.loop,
            set_as_default=False,
        )
    except (OSError, ValueError, TypeError) as error:  # no such protocol; no credentials
        why = str(error.__cause__ or error) or refusal(address) or "it says nothing"
        raise BackendUnavailableError(
            f"No Dask scheduler answers at {address} within {recipe.timeout} seconds: {why}. See "
            "that `dask scheduler` is running there, that this machine may connect to it, and that "
            "`security` is as the scheduler has it."
        ) from error


async def answer_from(address: str, recipe: Dask) -> None:
    """See that a scheduler answers: a client would wait for ever for one that only listens."""
    credentials = recipe.security or distributed.Security()
    comm = await connect_to(
        address, timeout=recipe.timeout, **credentials.get_connection_args("client")
    )
    comm.abort()


def refusal(address: str) -> str:
    """What keeps one from connecting; Dask forgets it if its last attempt got too little time."""
    try:
        socket.create_connection(get_address_host_port(address), SAYING_WHY).close()
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def address_in(file: Path, seconds: float) -> str:
    """What a scheduler has written into a file, or writes there within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return str(json.loads(file.read_text(encoding="utf-8"))["address"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            if time.monotonic() > deadline:
                raise BackendUnavailableError(
                    f"There is no address of a Dask scheduler in {file} after {seconds} seconds: "
                    f"{error!r}. `dask scheduler --scheduler-file {file}` writes it there."
                ) from error
        time.sleep(GLANCE)
