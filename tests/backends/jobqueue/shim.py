"""The commands of seven cluster managers, played by this file: jobs are processes of this machine.

It is called as `shim.py DIRECTORY COMMAND ARGUMENTS...`, and keeps all it knows in the directory:
each job has a file `N.job` there, and what stands in these files has it behave in special ways:

    refuse      submissions fail, with this text
    hold        jobs wait, for this reason, until the file is gone and somebody submits or asks
    deaf        `squeue` fails
    slow        submissions take so many seconds to say that the job was taken
    named       is made when `squeue` has named a job
    tired       cancelling takes so many seconds; while somebody waits, there is a file `cancelling`
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

SUBMITTED: Mapping[str, str] = {
    "sbatch": "Submitted batch job {}",
    "qsub": "{}.shim",
    "msub": "\n{}",
    "bsub": "Job <{}> is submitted to queue <normal>.",
    "condor_submit": "Submitting job(s).\n1 job(s) submitted to cluster {}.",
    "oarsub": "[ADMISSION RULE] fine\nOAR_JOB_ID={}",
}
CANCEL = ("scancel", "qdel", "canceljob", "bkill", "condor_rm", "oardel")
COMMANDS = (*SUBMITTED, *CANCEL, "squeue", "condor_q")


@dataclass
class Job:
    """A job; it has no process while it waits."""

    number: int
    script: str
    log: str
    pid: int | None = None

    def is_running(self) -> bool:
        if self.pid is None:
            return False
        with suppress(OSError):
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
            return state not in "ZX"
        return False

    def start(self) -> None:
        with Path(self.log).open("ab") as log:
            process = subprocess.Popen(
                ["bash", self.script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = process.pid

    def end(self) -> None:
        """Have it end, and wait for it: on a busy machine that takes a moment."""
        if self.pid is not None and self.is_running():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while self.is_running() and time.monotonic() < deadline:
            time.sleep(0.02)


class Shim:
    """What the manager knows."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextmanager
    def lock(self) -> Generator[None]:
        with (self.directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def said(self, name: str) -> str | None:
        with suppress(FileNotFoundError):
            return (self.directory / name).read_text()
        return None

    def jobs(self) -> list[Job]:
        """All jobs that there were, but those that were cancelled while they waited."""
        files = sorted(self.directory.glob("*.job"), key=lambda file: int(file.stem))
        found: list[Job] = []
        for file in files:
            with suppress(FileNotFoundError):  # it was cancelled a moment ago
                found.append(Job(**json.loads(file.read_text())))
        return found

    def left(self) -> list[Job]:
        """The jobs that are in the queue."""
        return [job for job in self.jobs() if job.pid is None or job.is_running()]

    def keep(self, job: Job) -> None:
        part = self.directory / f"{job.number}.part"
        part.write_text(json.dumps(asdict(job)))
        part.replace(part.with_suffix(".job"))  # who reads it sees all of it

    def submit(self, text: str) -> int:
        with self.lock():
            number = len(list(self.directory.glob("*.script"))) + 1
            script = self.directory / f"{number}.script"
            script.write_text(text)
            log = log_of(text).replace("%J", str(number)) or f"{self.directory}/{number}.log"
            self.keep(Job(number, str(script), log))
        self.start_those_that_may()
        return number

    def start_those_that_may(self) -> None:
        with self.lock():
            for job in self.jobs():
                if job.pid is None and self.said("hold") is None:
                    job.start()
                    self.keep(job)

    def cancel(self, number: int) -> None:
        with self.lock():
            for job in self.jobs():
                if job.number == number:
                    job.end()
                    if job.pid is None:
                        (self.directory / f"{number}.job").unlink()

    def queue(self) -> str:
        self.start_those_that_may()
        reason = (self.said("hold") or "").strip()
        return "\n".join(
            f"{job.number}|PENDING|{reason}" if job.pid is None else f"{job.number}|RUNNING|None"
            for job in self.left()
        )


def log_of(script: str) -> str:
    """Where the directives of a job want its output; each manager has its own."""
    for pattern, name in (
        (r"^#SBATCH -o (.+)$", "{}"),
        (r"^#BSUB -o (.+)$", "{}"),
        (r"^#(?:PBS|\$) -o (.+)/$", "{}/dask-worker.o%J"),
        (r"^#LogDirectory = (.+)$", "{}/worker-%J.0.out"),
        (r"^#OAR -O (.+)$", "{}"),
    ):
        if found := re.search(pattern, script, re.MULTILINE):
            return name.format(found[1]).replace("%jobid%", "%J")
    return ""


def script_in(command: str, arguments: Sequence[str]) -> str:
    """What a job is to do, as text that bash can read."""
    if command == "bsub":
        return sys.stdin.read()
    if command == "oarsub":
        log = arguments[arguments.index("-O") + 1]
        return f"#OAR -O {log}\n{arguments[-1]}"
    text = Path(arguments[-1]).read_text()
    if command == "condor_submit":
        found = re.search(r"^Arguments = \"(.*)\"$", text, re.MULTILINE)
        assert found is not None
        quoted = found[1].replace('""', '"')
        line = quoted.removeprefix("-c '").removesuffix("'").replace("''", "'")
        comments = "\n".join(f"#{said}" for said in text.splitlines())
        return f"{comments}\nsh -c {shlex.quote(line)}\n"
    return text


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(directory: Path, command: str, arguments: Sequence[str]) -> int:
    shim = Shim(directory)
    if command == "squeue":
        queue = shim.queue()
        say(queue)
        if queue:
            (directory / "named").touch()
        return 1 if shim.said("deaf") is not None else 0
    if command == "condor_q":
        say("\n".join(f"{job.number}.0 {1 if job.pid is None else 2}" for job in shim.left()))
        return 0
    if command in CANCEL:
        (directory / "cancelling").touch()
        time.sleep(float(shim.said("tired") or 0))
        for argument in arguments:
            shim.cancel(int(argument.partition(".")[0]))
        return 0
    refusal = shim.said("refuse")
    if refusal is not None:
        sys.stderr.write(refusal)
        return 1
    number = shim.submit(script_in(command, arguments))
    time.sleep(float(shim.said("slow") or 0))
    say(SUBMITTED[command].format(number))
    return 0


def install(directory: Path) -> Path:
    """Make the commands, and return the directory that has to be on the `PATH`."""
    commands = directory / "bin"
    commands.mkdir()
    for command in COMMANDS:
        path = commands / command
        call = shlex.join([sys.executable, "-SE", __file__, str(directory), command])
        path.write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        path.chmod(0o755)
    return commands


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
