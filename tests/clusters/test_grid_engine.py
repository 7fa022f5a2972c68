"""What Grid Engine has to be asked for, and others do by themselves."""

from __future__ import annotations

import pytest

from amltk.exceptions import ExecutorBrokenError
from tests.clusters.bed import Bed
from tests.clusters.test_work import run_one_call


@pytest.mark.parametrize("bed", ["sge"], indirect=True)
def test_a_job_that_never_can_run_is_refused_if_it_is_asked_to(cluster: Bed) -> None:
    """
    With `-w e`, as the documentation says; without it such a job waits.
    """
    with pytest.raises(ExecutorBrokenError, match=r"(?s)has not taken a job: .*no suitable queues"):
        run_one_call(cluster, resource_spec="arch=nowhere", job_extra_directives=["-w e"])
