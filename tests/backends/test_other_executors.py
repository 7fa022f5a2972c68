"""Executors of other projects that users bring along: each simply works."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import amltk

PROGRAM = """
import json

from amltk import Scheduler
{imports}

if __name__ == "__main__":
    scheduler = Scheduler({executor})
    powers = scheduler.task(pow)
    results, errors = [], []
    scheduler.on_start(lambda: [powers(2, n) for n in range(5)] + [powers(0, -1)])
    powers.on_result.add(lambda _, result: results.append(result))
    powers.on_exception.add(lambda _, error: errors.append(type(error).__name__))
    ended = scheduler.run(on_exception="ignore")
    print("said", json.dumps([sorted(results), errors, ended.code.name]))
"""

PARSL_IMPORTS = """
from parsl.concurrent import ParslPoolExecutor
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
"""

PARSL = """ParslPoolExecutor(Config(
    executors=[HighThroughputExecutor(
        max_workers_per_node=1, address="127.0.0.1", loopback_address="127.0.0.1"
    )],
    run_dir="parsl",
    usage_tracking=0,
))"""

EXECUTORS: Mapping[str, tuple[str, str]] = {
    "mpi4py": ("from mpi4py.futures import MPIPoolExecutor", "MPIPoolExecutor(2)"),
    "executorlib": (
        "from executorlib import SingleNodeExecutor",
        "SingleNodeExecutor(max_workers=2)",
    ),
    "parsl": (PARSL_IMPORTS, PARSL),
}
"""Their packages, and a program's imports and the executor."""


@pytest.mark.timeout(120)  # they take their time to start
@pytest.mark.parametrize("package", EXECUTORS)
def test_an_executor_of_another_project_works(package: str, tmp_path: Path) -> None:
    """
    Results, exceptions and the end of a run are what they are everywhere.
    """
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    imports, executor = EXECUTORS[package]
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(imports=imports, executor=executor))
    source = Path(amltk.__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(source),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # for their commands
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = [line for line in ended.stdout.splitlines() if line.startswith("said ")]
    assert said, ended.stdout + ended.stderr
    outcome = json.loads(said[0].removeprefix("said "))
    assert outcome == [[1, 2, 4, 8, 16], ["ZeroDivisionError"], "EXHAUSTED"]
    assert ended.returncode == 0
