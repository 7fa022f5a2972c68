"""Work that is computed in jobs; the managers are played, all else is real."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from amltk import Scheduler
from amltk.backends.dask.executor import DaskExecutor
from amltk.backends.jobqueue import JobQueue, Slurm, desk, roster
from amltk.exceptions import BackendNotInstalledError, BackendUnavailableError
from amltk.scheduling import ExitCode
from tests.backends.jobqueue.conftest import small, wait_for
from tests.backends.jobqueue.shim import Shim
from tests.helpers import Gate, echo, future_of, in_thread, keywords, program, wait_at


def test_calls_are_computed_in_jobs(make: Callable[..., JobQueue], shim: Shim) -> None:
    """
    Whoever the manager is, results arrive, and no job is left.
    """
    scheduler = Scheduler(small(make, 2))
    task = scheduler.task(echo)
    results: list[int] = []
    scheduler.on_start.add(lambda: [task(n) for n in range(4)])
    task.on_result.add(lambda _, result: results.append(result))
    scheduler.run()
    assert sorted(results) == [0, 1, 2, 3]
    assert len(shim.jobs()) == 2


def test_a_job_is_submitted_for_each_call_and_not_more_than_there_may_be(
    shim: Shim, tmp_path: Path
) -> None:
    """
    One call needs one job; ten calls need as many as there may be, also if each has two workers.
    """
    recipe = small(Slurm, 2, cores=2, processes=2, nanny=True)
    with recipe.open() as executor:
        executor.submit(echo, 0).result()
        assert len(shim.jobs()) == 1
        with Gate(tmp_path / "gate") as gate:
            held = [executor.submit(wait_at, gate.path) for _ in range(3)]
            futures = [executor.submit(keywords, n, key=n) for n in range(10)]
            wait_for(lambda: len(shim.jobs()) == 2)
        assert [f.result() for f in held] == [""] * 3
        assert [f.result() for f in futures] == [((n,), {"key": n}) for n in range(10)]
    assert len(shim.jobs()) == 2


def test_a_job_ends_for_which_there_is_no_work(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    After a while, down to `min_workers`; the next call has another one submitted.
    """
    monkeypatch.setattr(roster, "IDLE", 0.5)
    with small(Slurm, 2).open() as executor:
        executor.submit(echo, 0).result()
        wait_for(lambda: not shim.left())
        assert executor.submit(echo, 1).result() == 1
    assert len(shim.jobs()) == 2
    with small(Slurm, 2, min_workers=1).open() as executor:
        executor.submit(echo, 0).result()
        wait_for(lambda: len(shim.left()) == 1)


def test_without_adapting_there_are_always_as_many_jobs(shim: Shim) -> None:
    """
    From the beginning, and again after one was lost.
    """
    with small(Slurm, 2, adaptive=False).open() as executor:
        wait_for(lambda: len(shim.left()) == 2)
        executor.submit(echo, 0).result()
        shim.left()[0].end()
        wait_for(lambda: len(shim.left()) == 2 and len(shim.jobs()) == 3)


def test_calls_that_are_cancelled_need_no_job(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A job that still waits in the queue is taken back, after a while.
    """
    monkeypatch.setattr(roster, "IDLE", 0.5)
    (shim.directory / "hold").write_text("Priority")
    with small(Slurm).open() as executor:
        future = executor.submit(echo, 0)
        wait_for(lambda: len(shim.left()) == 1)
        future.cancel()
        wait_for(lambda: not shim.left())


# However a run ends, no job is left; the fixture looks.


def run_until_a_call_runs(scheduler: Scheduler, gate: Gate, **options: Any) -> None:
    """Stop the run when its call is in a job."""

    def begin() -> None:
        future_of(scheduler.submit(wait_at, gate.path))
        gate.hold()
        scheduler.stop()

    scheduler.on_start.add(begin)
    scheduler.run(**options)


def test_a_run_that_does_not_wait_ends_its_jobs(
    make: Callable[..., JobQueue], shim: Shim, tmp_path: Path
) -> None:
    """
    The call is cancelled, and the job that computes it is gone.
    """
    scheduler = Scheduler(small(make))
    with Gate(tmp_path / "gate") as gate:
        run_until_a_call_runs(scheduler, gate, wait=False)
        assert scheduler.event_counts[Scheduler.FUTURE_CANCELLED] == 1
        assert not shim.left()


def test_a_run_that_fails_ends_its_jobs(shim: Shim) -> None:
    """
    Also those whose turn has not come.
    """
    (shim.directory / "hold").write_text("Priority")
    scheduler = Scheduler(small(Slurm, 3, adaptive=False))

    def fail() -> None:
        wait_for(lambda: len(shim.left()) == 3)
        raise ValueError("no")

    scheduler.on_start.add(fail)
    with pytest.raises(ValueError, match="no"):
        scheduler.run()
    assert not shim.left()


def test_a_job_that_is_being_submitted_is_cancelled_too(
    shim: Shim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The run waits until the manager says what it calls the job.
    """
    monkeypatch.setattr(desk, "LATE", 60.0)
    (shim.directory / "slow").write_text("1")
    scheduler = Scheduler(small(Slurm))

    def stop() -> None:
        scheduler.submit(echo, 1)
        wait_for(lambda: len(shim.jobs()) == 1)
        scheduler.stop()

    scheduler.on_start.add(stop)
    assert scheduler.run(wait=False).code is ExitCode.STOPPED
    assert not shim.left()


PROGRAM = """
import sys
from amltk import Scheduler, backends
from amltk.backends.jobqueue import roster

roster.FIRST_NOTE = 1000.0  # this machine may be busy
_, manager, *gates = sys.argv
more = {"disk": "1 GB"} if manager == "HTCondor" else {}
recipe = getattr(backends, manager)(1, **more, cores=1, memory="1 GB", interface="lo", nanny=False)


def wait_at(gate):
    with open(gate) as pipe:
        pipe.read()


if __name__ == "__main__":
    if gates:
        scheduler = Scheduler(recipe)
        scheduler.on_start.add(lambda: scheduler.submit(wait_at, *gates))
        scheduler.run()
    else:
        print(recipe.open().submit(abs, -3).result())
"""


def test_a_program_that_closes_nothing_leaves_nothing(shim: Shim, tmp_path: Path) -> None:
    """
    The jobs end with it.
    """
    with program(tmp_path / "script.py", PROGRAM, "Slurm") as process:
        assert process.communicate() == ("3\n", "")
    assert not shim.left()


def test_ctrl_c_ends_the_jobs(make: Callable[..., JobQueue], shim: Shim, tmp_path: Path) -> None:
    """
    The program ends with `KeyboardInterrupt`, and prints nothing but that.
    """
    gate = Gate(tmp_path / "gate")
    args = (make.__name__, gate.path)
    with program(tmp_path / "script.py", PROGRAM, *args) as process, gate:
        gate.hold()
        os.killpg(process.pid, signal.SIGINT)
        printed, complaints = process.communicate()
    assert printed == ""
    assert complaints.rstrip().endswith("KeyboardInterrupt")
    assert "distributed" not in complaints.replace("distributed/", "")
    assert not shim.left()


def test_a_second_ctrl_c_leaves_nothing_either(shim: Shim, tmp_path: Path) -> None:
    """
    Neither a job nor credentials, also while a manager takes its time to cancel.
    """
    (shim.directory / "tired").write_text("1.5")
    gate = Gate(tmp_path / "gate")
    with program(tmp_path / "script.py", PROGRAM, "Slurm", gate.path) as process, gate:
        gate.hold()
        os.killpg(process.pid, signal.SIGINT)
        wait_for((shim.directory / "cancelling").exists)
        os.killpg(process.pid, signal.SIGINT)
        _, complaints = process.communicate()
    assert complaints.rstrip().endswith("KeyboardInterrupt")
    assert not shim.left()


def test_a_submission_that_takes_too_long_is_named(
    shim: Shim, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The run does not wait for ever to hear what to cancel, and says so.
    """
    monkeypatch.setattr(desk, "LATE", 0.1)
    (shim.directory / "slow").write_text("30")
    (shim.directory / "hold").write_text("Priority")
    with small(Slurm).open() as executor:
        executor.submit(echo, 1)
        wait_for(lambda: len(shim.jobs()) == 1)
        executor.terminate()
    assert "has not said yet whether it takes the job" in caplog.text
    shim.cancel(1)


# Who may come in.


def test_credentials_are_for_the_user_alone_and_for_this_run_only(shim: Shim) -> None:
    """
    They are in a directory that nobody else can enter, and gone with the run.
    """
    with small(Slurm).open() as executor:
        [directory] = Path.cwd().iterdir()
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        keys = sorted(directory.glob("*.pem"))
        assert [key.name for key in keys] == ["ca_file.pem", "cert.pem", "key.pem"]
        assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
        first = keys[-1].read_text()
        assert executor.submit(echo, 1).result() == 1
    assert not directory.exists()
    with small(Slurm).open():
        assert next(Path.cwd().glob("*/key.pem")).read_text() != first


def test_nobody_gets_in_without_credentials(shim: Shim) -> None:
    """
    Neither unencrypted nor with other credentials; the workers do.
    """
    import distributed

    with small(Slurm).open() as executor:
        address = address_of(executor)
        ours = executor.client.security
        assert address.startswith("tls://")
        for security in (None, distributed.Security.temporary()):
            with pytest.raises(OSError):
                asyncio.run(asking(address, security, seconds=1))
        assert "Scheduler" in asyncio.run(asking(address, ours))
        assert executor.submit(echo, 1).result() == 1


def address_of(executor: DaskExecutor) -> str:
    scheduler = executor.client.scheduler
    assert scheduler is not None
    return scheduler.address


async def asking(address: str, security: Any, seconds: float = 10) -> str:
    """Ask a scheduler what it is."""
    core: Any = importlib.import_module("distributed.core")
    plain = address if security else address.replace("tls", "tcp")
    arguments: dict[str, Any] = security.get_connection_args("client") if security else {}
    async with core.rpc(plain, timeout=seconds, connection_args=arguments) as scheduler:
        said: dict[str, str] = await scheduler.identity()
        return said["type"]


def test_nothing_else_is_open(shim: Shim) -> None:
    """
    No port of this program but that one, and none of a job without credentials that others reach.
    """
    before = listening(psutil.Process())
    with small(Slurm).open() as executor:
        executor.submit(echo, 1).result()
        port = int(address_of(executor).rpartition(":")[2])
        assert {at for _, at in listening(psutil.Process()) - before} == {port}
        [job] = shim.left()
        for worker in psutil.Process(job.pid).children(recursive=True):
            assert {ip for ip, _ in listening(worker)} == {"127.0.0.1"}


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """The addresses and ports where a process listens."""
    connections = process.net_connections("inet")
    return {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}


def test_without_security_everybody_gets_in(shim: Shim) -> None:
    """
    There are no credentials then.
    """
    import distributed

    with small(Slurm, security=False).open() as executor:
        address = address_of(executor)
        assert address.startswith("tcp://")
        assert not list(Path.cwd().glob("*/*.pem"))
        with distributed.Client(address, timeout=5) as anybody:
            assert anybody.submit(echo, 2).result() == 2
        assert executor.submit(echo, 1).result() == 1


# Commands.


def test_commands_are_of_this_cluster_only(shim: Shim, tmp_path: Path) -> None:
    """
    Another cluster of the same kind, open at the same time, submits as it always did.
    """
    log = tmp_path / "log"
    for name in ("sbatch", "scancel"):
        own = tmp_path / f"my-{name}"
        own.write_text(f'#!/bin/sh\necho {name} "$1" >> {log}\nshift\nexec {name} "$@"\n')
        own.chmod(0o755)
    mine = small(
        Slurm,
        submit_command=f"{tmp_path}/my-sbatch --mine",
        cancel_command=f"{tmp_path}/my-scancel --mine",
    )
    with mine.open() as first, small(Slurm).open() as second:
        assert [e.submit(echo, 1).result() for e in (first, second)] == [1, 1]
    assert len(shim.jobs()) == 2
    assert log.read_text() == "sbatch --mine\nscancel --mine\n"


@pytest.mark.parametrize("missing", ["submit", "cancel"])
def test_without_a_manager_it_says_which_command_is_missing(
    make: Callable[..., JobQueue], tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    When the run begins, and leaves nothing behind.
    """
    monkeypatch.chdir(tmp_path)
    commands: dict[str, Any] = {"submit_command": "true", "cancel_command": "true"}
    commands[f"{missing}_command"] = "/no/such/command --x"
    recipe = small(make, **commands)
    with pytest.raises(BackendNotInstalledError, match=f"/no/such/command.*{missing}_command"):
        recipe.open()
    assert not list(tmp_path.iterdir())


def test_a_machine_without_the_manager_has_none_of_its_commands(
    make: Callable[..., JobQueue], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The error says which one was looked for, such as `sbatch`.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    recipe = small(make)
    with pytest.raises(BackendNotInstalledError, match=rf"{recipe.SUBMIT}\b"):
        recipe.open()
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_made_is_named(shim: Shim) -> None:
    """
    The error says what to do about it.
    """
    with pytest.raises(FileNotFoundError, match=r"/no/such/directory.*shared_temp_directory"):
        small(Slurm, shared_temp_directory="/no/such/directory").open()


def test_a_directory_that_a_script_takes_apart_is_refused(
    shim: Shim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    At once, and not by jobs that do not find their credentials.
    """
    mine = tmp_path / "my work"
    mine.mkdir()
    monkeypatch.chdir(mine)
    with pytest.raises(ValueError, match=r"my work.*shared_temp_directory"):
        small(Slurm).open()
    assert not list(mine.iterdir())
    with small(Slurm, shared_temp_directory=tmp_path).open() as executor:
        assert executor.submit(echo, 1).result() == 1


def test_an_interface_that_there_is_not_is_refused(shim: Shim) -> None:
    """
    The error names it, and nothing is left behind.
    """
    with pytest.raises(ValueError, match="ib7"):
        small(Slurm, interface="ib7").open()


def test_logs_stay_where_the_user_wants_them(shim: Shim, tmp_path: Path) -> None:
    """
    A `log_directory` is made if need be, and not deleted.
    """
    logs = tmp_path / "logs" / "of" / "mine"
    with small(Slurm, log_directory=logs).open() as executor:
        executor.submit(echo, 1).result()
    assert [log.name for log in logs.iterdir()] == ["dask-worker-1.out"]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"logs of jobs .*`log_directory`"):
        small(Slurm, log_directory=tmp_path / "file" / "logs").open()


def test_a_home_directory_may_be_named(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Managers take what they are told for the name of a directory, as it is.
    """
    monkeypatch.setenv("HOME", "/home/somebody")
    for said in ("~/logs", "$HOME/logs"):
        assert "-o /home/somebody/logs/" in small(Slurm, log_directory=said).job_script()


def test_where_nothing_can_listen_nothing_is_opened(shim: Shim) -> None:
    """
    The error says why, and what may have to be changed.
    """
    recipe = small(Slurm, scheduler_options={"host": "no-such-host.invalid"})
    with pytest.raises(BackendUnavailableError, match=r"not known.*`scheduler_options`"):
        recipe.open()


def test_a_cluster_can_be_opened_in_any_thread(shim: Shim) -> None:
    """
    And importing dask-jobqueue takes no signal away from the program.
    """
    before = signal.getsignal(signal.SIGINT)

    def compute() -> None:
        with small(Slurm).open() as executor:
            assert executor.submit(echo, 1).result() == 1

    assert in_thread(compute) is None
    assert signal.getsignal(signal.SIGINT) is before
