"""What managers say of jobs, in their own words, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from amltk.backends.jobqueue import LSF, OAR, PBS, SGE, HTCondor, JobQueue, Moab, Slurm

SLURM = """\
12|PENDING|Resources
13|RUNNING|None
14|PENDING|PartitionTimeLimit
15|PENDING|JobHeldUser
16|FAILED|NonZeroExitCode
17|PENDING|launch failed requeued held
18|PENDING|Nodes required for job are DOWN, DRAINED or reserved
"""

PBS_FULL = """\
Job Id: 12.server.site
    Job_Name = dask-worker
    job_state = Q
    Resource_List.walltime = 01:00:00
    comment = Not Running: Insufficient amount of resource: ncpus

Job Id: 13.server.site
    job_state = R
Job Id: 14.server.site
    job_state = Q
    comment = Can Never Run: Insufficient amount of resource: ncpus (R: 100 A:
\t 2 T: 2)
Job Id: 15.server.site
    job_state = H
Job Id:\t16
\tjob_state = C

qstat: Unknown Job Id 17.server.site
qstat: Unknown Job Id Error 18.server.site
qstat: 19.server.site Job has finished, use -x or -H to obtain historical job information
"""

SGE_TABLE = """\
job-ID  prior   name       user         state submit/start at     queue      slots ja-task-ID
---------------------------------------------------------------------------------------------
     12 0.50000 dask-worke me           qw    11/23/2026 16:42:50                1
     13 0.75000 dask-worke me           r     11/23/2026 16:42:50 all.q@vm       1
     14 0.50000 dask-worke me           Eqw   11/23/2026 16:42:50                1
     15 0.00000 dask-worke me           hqw   11/23/2026 16:42:50                1
"""

LSF_COLUMNS = """\
12|PEND|New job is waiting for scheduling
13|RUN|-
15|PSUSP|The job was suspended by the user while pending
16|EXIT|-
Job <17> is not found
"""

CONDOR = """\
12.0 1 undefined
13.0 2 undefined
15.0 5 The job attribute PeriodicHold expression evaluated to TRUE
16.0 4
"""

OAR_FULL = """\
Job_Id: 12
    job_array_id = 12
    state = Waiting
    wanted_resources = -l "{type = 'default'}/resource_id=1,walltime=2:0:0"
    message = R=1,W=2:0:0,J=B (Karma=0.000,quota_ok)
    events =

Job_Id: 13
    state = Running
    message = FIFO scheduling OK
    events =

Job_Id: 15
    state = Hold
    message = R=1
    events =

Job_Id: 16
    state = Error
    message = R=1
    events =\x20
2026-11-23 16:44:06> OUTPUT_FILES:[bipbip 3] Cannot create .stdout and .stderr files

"""

SAID: list[tuple[type[JobQueue], str, dict[str, str]]] = [
    (
        Slurm,
        SLURM,
        {
            "12": "PENDING: Resources",
            "13": "RUNNING",
            "14": "PENDING: PartitionTimeLimit: never",
            "15": "PENDING: JobHeldUser: never",
            "16": "FAILED: NonZeroExitCode: gone",
            "17": "PENDING: launch failed requeued held: never",
            "18": "PENDING: Nodes required for job are DOWN, DRAINED or reserved",
        },
    ),
    (
        PBS,
        PBS_FULL,
        {
            "12": "queued: Not Running: Insufficient amount of resource: ncpus",
            "13": "running",
            "14": "queued: Can Never Run: Insufficient amount of resource: "
            "ncpus (R: 100 A:2 T: 2): never",
            "15": "held: never",
            "16": "C: gone",
            "17": "gone: gone",
            "18": "gone: gone",
            "19": "gone: gone",
        },
    ),
    (
        SGE,
        SGE_TABLE,
        {
            "12": "qw",
            "13": "r",
            "14": "Eqw: `qstat -j` says why it could not be started: never",
            "15": "hqw: held: never",
        },
    ),
    (
        LSF,
        LSF_COLUMNS,
        {
            "12": "PEND: New job is waiting for scheduling",
            "13": "RUN",
            "15": "PSUSP: The job was suspended by the user while pending: never",
            "16": "EXIT: gone",
            "17": "gone: gone",
        },
    ),
    (
        HTCondor,
        CONDOR,
        {
            "12.0": "idle",
            "13.0": "running",
            "15.0": "held: The job attribute PeriodicHold expression evaluated to TRUE: never",
            "16.0": "completed: gone",
        },
    ),
    (
        OAR,
        OAR_FULL,
        {
            "12": "Waiting: R=1,W=2:0:0,J=B (Karma=0.000,quota_ok)",
            "13": "Running: FIFO scheduling OK",
            "15": "Hold: R=1: never",
            "16": "Error: 2026-11-23 16:44:06> OUTPUT_FILES:[bipbip 3] "
            "Cannot create .stdout and .stderr files: gone",
        },
    ),
]


@pytest.mark.parametrize(
    ("recipe", "output", "states"), SAID, ids=lambda v: getattr(v, "CONFIG", "")
)
def test_an_answer_is_understood(
    recipe: type[JobQueue], output: str, states: dict[str, str]
) -> None:
    """
    Which jobs wait, and why; which are gone, and which never can run.
    """
    assert recipe.QUESTION is not None
    read = {
        job_id: f"{state}{': gone' * state.gone}{': never' * state.hopeless}"
        for job_id, state in recipe.QUESTION.read(output).items()
    }
    assert read == states
    assert recipe.QUESTION.read("") == {}


def test_moab_is_asked_as_the_torque_behind_it() -> None:
    """
    In the words of PBS.
    """
    assert Moab.QUESTION is PBS.QUESTION


@pytest.mark.parametrize("recipe", [Slurm, SGE, PBS, LSF, HTCondor, OAR])
def test_a_question_begins_with_a_command(recipe: Callable[..., JobQueue]) -> None:
    """
    And names the jobs, or the user they are of.
    """
    question = recipe(1).QUESTION
    assert question is not None
    command, *arguments = question.command(["12", "13"])
    assert command in {"squeue", "qstat", "bjobs", "condor_q", "oarstat"}
    assert any("12" in argument for argument in arguments) or question.names_all
