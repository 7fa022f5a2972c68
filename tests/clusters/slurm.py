"""Slurm: munge, slurmctld and three nodes, all on this machine and run from one folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from amltk.backends import Slurm
from amltk.backends.jobqueue import JobQueue
from tests.clusters.bed import Bed, Job, State
from tests.helpers import free_ports

NODES = ("n1", "n2", "n3")
CPUS, MEMORY = 2, 4000
"""What each node says it has, the memory in MB; it need not be so."""
STATES: Mapping[str, State] = {"PENDING": "waiting", "RUNNING": "running"}


class SlurmBed(Bed):
    """Partitions `main`, with three nodes of two cores each, and `small`, with one of them."""

    name: ClassVar = "slurm"
    commands: ClassVar = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
    recipe: ClassVar[type[JobQueue]] = Slurm
    cores: ClassVar = len(NODES) * CPUS
    job_variable: ClassVar = "SLURM_JOB_ID"

    def variables(self) -> Mapping[str, str]:
        return {"SLURM_CONF": str(self.base / "slurm.conf")}

    def start(self) -> None:
        port, *ports = free_ports(1 + len(NODES))
        host = socket.gethostname().split(".")[0]
        nodes = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
            f" CPUs={CPUS} RealMemory={MEMORY} State=UNKNOWN"
            for name, port in zip(NODES, ports, strict=True)
        ]
        self.template(
            "slurm.conf", self.base / "slurm.conf", host=host, port=port, nodes="\n".join(nodes)
        )
        self._start_munge()
        (self.base / "state").mkdir()
        self.spawn("slurmctld", "slurmctld", "-D")
        for name in NODES:
            (self.base / f"spool.{name}").mkdir()
            self.spawn(f"slurmd.{name}", "slurmd", "-D", "-N", name)
        self.wait_until(self._are_all_idle, "all nodes are idle")

    def _start_munge(self) -> None:
        key = self.base / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        files = [
            f"--{what}={self.base / f'munge.{end}'}"
            for what, end in (
                ("key-file", "key"),
                ("socket", "socket"),
                ("pid-file", "pid"),
                ("seed-file", "seed"),
            )
        ]
        self.spawn("munged", "munged", "--foreground", *files)
        self.wait_until((self.base / "munge.socket").exists, "munged has made its socket")

    def _are_all_idle(self) -> bool:
        try:
            idle = self.run("sinfo", "-hN", "-p", "main", "-t", "idle", "-o", "%N")
        except RuntimeError:
            return False  # it does not answer yet
        return idle.split() == list(NODES)

    def submit(self, script: Path) -> str:
        return self.run("sbatch", "--parsable", "-o", "/dev/null", str(script)).strip()

    def jobs(self) -> list[Job]:
        lines = self.run("squeue", "-h", "-o", "%A %T").splitlines()
        words = (line.split() for line in lines)
        return [Job(number, STATES.get(word, "ending")) for number, word in words]

    def cancel(self, job: str) -> None:
        self.run("scancel", job)
