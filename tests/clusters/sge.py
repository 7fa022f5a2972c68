"""Grid Engine: its master and one execution host with four slots, run from one folder."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from amltk.backends import SGE
from tests.clusters.bed import Bed, Job, State, changed
from tests.helpers import free_ports

LIB, SHARE = Path("/usr/lib/gridengine"), Path("/usr/share/gridengine")
ARCHITECTURE = "lx-amd64"
"""Only the name of a folder in which commands are looked for."""

CONFIGURATION = {
    "execd_spool_dir": "{base}/execd",
    "mailer": "/bin/true",
    "administrator_mail": "none",
    "shell_start_mode": "unix_behavior",
    "min_uid": "0",  # root may submit jobs
    "min_gid": "0",
    "load_report_time": "00:00:01",
}
SCHEDULER = {
    "schedule_interval": "0:0:1",
    "flush_submit_sec": "1",
    "flush_finish_sec": "1",
    "job_load_adjustments": "NONE",
    "load_adjustment_decay_time": "0:0:0",
}
QUEUE = {"load_thresholds": "NONE", "shell_start_mode": "unix_behavior"}


class GridEngineBed(Bed):
    """The queue `all.q`, which runs four jobs at once."""

    name: ClassVar = "sge"
    commands: ClassVar = ("sge_qmaster", "sge_execd", "qconf", "qsub", "qstat", "qdel")
    recipe: ClassVar = SGE
    cores: ClassVar = 4
    job_variable: ClassVar = "JOB_ID"
    ends_with: ClassVar = signal.SIGKILL  # the master takes seconds to save what nobody will read

    def __init__(self) -> None:
        super().__init__()
        self._ports = free_ports(2)
        self._host = socket.gethostname().split(".")[0]

    def variables(self) -> Mapping[str, str]:
        master, execution = map(str, self._ports)
        return {
            "SGE_ROOT": str(self.base),
            "SGE_CELL": "default",
            "SGE_ARCH": ARCHITECTURE,
            "SGE_QMASTER_PORT": master,
            "SGE_EXECD_PORT": execution,
            "SGE_ND": "1",  # daemons stay in the foreground
        }

    def start(self) -> None:
        self._lay_out()
        self._spool()
        self.spawn("qmaster", "sge_qmaster")
        self.wait_until(self._master_answers, "the master answers")
        self.run("qconf", "-as", self._host)
        self.run("qconf", "-Ae", str(self._exec_host()))
        self._tune_scheduler()
        self._add_queue()
        self.spawn("execd", "sge_execd")
        self.wait_until(self._queue_is_open, "the queue is open")

    def _lay_out(self) -> None:
        common = self.base / "default" / "common"
        common.mkdir(parents=True)
        (self.base / "util").symlink_to(SHARE / "util")
        for folder in ("bin", "lib", "utilbin"):
            (self.base / folder).mkdir(exist_ok=True)
            (self.base / folder / ARCHITECTURE).symlink_to(LIB)
        for folder in ("database", "qmaster/job_scripts", "execd"):
            (self.base / folder).mkdir(parents=True)
        (common / "act_qmaster").write_text(f"{self._host}\n")
        (common / "host_aliases").write_text(f"{self._host} localhost\n")
        self.template("sge-bootstrap", common / "bootstrap")

    def _spool(self) -> None:
        default = (SHARE / "default-configuration").read_text()
        values = {name: value.format(base=self.base) for name, value in CONFIGURATION.items()}
        configuration = self.base / "configuration"
        configuration.write_text(changed(default, values))
        resources = SHARE / "util" / "resources"
        spool = str(LIB / "spooldefaults")
        self.run(str(LIB / "spoolinit"), "berkeleydb", "libspoolb", f"{self.base}/database", "init")
        self.run(spool, "configuration", str(configuration))
        self.run(spool, "complexes", str(resources / "centry"))
        self.run(spool, "usersets", str(resources / "usersets"))
        self.run(spool, "managers", "root")

    def _master_answers(self) -> bool:
        try:
            self.run("qconf", "-sh")
        except RuntimeError:
            return False
        return True

    def _exec_host(self) -> Path:
        return self.template("sge-host", self.base / "host", host=self._host, slots=self.cores)

    def _tune_scheduler(self) -> None:
        settings = self.base / "scheduler"
        settings.write_text(changed(self.run("qconf", "-ssconf"), SCHEDULER))
        self.run("qconf", "-Msconf", str(settings))

    def _add_queue(self) -> None:
        for environment in ("make", "mpi", "smp"):  # those that a new queue has
            self.run("qconf", "-Ap", str(SHARE / "util" / "resources" / "pe" / environment))
        self.run("env", "EDITOR=true", "qconf", "-aq", "all.q")
        for name, value in {**QUEUE, "hostlist": self._host, "slots": str(self.cores)}.items():
            self.run("qconf", "-rattr", "queue", name, value, "all.q")

    def _queue_is_open(self) -> bool:
        states = re.findall(
            rf"^all\.q@.*{ARCHITECTURE} *(\w*)$", self.run("qstat", "-f"), re.MULTILINE
        )
        return states == [""]

    def submit(self, script: Path) -> str:
        return self.run("qsub", "-terse", "-o", "/dev/null", "-j", "y", str(script)).strip()

    def jobs(self) -> list[Job]:
        rows = [line.split() for line in self.run("qstat", "-u", "*").splitlines()[2:]]
        return [Job(number, state_of(letters)) for number, _, _, _, letters, *_ in rows]

    def cancel(self, job: str) -> None:
        self.run("qdel", job)


def state_of(letters: str) -> State:
    """What the letters of `qstat` mean: d is being deleted, t on its way to a host, r there."""
    if "d" in letters:
        return "ending"
    return "running" if set(letters) & set("tr") else "waiting"
