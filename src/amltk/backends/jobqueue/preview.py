"""What a job looks like, without a cluster and without a manager.

This module imports distributed, so it is imported only where a job is written.
"""

from __future__ import annotations

from distributed import Security

from amltk.backends.dask import Credentials
from amltk.backends.jobqueue.base import JobQueue
from amltk.backends.jobqueue.credentials import credentials, for_jobs, protocol_for
from amltk.backends.jobqueue.managed_job import Home, configured, new_job
from amltk.backends.jobqueue.run_directory import PREFIX, shared_directory

__all__ = ["preview"]

NOT_MADE_YET = "\n"
"""What looks like a certificate that has to be written to a file."""


def preview(recipe: JobQueue) -> str:
    """The script of a job; what is not known before a run begins is in capitals."""
    directory = shared_directory(configured(recipe, "shared_temp_directory")) / f"{PREFIX}RUN"
    security = for_jobs(pretended(recipe.security), lambda name, _: str(directory / name))
    protocol = protocol_for(recipe.protocol, security)
    home = Home(f"{protocol}SCHEDULER", protocol, security, str(directory))
    return new_job(recipe, home, f"{recipe.name or 'RUN'}-w0").job_script()


def pretended(wanted: bool | Credentials) -> Security | None:
    if wanted is not True:
        return credentials(wanted)
    return Security(
        tls_ca_file=NOT_MADE_YET, tls_worker_cert=NOT_MADE_YET, tls_worker_key=NOT_MADE_YET
    )
