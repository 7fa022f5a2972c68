"""HTCondor: a pool of one machine, from Debian 13 in a folder of its own.

HTCondor takes no jobs from root, which is who tests; and a user that is not root would not see the files
of the tests. So there is a user namespace, in which root is somebody else: files of this machine's root
are those of the user `dask` there, who submits the jobs.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psutil

from amltk.backends import HTCondor
from tests.clusters.bed import ROOT, SOURCE, Job, State
from tests.clusters.namespace import NamespaceBed
from tests.helpers import free_ports

DEBIAN = Path("/opt/amltk-condor")
SHIFT, USER = 200000, 2000
"""The user 0 in there is number `SHIFT` out here, and so on; but user `USER` is our 0."""
USERS = f"0 {SHIFT} {USER}\n{USER} 0 1\n{USER + 1} {SHIFT + USER + 1} 60000\n"
DAEMONS_OF = SHIFT + 100
"""The user of HTCondor's daemons, out here."""
STATES: Mapping[str, State] = {"1": "waiting", "2": "running"}


class CondorBed(NamespaceBed):
    """One machine that says it has four cores."""

    name: ClassVar = "condor"
    recipe: ClassVar = HTCondor
    options: ClassVar = {
        "disk": "100 MB",
        "job_extra_directives": {"environment": "AMLTK_JOB=$(Cluster)"},
    }
    refused: ClassVar = {"job_extra_directives": {"universe": "nowhere"}}
    commands: ClassVar = ("nsenter", "unshare", "chroot")
    cores: ClassVar = 4
    job_variable: ClassVar = "AMLTK_JOB"
    wrapped: ClassVar = ()

    def __init__(self) -> None:
        super().__init__()
        self._users = 0

    @classmethod
    def missing(cls) -> str | None:
        if not (DEBIAN / ".ready").exists():
            return f"there is no Debian in {DEBIAN}"
        return super().missing()

    def variables(self) -> Mapping[str, str]:
        return {}

    def mounts(self) -> str:
        python = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
        seen = [each for each in {*python, ROOT, SOURCE} if not each.is_relative_to("/tmp")]
        binds = [f"mkdir -p {DEBIAN}{it}; mount --bind {it} {DEBIAN}{it}" for it in seen]
        return "\n".join(
            [
                f"mount -t proc proc {DEBIAN}/proc",
                f"mount --rbind /dev {DEBIAN}/dev",
                f"mount --bind /tmp {DEBIAN}/tmp",
                f"mount --bind {self.base}/condor.conf {DEBIAN}/etc/condor/config.d/99-amltk",
                *binds,
            ]
        )

    def start(self) -> None:
        [port] = free_ports(1)
        self.template("condor.conf", self.base / "condor.conf", port=port, cores=self.cores)
        for folder in ("log", "spool", "execute", "run", "lock"):
            (self.base / folder).mkdir(exist_ok=True)
            shutil.chown(self.base / folder, DAEMONS_OF, DAEMONS_OF)
        self.make_namespace()
        self._make_users()
        enter = shlex.join(self._with_users())
        for command in ("condor_submit", "condor_rm", "condor_q", "condor_status"):
            values = {"enter": enter, "user": USER, "debian": DEBIAN, "command": command}
            wrapper = self.base / "bin" / command
            self.template("condor-command", wrapper, **values).chmod(0o755)
        master = ("chroot", str(DEBIAN), "condor_master", "-f")
        self.spawn("condor_master", *self._with_users(), *master)
        self.wait_until(self._is_up, "the machine is in the pool")

    def _make_users(self) -> None:
        """Start the process that keeps the user namespace, and say in it who is who."""
        self.spawn("users", *self.inside("unshare", "--user", "sleep", "infinity"))
        keeper = self._daemons[-1].process.pid
        self.wait_until(lambda: bool(sleeping(keeper)), "there is a user namespace")
        [outside] = sleeping(keeper)
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{outside}/{kind}").write_text(USERS)
        status = Path(f"/proc/{outside}/status").read_text()
        self._users = int(re.findall(r"^NSpid:.*\t(\d+)$", status, re.MULTILINE)[0])

    def _with_users(self) -> Sequence[str]:
        return self.inside("nsenter", f"--user=/proc/{self._users}/ns/user")

    def _is_up(self) -> bool:
        try:
            self.run("condor_q")
            return "slot1" in self.run("condor_status", "-af", "Name")
        except RuntimeError:
            return False

    def submit(self, script: Path) -> str:
        description = script.with_suffix(".condor")
        lines = ("executable = /bin/bash", f"arguments = {script}", "request_cpus = 1")
        limits = (
            "request_memory = 100MB",
            "request_disk = 10MB",
            "environment = AMLTK_JOB=$(Cluster)",
        )
        description.write_text("\n".join([*lines, *limits, "queue", ""]))
        [number] = re.findall(r"cluster (\d+)", self.run("condor_submit", str(description)))
        return str(number)

    def jobs(self) -> list[Job]:
        rows = self.run("condor_q", "-af", "ClusterId", "JobStatus").splitlines()
        return [Job(number, STATES.get(state, "ending")) for number, state in map(str.split, rows)]

    def cancel(self, job: str) -> None:
        self.run("condor_rm", job)


def sleeping(nsenter: int) -> list[int]:
    """The process below `nsenter` that has come into being in its place."""
    children = psutil.Process(nsenter).children()
    return [child.pid for child in children if child.name() == "sleep"]
