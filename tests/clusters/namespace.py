"""Beds that put something else in the place of the machine's files, and nobody else sees it.

They have Linux namespaces of their own, for mounts and for processes. When the process that keeps these
ends, so does whatever runs in them, and the mounts are gone.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import psutil

from tests.clusters.bed import Bed


class NamespaceBed(Bed):
    """A bed whose daemons are in namespaces of their own; the commands in its `bin` go in there."""

    ends_with: ClassVar = signal.SIGKILL  # nothing in there outlives the one that keeps it
    wrapped: ClassVar[Sequence[str]]
    """The commands that have to see what the daemons see."""

    def __init__(self) -> None:
        super().__init__()
        self._keeper = 0
        self._namespace = ""

    @abstractmethod
    def mounts(self) -> str:
        """A shell script that mounts what is to be seen there."""

    def make_namespace(self) -> None:
        """Start the process that keeps the namespaces, and wrap the commands."""
        ready = self.base / "ready"
        # The shell stays: it is the one that has to bury what nobody else there waits for.
        script = f"set -e\n{self.mounts()}\ntouch {ready}\nwhile :; do sleep 1000; done"
        namespaces = ("--mount", "--mount-proc", "--pid", "--fork", "--kill-child")
        self.spawn("namespace", "unshare", *namespaces, "sh", "-c", script)
        self.wait_until(ready.exists, "all is mounted")
        outside = psutil.Process(self._daemons[0].process.pid)
        (self._keeper,) = [child.pid for child in outside.children()]
        self._namespace = namespace_of(self._keeper)
        assert self._namespace not in {"", namespace_of(os.getpid())}
        for command in self.wrapped:
            self.wrap(command, *self.inside(str(shutil.which(command))))

    def inside(self, *command: str) -> Sequence[str]:
        """A command as it has to be run to see what the daemons see; the folder remains."""
        return ("nsenter", f"--target={self._keeper}", "--mount", "--pid", "--wd=.", *command)

    def wrap(self, name: str, *command: str) -> None:
        """Put a command in `bin` that goes before the machine's own."""
        wrapper = self.base / "bin" / name
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        wrapper.chmod(0o755)

    def strays(self) -> list[psutil.Process]:
        """Whoever is in the namespaces."""
        if not self._namespace:
            return []
        return [p for p in psutil.process_iter() if namespace_of(p.pid) == self._namespace]


def namespace_of(pid: int) -> str:
    """The mount namespace of a process; nothing if it has ended, or is none of our business."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115 - it is no path
    except OSError:
        return ""
