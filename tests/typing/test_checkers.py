"""Five type checkers, each on what it has to accept and on what it has to refuse."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ACCEPTED = ROOT / "tests" / "typing" / "accepted.py"
REFUSED = ROOT / "tests" / "typing" / "refused.py"
MARKER = re.compile(r"  # type: ignore\[[a-z-]+(?:, [a-z-]+)*\](?:  # not (\w+))?$")
CONFIG = str(ROOT / "pyproject.toml")
PYTHON = sys.executable
COMMANDS = {
    "mypy": f"mypy --config-file {CONFIG}",
    "pyright": f"pyright --pythonpath {PYTHON}",
    "basedpyright": f"basedpyright --pythonpath {PYTHON}",
    "pyrefly": f"pyrefly check -c {CONFIG} --python-interpreter-path {PYTHON} "
    "--output-format min-text --min-severity warn",
    "ty": f"ty check --project {ROOT} --python {PYTHON} --output-format concise",
}

every_checker = pytest.mark.parametrize("checker", COMMANDS)


def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment on the sources of this checkout, whatever is installed."""
    name, *options = shlex.split(command)
    program = Path(sysconfig.get_path("scripts")) / name
    assert program.exists(), f"{name} is not installed: it is one of the `dev` dependencies."
    return subprocess.run(
        [program, *options, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def lines_reported(output: str, file: Path) -> set[int]:
    """The lines of a file for which a checker has something to say."""
    return {int(line) for line in re.findall(rf"{file.name}:(\d+)", output)}


@every_checker
def test_right_uses_are_accepted(checker: str) -> None:
    """What is right gives neither an error nor a warning, in strict mode."""
    done = run(COMMANDS[checker], str(ACCEPTED))
    assert done.returncode == 0, done.stdout + done.stderr


@every_checker
def test_wrong_uses_are_refused(checker: str, tmp_path: Path) -> None:
    """With its ignores taken away, exactly the lines that had one are errors."""
    lines = REFUSED.read_text().splitlines()
    marks = {number: MARKER.search(line) for number, line in enumerate(lines, 1)}
    bare = tmp_path / "bare.py"
    bare.write_text("\n".join(MARKER.sub("", line) for line in lines) + "\n")

    reported = lines_reported(run(COMMANDS[checker], str(bare)).stdout, bare)

    wrong = {number for number, mark in marks.items() if mark and mark[1] != checker}
    assert len(wrong) > 150
    assert {n: lines[n - 1] for n in wrong ^ reported} == {}


def test_the_ignores_are_needed() -> None:
    """What mypy refuses it refuses for the reason that stands there."""
    done = run(COMMANDS["mypy"], str(REFUSED))
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_public_has_a_type() -> None:
    """Users see no unknown type, whatever of the library they touch."""
    done = run(f"{COMMANDS['pyright']} --verifytypes amltk --ignoreexternal")
    assert str(ROOT / "src" / "amltk") in done.stdout
    assert done.returncode == 0, done.stdout
