"""A real Airflow on this machine: `airflow standalone`, in a directory of its own.

It runs in a session of processes of its own. Its first process is a keeper, which starts it and ends
all of it as soon as the tests close a pipe, which at the latest happens when they end. So it is no
child of the tests, and what it starts is not taken for something that a test has left behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from amltk.airflow.answers import AirflowUnreachableError
from amltk.airflow.tokens import LOGIN

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0
"""Seconds that Airflow may take for something: to start takes it ten, and more on a busy machine."""
TOKENS = 6
"""Seconds for which a token is valid that was got at `SHORT_LIVED`."""
SHORT_LIVED = "/auth/token/cli"
"""Where Airflow gives tokens of which it can be told how long they are valid, apart from others."""
DAGS = ("amltk", "search")
"""The DAGs that it is to find."""
WORKERS = 4
"""Calls that it computes at a time."""
USERS = {"op": "may-start-runs", "viewer": "may-look"}
"""Passwords by user; each has the role of the same name."""

HOW_LONG_TO_WAIT = """
import sys

connect_args = {"timeout": 1.0 if "api-server" in sys.argv else 120.0}
"""
"""Seconds that Airflow's parts wait for each other's changes of the database.

They wait for long, and do not break off: this machine may be busy. But the API server may wait for
itself: its event loop for a thread of its own, which has begun to change something and needs the
event loop in order to go on. It is to give up, and be asked again.
"""


class AirflowServer:
    """An Airflow that can be stopped and started again.

    Args:
        environment: The Python environment in which it is installed.
        home: An empty directory, for all that is its own.
        ports: Three that it may use.
    """

    def __init__(self, environment: Path, home: Path, ports: Sequence[int]) -> None:
        self.environment = environment
        self.home = home
        self.dags = home / "dags"
        self.storage = home / "storage"
        for directory in (self.dags, self.storage):
            directory.mkdir()
        (home / "passwords.json").write_text(json.dumps(USERS))
        (home / "config").mkdir()
        (home / "config" / "how_long_to_wait.py").write_text(HOW_LONG_TO_WAIT)
        self.ports = ports
        self.url = f"http://127.0.0.1:{self.ports[0]}"
        self._session = 0
        self._pipe: int | None = None

    def start(self) -> None:
        """Start it, and wait until it takes runs."""
        reader, self._pipe = os.pipe()
        with (self.home / "airflow.log").open("ab") as log:
            keeper = subprocess.run(
                [sys.executable, __file__, str(self.environment / "bin" / "airflow")],
                env=self._settings(),
                cwd=self.home,
                stdin=reader,
                stdout=subprocess.PIPE,
                stderr=log,
                check=True,
            )
        os.close(reader)
        self._session = int(keeper.stdout)
        self._get_there(self.is_ready)

    def stop(self) -> None:
        """End all of it at once, with what it is computing, as when a machine is switched off."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
            self._get_there(lambda: not processes_of(self._session))

    def is_ready(self) -> bool:
        """Whether all its parts are well, and have found the DAG."""
        try:
            health = httpx.get(f"{self.url}/api/v2/monitor/health").json()
            parts = ("metadatabase", "scheduler", "dag_processor")
            well = all(health[part]["status"] == "healthy" for part in parts)
            return well and len(self.ask("GET", "/dags").json()["dags"]) == len(DAGS)
        except httpx.TransportError:
            return False

    def token(self, user: str = "op", path: str = LOGIN) -> str:
        """A token for one of the users."""
        said = {"username": user, "password": USERS[user]}
        token: str = httpx.post(f"{self.url}{path}", json=said, timeout=30).json()["access_token"]
        return token

    def ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Ask its REST API something, until it can answer."""
        headers = {"authorization": f"Bearer {self.token()}"}
        url = f"{self.url}/api/v2{path}"
        while True:
            said = httpx.request(method, url, headers=headers, json=content or None, timeout=30)
            if not said.is_server_error:
                return said

    def runs(self) -> dict[str, str]:
        """The runs of amltk's DAG that it knows, with their states."""
        answer = self.ask("GET", "/dags/amltk/dagRuns?limit=100&order_by=-id").json()
        return {run["dag_run_id"]: run["state"] for run in answer["dag_runs"]}

    def log(self) -> str:
        """The end of what it has written."""
        return (self.home / "airflow.log").read_text(errors="replace")[-5000:]

    def _get_there(self, condition: Callable[[], bool]) -> None:
        try:
            until(condition)
        except TimeoutError:
            raise TimeoutError(f"Airflow does not get there:\n{self.log()}") from None

    def _settings(self) -> dict[str, str]:
        api, logs, trigger_logs = map(str, self.ports)
        settings = {
            "core": {
                "dags_folder": str(self.dags),
                "executor": "LocalExecutor",
                "parallelism": str(WORKERS),
                "load_examples": "False",
                "execution_api_server_url": f"{self.url}/execution/",
                "simple_auth_manager_users": ",".join(f"{user}:{user}" for user in USERS),
                "simple_auth_manager_passwords_file": str(self.home / "passwords.json"),
            },
            "api": {"host": "127.0.0.1", "port": api, "base_url": self.url, "workers": "1"},
            "api_auth": {"jwt_cli_expiration_time": str(TOKENS), "jwt_leeway": "0"},
            # It is to find its DAGs soon, and need not look at them again.
            "dag_processor": {
                "refresh_interval": "2",
                "parsing_processes": "1",
                "min_file_process_interval": "3600",
            },
            "logging": {
                "worker_log_server_port": logs,
                "trigger_log_server_port": trigger_logs,
                "logging_level": "WARNING",
            },
            "database": {
                "sql_alchemy_conn": f"sqlite:///{self.home}/airflow.db",
                "sql_alchemy_connect_args": "how_long_to_wait.connect_args",
                "sql_alchemy_connect_args_async": "how_long_to_wait.connect_args",
            },
            "workers": {
                "execution_api_timeout": "120",
                "execution_api_retries": "50",
                "execution_api_retry_wait_min": "0.1",
                "execution_api_retry_wait_max": "2.0",
                "max_failed_heartbeats": "10",
                "min_heartbeat_interval": "1",  # after which a task hears that it is to end
            },
            # It is to notice in seconds what it otherwise notices in minutes.
            "scheduler": {
                "scheduler_idle_sleep_time": "0.1",
                "job_heartbeat_sec": "2",
                "scheduler_health_check_threshold": "20",
                "orphaned_tasks_check_interval": "5",
                # But tasks that say nothing for a while: of two of them the scheduler dies, since it
                # waits for a lock of sqlite's that it has itself.
                "task_instance_heartbeat_timeout": "3600",
            },
        }
        return {
            "PATH": f"{self.environment / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.home),
            "AIRFLOW_HOME": str(self.home),
            "PYTHONPATH": str(ROOT / "src"),
            **{
                f"AIRFLOW__{section}__{name}".upper(): value
                for section, said in settings.items()
                for name, value in said.items()
            },
        }


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that Airflow does, and tells nobody of."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.1)


def insist(ask: Callable[[], T]) -> T:
    """Ask Airflow as often as it takes: now and then its database is locked by itself."""
    while True:
        with suppress(AirflowUnreachableError):
            return ask()
        time.sleep(0.1)


def processes_of(session: int) -> list[psutil.Process]:
    """The processes of a session that are alive."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def keep(airflow: str) -> None:
    """Start Airflow in a session of its own, say which, and end it when nobody is there any more."""
    if os.fork():
        return
    os.setsid()
    subprocess.Popen([airflow, "standalone"], stdin=subprocess.DEVNULL, stdout=sys.stderr)
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.read(sys.stdin.fileno(), 1)
    while others := [p for p in processes_of(os.getpid()) if p.pid != os.getpid()]:
        for process in others:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(others, timeout=1)


if __name__ == "__main__":
    keep(sys.argv[1])
