"""The example of a search, as it is, on a real Slurm that a file describes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clusters.bed import ROOT, SOURCE, Bed


@pytest.mark.parametrize("bed", ["slurm"], indirect=True)
def test_the_search_runs_on_slurm(cluster: Bed, tmp_path: Path) -> None:
    """
    With the file that comes with it, some seconds give a table with scores, and nothing on stderr.
    """
    shown = (ROOT / "examples" / "slurm.toml").read_text()
    file = tmp_path / "slurm.toml"
    file.write_text(f'{shown}\ninterface = "lo"\nshared_temp_directory = "{tmp_path}"\n')
    said = ["--backend", str(file), "--seconds", "4", "--workers", "2", "--no-display"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "examples/hpo.py", *said],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    scores = [float(score) for score in re.findall(r"(\d\.\d{4}) ±", done.stdout)]
    assert max(scores) > 0.5
    assert not list(tmp_path.glob(".amltk-*"))
