"""Recipes for jobs: their fields, what they refuse, and the script they make."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import distributed
import pytest
from dask import config
from dask.utils import parse_bytes
from hypothesis import given
from hypothesis import strategies as st

from amltk import Scheduler
from amltk.backends.base import Backend, summary
from amltk.backends.jobqueue import LSF, OAR, PBS, SGE, HTCondor, JobQueue, Moab, Slurm
from amltk.backends.jobqueue.base import NOT_OF_A_JOB
from amltk.backends.jobqueue.importing import import_jobqueue
from amltk.backends.memory import bytes_in
from tests.backends.jobqueue.conftest import RECIPES, small

import_jobqueue()

DEPRECATED = {"extra", "env_extra", "job_extra", "header_skip"}
"""What dask-jobqueue warns about; `project` as well where there is an `account`."""

NEEDED: dict[type[JobQueue], dict[str, str]] = {
    HTCondor: {"disk": "1 GB"},
    OAR: {"memory_per_core_property_name": "memcore"},
}
"""What some of its classes want to be told."""

OF_THE_RUN = {"scheduler", "asynchronous", "loop", "job_cls"}
"""What is said by the run itself: who the workers work for, where it lives, who the manager is."""

REFUSED_BY_DASK = {"dashboard_address", "host"}
"""What dask-jobqueue takes only to say that it belongs into `scheduler_options`."""

OURS = {
    "adaptive", "cancel_command", "min_workers", "n_workers", "start_timeout", "submit_command",
}  # fmt: skip


def keywords_of_dask(recipe: type[JobQueue]) -> Iterator[str]:
    """What the classes of dask-jobqueue take for this manager."""
    core: Any = importlib.import_module("dask_jobqueue.core")
    kinds: list[Any] = [core.JobQueueCluster, *recipe(1).job_type().__mro__]
    for kind in kinds:
        for name, parameter in inspect.signature(kind.__init__).parameters.items():
            is_variadic = parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
            if not is_variadic and name != "self":
                yield name


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_there_is_a_field_for_each_keyword(recipe: type[JobQueue]) -> None:
    """
    For all that dask-jobqueue knows and does not deprecate, and for nothing else but ours.
    """
    known = set(keywords_of_dask(recipe))
    deprecated = DEPRECATED | ({"project"} if "account" in known else set[str]())
    wanted = known - deprecated - OF_THE_RUN - REFUSED_BY_DASK
    fields = {field.name for field in dataclasses.fields(recipe)}
    assert fields == wanted | OURS


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_what_has_no_field_is_deprecated(recipe: type[JobQueue]) -> None:
    """
    dask-jobqueue itself warns of each keyword that is left out.
    """
    known = set(keywords_of_dask(recipe))
    deprecated = DEPRECATED | ({"project"} if "account" in known else set[str]())
    size: dict[str, Any] = {"cores": 1, "memory": "1 GB", **NEEDED.get(recipe, {})}
    make: Any = recipe(1).job_type()
    for name in sorted(known & deprecated):
        is_mapping = recipe is HTCondor and name == "job_extra"
        value: object = "x" if name == "project" else {} if is_mapping else []
        with pytest.warns(FutureWarning, match=f"{name} has been renamed"):
            make("tcp://here:1", "w0", **size, **{name: value})


def test_what_jobs_are_not_made_with_is_known() -> None:
    """
    These are fields, so a field that is renamed cannot stay in the list.
    """
    assert {field.name for field in dataclasses.fields(Slurm)} >= NOT_OF_A_JOB


def test_a_recipe_is_a_value(make: Callable[..., JobQueue]) -> None:
    """
    Frozen, hashable, and equal to one with the same fields; lists are kept as tuples.
    """
    options: dict[str, Any] = {
        "scheduler_options": {"host": "a"},
        "job_script_prologue": ["module load python"],
    }
    one, same = small(make, **options), small(make, **options)
    assert one == same
    assert hash(one) == hash(same)
    assert one.job_script_prologue == ("module load python",)
    assert one != small(make, 2, **options)
    assert isinstance(one, Backend)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.cores = 2  # type: ignore[misc]


def test_a_recipe_prints_what_was_said() -> None:
    """
    And none of the many fields that were not.
    """
    assert summary(Slurm(4, cores=2, memory="6 GB")) == (
        "Slurm(n_workers=4, cores=2, memory='6 GB')"
    )
    assert "<Scheduler on PBS(n_workers=1): " in repr(Scheduler(PBS(1)))


def test_a_scheduler_is_made_of_what_a_recipe_is_made_of() -> None:
    """
    By the name of the manager in the constructor, or as its first argument.
    """
    asked: dict[str, Any] = {"cores": 4, "memory": "6 GB", "submit_command": "submit --extra"}
    create: Callable[..., Scheduler] = Scheduler.with_dask_jobqueue
    for name, make in RECIPES.items():
        recipe = make(n_workers=10, **asked)
        assert getattr(Scheduler, f"with_{name}")(n_workers=10, **asked).backend == recipe
        assert create(name, n_workers=10, **asked).backend == recipe
    with pytest.raises(ValueError, match="Did you mean 'slurm'"):
        create("slrm", n_workers=1)
    with pytest.raises(ValueError, match="None is no cluster manager"):
        create(None, n_workers=1)


@pytest.mark.parametrize("job_mem", ["0", "6", "6G", "500mb"])
def test_slurm_has_its_own_way_of_writing_memory(job_mem: str) -> None:
    """
    Without a unit it is in MiB, and 0 is all that there is.
    """
    assert f"--mem={job_mem}" in Slurm(1, cores=1, memory="6 GB", job_mem=job_mem).job_script()


def test_a_recipe_stays_as_it_is() -> None:
    """
    Whatever becomes of the mapping that it was made with.
    """
    options: dict[str, object] = {"port": 0}
    recipe = Slurm(1, scheduler_options=options)
    options["port"] = 1
    assert recipe == Slurm(1, scheduler_options={"port": 0})


NONSENSE: list[tuple[Callable[..., object], dict[str, Any], str]] = [
    (Slurm, {"n_workers": 0}, "n_workers=0"),
    (Slurm, {"n_workers": -1}, "n_workers=-1"),
    (Slurm, {"n_workers": 2.5}, "n_workers=2.5"),
    (Slurm, {"n_workers": None}, "n_workers=None"),
    (Slurm, {"min_workers": 2}, "min_workers=2.*n_workers=1"),
    (Slurm, {"min_workers": -1}, "min_workers=-1"),
    (Slurm, {"adaptive": "no"}, "adaptive='no'"),
    (Slurm, {"start_timeout": 0}, "start_timeout=0"),
    (Slurm, {"start_timeout": "1 m"}, "start_timeout='1 m'"),
    (Slurm, {"start_timeout": float("nan")}, "start_timeout=nan"),
    (Slurm, {"cores": 0}, "cores=0"),
    (Slurm, {"cores": "4"}, "cores='4'"),
    (Slurm, {"processes": 0}, "processes=0"),
    (Slurm, {"cores": 2, "processes": 3}, "processes=3.*cores=2"),
    (Slurm, {"cores": 2, "processes": 2, "nanny": False}, "processes=2.*nanny"),
    (Slurm, {"min_workers": 1, "adaptive": False}, "min_workers=1.*adaptive=False"),
    (Slurm, {"memory": "6 XB"}, "memory='6 XB'.*6 GB"),
    (Slurm, {"memory": "6"}, "memory='6'.*a unit"),
    (Slurm, {"memory": "6 kB"}, "memory='6 kB'"),
    (Slurm, {"job_mem": "6 GiB"}, "job_mem='6 GiB'.*6G"),
    (SGE, {"walltime": "::"}, "walltime='::'"),
    (Slurm, {"memory": "0 GB"}, "memory='0 GB'"),
    (Slurm, {"memory": "-1 GB"}, "memory='-1 GB'"),
    (Slurm, {"memory": "much"}, "memory='much'"),
    (Slurm, {"memory": 6}, "memory=6"),
    (Slurm, {"walltime": "two days"}, "walltime='two days'.*Slurm.*10:00:00"),
    (Slurm, {"walltime": 600}, "walltime=600"),
    (Slurm, {"job_cpu": 0}, "job_cpu=0"),
    (Slurm, {"job_mem": "6 XB"}, "job_mem='6 XB'"),
    (Slurm, {"queue": ""}, "queue=''"),
    (Slurm, {"queue": "a\nb"}, "queue="),
    (Slurm, {"queue": 5}, "queue=5"),
    (Slurm, {"submit_command": "sbatch '"}, "submit_command"),
    (Slurm, {"submit_command": ""}, "submit_command"),
    (Slurm, {"job_script_prologue": "module load"}, "job_script_prologue='module load'.*list"),
    (Slurm, {"worker_extra_args": ["--x", 5]}, "worker_extra_args"),
    (Slurm, {"job_extra_directives": {"a": "b"}}, "job_extra_directives"),
    (Slurm, {"scheduler_options": ["host"]}, "scheduler_options"),
    (Slurm, {"scheduler_cls": "Scheduler"}, "scheduler_cls"),
    (Slurm, {"security": "no"}, "security='no'"),
    (Slurm, {"security": None}, "security=None"),
    (Slurm, {"protocol": "tcp://"}, "protocol='tcp://'.*security=False"),
    (Slurm, {"silence_logs": "quiet"}, "silence_logs='quiet'"),
    (Slurm, {"log_directory": 5}, "log_directory=5"),
    (Slurm, {"name": "my run"}, "name='my run'.*one word"),
    (Slurm, {"death_timeout": -1}, "death_timeout=-1"),
    (PBS, {"walltime": "1-00"}, "walltime='1-00'.*PBS"),
    (SGE, {"walltime": "1:00"}, "walltime='1:00'.*Grid Engine"),
    (LSF, {"walltime": "01:00:00"}, "walltime='01:00:00'.*LSF.*10:00"),
    (LSF, {"ncpus": 0}, "ncpus=0"),
    (LSF, {"mem": "6 GB"}, "mem='6 GB'"),
    (LSF, {"lsf_units": "bytes"}, "lsf_units='bytes'"),
    (LSF, {"use_stdin": 1}, "use_stdin=1"),
    (Moab, {"walltime": "soon"}, "walltime='soon'.*Moab"),
    (OAR, {"walltime": "1-00"}, "walltime='1-00'.*OAR"),
    (HTCondor, {"disk": "1 XB"}, "disk='1 XB'"),
    (HTCondor, {"job_extra_directives": ["a = b"]}, "job_extra_directives"),
    (HTCondor, {"submit_command_extra": "-verbose"}, "submit_command_extra='-verbose'"),
]


@pytest.mark.parametrize(("recipe", "options", "said"), NONSENSE)
def test_what_cannot_work_cannot_be_built(
    recipe: Callable[..., object], options: dict[str, Any], said: str
) -> None:
    """
    The error repeats what was said, and nothing has been submitted or even imported for it.
    """
    with pytest.raises((TypeError, ValueError), match=said):
        recipe(**{"n_workers": 1, **options})


TIMES: list[tuple[Callable[..., JobQueue], list[str]]] = [
    (Slurm, ["30", "30:00", "10:00:00", "1-0", "1-12:30", "2-12:30:59", "UNLIMITED"]),
    (PBS, ["3600", "10:00:00", "2:12:30:59", "60:00"]),
    (Moab, ["3600", "10:00:00", "2:12:30:59"]),
    (SGE, ["3600", "10:00:00", "::30", "INFINITY"]),
    (LSF, ["30", "10:00", "10:00/hostA"]),
    (OAR, ["2", "10:00", "10:00:00"]),
]


@pytest.mark.parametrize(("recipe", "times"), TIMES)
def test_a_time_is_written_as_the_manager_writes_it(
    recipe: Callable[..., JobQueue], times: list[str]
) -> None:
    """
    Whatever it can read may be said, and stands in the script.
    """
    for time in times:
        assert time in small(recipe, walltime=time).job_script()


AMOUNTS = st.builds(
    "{}{}{}".format,
    st.from_regex(r"[0-9]{1,5}(\.[0-9]{0,3})?(e[0-9])?|\.[0-9]{1,3}", fullmatch=True),
    st.sampled_from(["", " ", "  "]),
    st.sampled_from(["", "b", "B", *(p + e for p in "kKmMgGtTpP" for e in ("", "B", "i", "iB"))]),
)


@given(AMOUNTS)
def test_amounts_of_memory_mean_what_they_mean_to_dask(text: str) -> None:
    """
    For every amount with a unit, our number of bytes is that of dask.
    """
    assert bytes_in(text) == parse_bytes(text)


@given(st.text(alphabet="0123456789.eE+-kKmMgGiIbB xX_", max_size=8))
def test_what_we_take_for_an_amount_of_memory_dask_does_too(text: str) -> None:
    """
    For every text, either both read the same number, or we refuse it.
    """
    try:
        ours = bytes_in(text)
    except ValueError:
        return
    assert ours == parse_bytes(text)


# The script.


def test_a_script_can_be_seen_without_a_manager(
    make: Callable[..., JobQueue], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It has what was asked for, and making it writes nothing anywhere.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    recipe = small(
        make,
        job_name="search",
        job_script_prologue=["module load python"],
        worker_extra_args=["--lifetime", "55m"],
        death_timeout=30,
        log_directory="logs",
    )
    script = recipe.job_script()
    for said in ("module load python", "--lifetime 55m", "--death-timeout 30", "--no-nanny"):
        assert said in script
    assert "--dashboard-address 127.0.0.1:0" in script
    assert f"--tls-key {tmp_path}/.amltk-jobs-RUN/key.pem" in script
    assert "tls://SCHEDULER" in script
    if make is not HTCondor:
        assert "search" in script
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("recipe", "lines"),
    [
        (
            small(Slurm, queue="gpu", account="me", job_cpu=3, job_mem="5G", walltime="1-0",
                  job_extra_directives=["--gres=gpu:1"]),
            ["#SBATCH -p gpu", "#SBATCH -A me", "#SBATCH --cpus-per-task=3", "#SBATCH --mem=5G",
             "#SBATCH -t 1-0", "#SBATCH --gres=gpu:1"],
        ),
        (
            small(PBS, queue="q", account="me", resource_spec="select=1:ncpus=3"),
            ["#PBS -q q", "#PBS -A me", "#PBS -l select=1:ncpus=3"],
        ),
        (
            small(Moab, queue="q", account="me", resource_spec="nodes=1:ppn=3"),
            ["#PBS -q q", "#PBS -A me", "#PBS -l nodes=1:ppn=3"],
        ),
        (
            small(SGE, queue="q", project="p", resource_spec="h_vmem=6G"),
            ["#$ -q q", "#$ -P p", "#$ -l h_vmem=6G"],
        ),
        (
            small(LSF, queue="q", project="p", ncpus=3, mem=2 * 10**9, lsf_units="mb"),
            ["#BSUB -q q", '#BSUB -P "p"', "#BSUB -n 3", "#BSUB -M 2000"],
        ),
        (
            small(HTCondor, disk="4 GB", job_extra_directives={"+MyGroup": '"me"'}),
            ["MY.DaskWorkerDisk = 4000000000", '+MyGroup = "me"'],
        ),
        (
            small(OAR, queue="q", project="p", resource_spec="/nodes=1/core=3",
                  memory_per_core_property_name="memcore", log_directory="/logs of mine"),
            ["#OAR -q q", "#OAR --project p", "#OAR -l /nodes=1/core=3", "#OAR -p memcore>=954",
             "#OAR -O '/logs of mine/%jobid%.out'"],
        ),
    ],
    ids=list(RECIPES),
)  # fmt: skip
def test_what_is_asked_of_a_manager_is_in_the_script(recipe: JobQueue, lines: list[str]) -> None:
    """
    In the directives of that manager; what is left open is as dask-jobqueue's configuration says.
    """
    script = [line.partition(",walltime=")[0] for line in recipe.job_script().splitlines()]
    assert [line for line in lines if line not in script] == []


@pytest.mark.parametrize(
    ("options", "slots"),
    [
        ({"cores": 1}, 1),
        ({"cores": 8, "processes": 1}, 8),
        ({"cores": 8, "processes": 2}, 8),
        ({"cores": 8, "processes": 8}, 8),
        ({"cores": 8, "processes": 2, "worker_extra_args": ["--nthreads", "1"]}, 2),
    ],
    ids=str,
)
def test_how_many_calls_a_job_computes_is_in_its_script(
    make: Callable[..., JobQueue], options: dict[str, Any], slots: int
) -> None:
    """
    One for each thread of each worker.
    """
    from amltk.backends.jobqueue.managed_job import Home, new_job, slots_of

    home = Home("tcp://here:1", "tcp://", None, "/here")
    assert slots_of(new_job(small(make, nanny=True, **options), home, "w0")) == slots


@pytest.mark.parametrize("shebang", ["#!/bin/bash -l", "#! /usr/bin/env sh", "#!/bin/zsh"])
def test_a_shell_says_when_a_job_ends(shebang: str) -> None:
    """
    However it is called.
    """
    assert "\ntrap " in Slurm(1, cores=1, memory="1 GB", shebang=shebang).job_script()
    other = Slurm(1, cores=1, memory="1 GB", shebang="#!/usr/bin/env python")
    assert "\ntrap " not in other.job_script()


def test_without_a_nanny_there_is_one_process() -> None:
    """
    Whatever Dask would make of the cores: nobody would start the others.
    """
    script = Slurm(1, cores=4, memory="1 GB", nanny=False).job_script()
    assert "--nthreads 4" in script
    assert "--nworkers" not in script


def test_directives_can_be_left_out() -> None:
    """
    Those in which a text occurs.
    """
    assert "--mem=" not in small(Slurm, job_directives_skip=["--mem="]).job_script()


def test_a_script_without_credentials_has_none() -> None:
    """
    And none is made up where the user brings their own.
    """
    script = small(Slurm, security=False).job_script()
    assert "--tls" not in script
    assert "tcp://SCHEDULER" in script
    mine = distributed.Security(
        tls_ca_file="/my/ca.pem", tls_worker_cert="/my/cert.pem", tls_worker_key="/my/key.pem"
    )
    assert "--tls-key /my/key.pem" in small(Slurm, security=mine).job_script()
    assert "RUN/key.pem" in small(Slurm, security=distributed.Security.temporary()).job_script()


@pytest.mark.parametrize("options", [{}, {"cores": 1}, {"memory": "1 GB"}], ids=str)
def test_a_job_has_a_size(make: Callable[..., JobQueue], options: dict[str, Any]) -> None:
    """
    Where neither the recipe nor the configuration says how many cores and how much memory, it is an
    error, and where the configuration does, it is not.
    """
    recipe = make(1, **options)
    with pytest.raises(ValueError, match=r"cores.*memory"):
        recipe.job_script()
    section = f"jobqueue.{recipe.CONFIG}"
    size = {"cores": 3, "memory": "3 GB", "disk": "1 GB"}
    with config.set({f"{section}.{name}": value for name, value in size.items()}):
        assert "--nthreads" in recipe.job_script()


def test_another_section_of_the_configuration_can_be_used() -> None:
    """
    One that is not there, or not complete, is named.
    """
    with pytest.raises(ValueError, match=r"no 'nope'.*config_name"):
        small(Slurm, config_name="nope").job_script()
    section: Any = config.get("jobqueue.slurm")
    with config.set({"jobqueue.mine": {**section, "queue": "from-configuration"}}):
        assert "-p from-configuration" in small(Slurm, config_name="mine").job_script()
