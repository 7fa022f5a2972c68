"""OAR: its server, a database and two nodes that it reaches over ssh, all on this machine.

OAR's programs read `/etc/oar/oar.conf`, wherever one would like to have it; so theirs is another one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from amltk.backends import OAR
from tests.clusters.bed import Job, State
from tests.clusters.namespace import NamespaceBed
from tests.helpers import free_ports

NODES = ("127.0.0.1", "127.0.0.2")
CORES = 2
"""On each node."""
DATABASE = Path("/usr/lib/oar/database")
CGROUPS = "JOB_RESOURCE_MANAGER_PROPERTY_DB_FIELD"
"""The setting that puts each job into a cgroup; there are none here."""
NO_ROOT = "delete from admission_rules where rule like '%root and oar users are not allowed%'"
STATES: Mapping[str, State] = {"W": "waiting", "L": "waiting", "R": "running"}


class OARBed(NamespaceBed):
    """Two nodes of two cores."""

    name: ClassVar = "oar"
    commands: ClassVar = ("Almighty", "oarsub", "oarstat", "oardel", "sshd", "psql", "nsenter")
    recipe: ClassVar = OAR
    options: ClassVar = {"memory_per_core_property_name": "not_applicable"}
    cores: ClassVar = len(NODES) * CORES
    cancels_in: ClassVar = 60.0
    job_variable: ClassVar = "OAR_JOB_ID"
    wrapped: ClassVar = ("oarsub", "oarstat", "oardel", "oarnodes", "oarnodesetting", "oarproperty")

    def variables(self) -> Mapping[str, str]:
        return {}

    def mounts(self) -> str:
        return f"""
            mount --bind {self.base}/oar.conf /etc/oar/oar.conf
            # Each shell of a job would read this, and what it reads might start shells again.
            mount --bind /dev/null /var/lib/oar/.batch_job_bashrc
            mkdir -p /run/sshd
        """

    def start(self) -> None:
        database, server, ssh = free_ports(3)
        self._configure(database, server, ssh)
        self.make_namespace()
        self._start_database(database)
        nodes = [f"-oListenAddress={node}" for node in NODES]
        self.spawn(
            "sshd",
            *self.inside("/usr/sbin/sshd", "-De", "-f/etc/oar/sshd_config", f"-p{ssh}", *nodes),
        )
        self.spawn("almighty", *self.inside("Almighty"))
        self._add_nodes()
        self.wait_until(self._are_nodes_alive, "all nodes are alive")

    def _configure(self, database: int, server: int, ssh: int) -> None:
        log, runtime = self.base / "log" / "oar.log", self.base / "runtime"
        log.touch()
        runtime.mkdir()
        values = {
            "DB_PORT": database,
            "DB_BASE_PASSWD": "oar",
            "DB_BASE_PASSWD_RO": "oar_ro",
            "SERVER_PORT": server,
            "LOG_FILE": log,
            "OAR_RUNTIME_DIRECTORY": runtime,
            "SCHEDULER_JOB_SECURITY_TIME": 1,
            "SCHEDULER_MIN_TIME_BETWEEN_2_CALLS": 1,
            "FINAUD_FREQUENCY": 0,
            "OPENSSH_CMD": f"/usr/bin/ssh -p {ssh} -e none -o StrictHostKeyChecking=no"
            " -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        }
        configuration = self.base / "oar.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            Path("/etc/oar/oar.conf").read_text().replace(CGROUPS, f"#{CGROUPS}")
        )
        with configuration.open("a") as file:  # what is said last holds
            file.writelines(f'{name}="{value}"\n' for name, value in values.items())
        for path in (log, runtime, configuration):
            shutil.chown(path, "oar")

    def _start_database(self, port: int) -> None:
        data = self.base / "database"
        data.mkdir()
        shutil.chown(data, "postgres")
        programs = max(Path("/usr/lib/postgresql").iterdir()) / "bin"
        as_postgres = ("runuser", "-u", "postgres", "--")
        self.run(
            *as_postgres, str(programs / "initdb"), "-D", str(data), "-A", "trust", "--no-sync"
        )
        options = (f"-p{port}", f"-k{data}", "-clisten_addresses=127.0.0.1", "-cfsync=off")
        postgres = (*as_postgres, str(programs / "postgres"), "-D", str(data), *options)
        self.spawn("postgres", *self.inside(*postgres))
        self.wait_until((data / f".s.PGSQL.{port}").exists, "the database has made its socket")
        psql = ("psql", "-q", "-vON_ERROR_STOP=1", "-h127.0.0.1", f"-p{port}")
        for role in ("oar", "oar_ro"):
            self.run(*psql, "-Upostgres", "-c", f"create role {role} login password '{role}'")
        self.run(
            *psql,
            "-Upostgres",
            "-c",
            "create database oar owner oar encoding 'UTF8' template template0",
        )
        tables = ("pg_structure", "pg_default_admission_rules", "default_data")
        files = [f"-f{DATABASE / table}.sql" for table in tables]
        reader = "grant select on all tables in schema public to oar_ro"
        self.run(*psql, "-Uoar", *files, "-c", reader, "-c", NO_ROOT, "oar")

    def _add_nodes(self) -> None:
        self.run("oarproperty", "-a", "core", "-a", "cpu")
        for core in range(self.cores):
            node = core // CORES
            properties = (f"cpu={node}", f"core={core}", f"cpuset={core}")
            settings = [part for each in properties for part in ("-p", each)]
            self.run("oarnodesetting", "-a", "-h", NODES[node], *settings)

    def _are_nodes_alive(self) -> bool:
        alive = self.run("oarnodes", "--sql", "state='Alive'")
        return len(re.findall(r"^state : Alive$", alive, re.MULTILINE)) == self.cores

    def submit(self, script: Path) -> str:
        script.chmod(0o755)
        told = self.run(
            "oarsub", "-l", "core=1,walltime=0:10:0", "-O/dev/null", "-E/dev/null", str(script)
        )
        (number,) = re.findall(r"OAR_JOB_ID=(\d+)", told)
        return str(number)

    def jobs(self) -> list[Job]:
        told = self.run("oarstat", "--format", "1")
        rows = re.findall(r"^(\d+) .* (\w) \w+ *$", told, re.MULTILINE)  # number, state, queue
        return [Job(number, STATES.get(letter, "ending")) for number, letter in rows]

    def cancel(self, job: str) -> None:
        self.run("oardel", job)
