"""Cluster managers: jobs whose workers connect back to this program, through dask-jobqueue."""

from amltk.backends.jobqueue.base import JobQueue
from amltk.backends.jobqueue.htcondor import HTCondor
from amltk.backends.jobqueue.lsf import LSF
from amltk.backends.jobqueue.moab import Moab
from amltk.backends.jobqueue.oar import OAR
from amltk.backends.jobqueue.pbs import PBS
from amltk.backends.jobqueue.sge import SGE
from amltk.backends.jobqueue.slurm import Slurm

__all__ = ["LSF", "OAR", "PBS", "SGE", "HTCondor", "JobQueue", "Moab", "Slurm"]
