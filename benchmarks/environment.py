"""The benchmark's own environment, with the libraries that nothing else here needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["python_with_other_libraries"]

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent / ".venv-bench"
WANTED = HERE / "requirements.txt"
INSTALLED = ENVIRONMENT / "installed.txt"
"""What was installed, so that a change of the versions is noticed."""


def python_with_other_libraries() -> Path:
    """The interpreter of the environment, which is made if it is missing or out of date."""
    python = ENVIRONMENT / "bin" / "python"
    if not INSTALLED.exists() or INSTALLED.read_text() != WANTED.read_text():
        print(f"Making {ENVIRONMENT.name} with what is compared ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        install: list[str | Path] = [
            python,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--quiet",
            "install",
        ]
        subprocess.run([*install, "-r", WANTED], check=True)
        INSTALLED.write_text(WANTED.read_text())
    return python
