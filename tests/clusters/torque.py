"""The commands of PBS and of Moab, in front of a real Slurm.

They come from Debian's `slurm-wlm-torque`. It cannot be installed beside Grid Engine, whose commands have
the same names, so `install.sh` only unpacks it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

from amltk.backends import PBS, Moab
from tests.clusters.slurm import SlurmBed

UNPACKED = Path("/usr/local/lib/slurm-wlm-torque/usr/bin")


class TorqueBed(SlurmBed):
    """A Slurm that is spoken to in other words."""

    submits_with: ClassVar[str]
    cancels_with: ClassVar[str]

    @classmethod
    def missing(cls) -> str | None:
        if not (UNPACKED / "qsub").exists():
            return f"there is no qsub in {UNPACKED}"
        return super().missing()

    def start(self) -> None:
        super().start()
        commands = self.base / "bin"
        self.template("qsub", commands / self.submits_with).chmod(0o755)
        # It calls an sbatch in the folder that it was called in itself.
        (commands / "torque-qsub").symlink_to(UNPACKED / "qsub")
        (commands / "sbatch").symlink_to(str(shutil.which("sbatch")))
        (commands / self.cancels_with).symlink_to(UNPACKED / "qdel")
        (commands / "qstat").symlink_to(UNPACKED / "qstat")

    def submit(self, script: Path) -> str:
        return self.run(self.submits_with, "-j", "oe", "-o", "/dev/null", str(script)).strip()

    def cancel(self, job: str) -> None:
        self.run(self.cancels_with, job)


class PBSBed(TorqueBed):
    """`qsub` and its like."""

    name: ClassVar = "pbs"
    recipe: ClassVar = PBS
    submits_with: ClassVar = "qsub"
    cancels_with: ClassVar = "qdel"


class MoabBed(TorqueBed):
    """`msub` and its like, which take the same words as those of PBS."""

    name: ClassVar = "moab"
    recipe: ClassVar = Moab
    submits_with: ClassVar = "msub"
    cancels_with: ClassVar = "canceljob"
