"""A Ray cluster on this machine: a head and other nodes, each a `ray start` in a session of its own.

All of it listens on this machine alone, and asks for a token. Its nodes share no port, and are told
from each other by the resources that they have.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import which
from typing import Any

import psutil

from tests.helpers import DAEMONS, free_ports

HERE = "127.0.1.{}"
"""Addresses that are this machine's alone; Ray would put another in the place of the usual one."""

TOKEN = "0123456789abcdef" * 4
"""What whoever connects has to know."""

STORE = 80_000_000
"""Bytes of shared memory of a node: about the least that there can be."""

CPUS = 2
"""CPUs of each node."""

PORTS_EACH = 100
"""How many ports the workers of a node may use."""

AS_LONG_AS_WE_LIVE = ("setpriv", "--pdeathsig", "TERM") if which("setpriv") else ()

PATIENCE = 100.0
"""Seconds that a node may take to be there."""


class Node:
    """A node of a cluster.

    Args:
        options: What `ray start` is told.
        log: The file that it writes to.
    """

    def __init__(self, options: list[str], log: Path) -> None:
        self.log = log
        # It ends with this process, also if that ends without a word.
        ray = [*AS_LONG_AS_WE_LIVE, sys.executable, "-W", "ignore", "-m", "ray.scripts.scripts"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*ray, "start", "--block", *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        DAEMONS.add(self.process.pid)

    def is_there(self) -> bool:
        """Whether it has joined; if it never will, that fails the test."""
        said = self.log.read_text()
        assert self.process.poll() is None, said[-2000:]
        return "Ray runtime started" in said

    def parts(self) -> list[psutil.Process]:
        """Its processes."""
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        return []

    def kill(self) -> None:
        """End it at once, as when a machine is switched off."""
        parts = self.parts()
        for part in parts:  # first nobody may start others
            with suppress(psutil.NoSuchProcess):
                part.send_signal(signal.SIGSTOP)
        for part in {*parts, *self.parts()}:
            with suppress(psutil.NoSuchProcess):
                part.kill()
        self.process.wait()
        DAEMONS.discard(self.process.pid)


class RayCluster:
    """A head, and other nodes that can come and go.

    Args:
        directory: Where logs go.
        scratch: Where Ray puts its files; a short path, since sockets are among them.
    """

    def __init__(self, directory: Path, scratch: Path) -> None:
        self._directory = directory
        self._scratch = scratch
        [self._port] = free_ports(1, HERE.format(1))
        self.address = f"{HERE.format(1)}:{self._port}"
        self.nodes: dict[str, Node] = {}

    def start(self) -> None:
        """Start the head."""
        head = [
            "--head",
            f"--port={self._port}",
            "--include-dashboard=false",
            "--disable-usage-stats",
            f"--temp-dir={self._scratch}",
        ]
        self._start("head", head)

    def join(self, name: str) -> None:
        """Have another node join it."""
        self._start(name, [f"--address={self.address}"])

    def kill(self, name: str) -> None:
        """End a node at once."""
        self.nodes.pop(name).kill()

    def end(self) -> None:
        """End all of it."""
        for name in reversed(list(self.nodes)):
            self.kill(name)

    def _start(self, name: str, options: list[str]) -> None:
        number = len(self.nodes) + 1
        first = 20_000 + PORTS_EACH * number
        settings: dict[str, Any] = {
            "node-ip-address": HERE.format(number),
            "num-cpus": CPUS,
            "resources": json.dumps({name: 1000}),
            "object-store-memory": STORE,
            "min-worker-port": first,
            "max-worker-port": first + PORTS_EACH - 1,
            "dashboard-agent-listen-port": 0,
        }
        said = [f"--{option}={value}" for option, value in settings.items()]
        node = self.nodes[name] = Node([*options, *said], self._directory / f"{name}.log")
        until(node.is_there)  # on one machine they cannot start at the same time


def until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait for something that Ray does, and tells nobody of."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)
