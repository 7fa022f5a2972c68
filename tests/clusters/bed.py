"""What a test bed is: a real cluster manager, brought up on this machine and torn down again.

Everything of it lives in one folder in /tmp and listens on loopback, on ports that were free.
While it is up its commands are on the PATH of this process and of what this process starts.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import psutil
import pytest

import amltk
from amltk.backends.jobqueue import JobQueue
from tests.helpers import DAEMONS

TEMPLATES = Path(__file__).parent / "templates"
ROOT, SOURCE = Path(__file__).parents[2], Path(amltk.__file__).parents[1]
"""Where the tests are, and what they test."""

UP = 100.0
"""Seconds in which a manager has to be up, or a queue to be empty."""
SETTLE = 30.0
"""Seconds that what a daemon has started may outlive it."""


State = Literal["waiting", "running", "ending"]


class Job(NamedTuple):
    """One that is in the queue."""

    id: str
    state: State


class Daemon(NamedTuple):
    """A process of a manager, with the file that it logs to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Bed(ABC):
    """A cluster manager for as long as the `with` block around it lasts.

    A subclass says how to bring it up, and how to speak to its queue.
    """

    name: ClassVar[str]
    """What `make cluster-...` and `AMLTK_CLUSTERS` call it."""
    commands: ClassVar[Sequence[str]]
    """What has to be on the PATH before it can come up."""
    recipe: ClassVar[type[JobQueue]]
    """What amltk calls its jobs."""
    options: ClassVar[Mapping[str, Any]] = {}
    """What a recipe has to say here, and not elsewhere."""
    refused: ClassVar[Mapping[str, Any]] = {"queue": "nowhere"}
    """What the manager does not take a job with."""
    cores: ClassVar[int]
    """How many jobs of one core run at once."""
    cancels_in: ClassVar = 0.0
    """Seconds after which the manager says of a job that was cancelled that it is ending."""
    job_variable: ClassVar[str]
    """What a job finds its number under in its environment."""

    ends_with: ClassVar[signal.Signals] = signal.SIGTERM
    """What its daemons are told to end with."""

    def __init__(self) -> None:
        self.base = Path()
        self._daemons: list[Daemon] = []
        self._stack = ExitStack()

    def jobs_for(self, n_workers: int, **options: Any) -> JobQueue:
        """A recipe for so many jobs of one worker each, which find the code of the tests."""
        path = shlex.quote(os.pathsep.join(map(str, (SOURCE, ROOT))))
        prologue = [f"export PYTHONPATH={path}", *options.pop("job_script_prologue", ())]
        size = {"cores": 1, "memory": "500 MB", "interface": "lo", "nanny": False}
        make: Callable[..., JobQueue] = self.recipe
        said: dict[str, Any] = {"job_script_prologue": prologue, **size, **self.options, **options}
        return make(n_workers, **said)

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot come up on this machine, or None."""
        if os.geteuid() != 0:
            return "only root can bring it up"
        path = search_path()
        absent = [command for command in cls.commands if shutil.which(command, path=path) is None]
        return f"there is no {', '.join(absent)} on the PATH" if absent else None

    @abstractmethod
    def start(self) -> None:
        """Start the daemons, and return when a job could run."""

    @abstractmethod
    def submit(self, script: Path) -> str:
        """Submit a shell script that needs one core, and return the job's number."""

    @abstractmethod
    def jobs(self) -> list[Job]:
        """What is in the queue, of everybody."""

    @abstractmethod
    def cancel(self, job: str) -> None:
        """End one job from outside, as an administrator would."""

    @abstractmethod
    def variables(self) -> Mapping[str, str]:
        """What has to be in the environment of the manager's commands."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # Daemons that change their user have to get there, which rules out pytest's folders.
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=f"amltk-{self.name}-", dir="/tmp")
            )
            self.base = Path(folder)
            self.base.chmod(0o755)
            for part in ("bin", "log"):
                (self.base / part).mkdir()
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setenv("PATH", os.pathsep.join([str(self.base / "bin"), search_path()]))
            for name, value in self.variables().items():
                patch.setenv(name, value)
            stack.callback(self._stop_daemons)
            try:
                self.start()
            except Exception as error:
                error.add_note(self.logs())
                raise
            stack.callback(self.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def unfinished(self) -> list[Job]:
        """The jobs that nobody has ended yet; those that are ending may take their time."""
        return [job for job in self.jobs() if job.state != "ending"]

    def clear(self) -> None:
        """End all jobs."""
        for job in self.unfinished():
            with suppress(RuntimeError):  # it has just ended
                self.cancel(job.id)

    def close(self) -> None:
        """End all jobs, and wait until the queue is empty."""
        self.clear()
        self.wait_until_empty()

    def wait_until_empty(self) -> None:
        """Wait until all jobs have ended, and their cores are free."""
        self.wait_until(lambda: not self.jobs(), "the queue is empty")

    def spawn(self, name: str, *command: str) -> None:
        """Start a daemon in the foreground; should this process be killed, it ends as well."""
        log = self.base / "log" / f"{name}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", self.ends_with.name, *command],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests
            )
        self._daemons.append(Daemon(name, process, log))
        DAEMONS.add(process.pid)

    def run(self, *command: str) -> str:
        """What a command prints."""
        return output_of(*command)

    def wait_until(self, is_so: Callable[[], bool], what: str, within: float = UP) -> None:
        """Look again and again; fail if it takes too long or a daemon ended."""
        deadline = time.monotonic() + within
        while not is_so():
            ended = [d.name for d in self._daemons if d.process.poll() is not None]
            if ended or time.monotonic() > deadline:
                why = f"{', '.join(ended)} ended" if ended else f"it took over {within:g} s"
                raise TimeoutError(f"{self.name}: waiting until {what}: {why}")
            time.sleep(0.05)

    def logs(self, lines: int = 20) -> str:
        """The end of what each daemon has logged."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
            for path in sorted((self.base / "log").iterdir())
        )

    def template(self, name: str, to: Path, **values: object) -> Path:
        """Write one of the templates with what stands in it as `{name}` filled in."""
        to.write_text((TEMPLATES / name).read_text().format(base=self.base, **values))
        return to

    def _stop_daemons(self) -> None:
        while self._daemons:
            daemon = self._daemons.pop().process
            end(daemon, self.ends_with)
            DAEMONS.remove(daemon.pid)
        _, left = psutil.wait_procs(self.strays(), timeout=SETTLE)
        names = [" ".join(process.cmdline()) for process in left]
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=UP)
        assert not left, f"{self.name} left processes behind: {names}"

    def strays(self) -> list[psutil.Process]:
        """What descends from the daemons, and not from us: it was told of the bed's folder."""
        ours = {psutil.Process(), *psutil.Process().children(recursive=True)}
        return [p for p in psutil.process_iter() if p not in ours and knows(p, str(self.base))]


def knows(process: psutil.Process, path: str) -> bool:
    """Whether a path is in the command line of a process, or in its environment."""
    try:
        return path in " ".join([*process.cmdline(), *process.environ().values()])
    except psutil.Error:
        return False  # it has ended


def search_path() -> str:
    """Where commands are, daemons among them; not every root has those in the PATH."""
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin"])


def end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """End a daemon that we have started, the hard way if it does not listen."""
    process.send_signal(how)
    try:
        process.wait(timeout=UP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def output_of(*command: str) -> str:
    """What a command prints; if it fails, the error says what it had to say."""
    ran = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=UP,
    )
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}: {ran.stdout}")
    return ran.stdout


def changed(settings: str, values: Mapping[str, str]) -> str:
    """Settings, a line each, with other values for some."""
    for name, value in values.items():
        settings, n = re.subn(rf"(?m)^({name}(?:\s+|\s*=\s*)).*$", rf"\g<1>{value}", settings)
        assert n == 1, f"there is no setting {name}"
    return settings
