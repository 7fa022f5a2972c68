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
"""For which Python and with which versions it was made, so that a change of them is noticed."""

PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")


def python_with_other_libraries() -> Path:
    """The interpreter of the environment, which is made if it is missing or out of date."""
    python = ENVIRONMENT / "bin" / "python"
    wanted = f"{sys.version}\n{WANTED.read_text()}"
    if not INSTALLED.exists() or INSTALLED.read_text() != wanted:
        print(f"Making {ENVIRONMENT.name} with what is compared ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        subprocess.run([python, *PIP, "install", "-r", WANTED], check=True)
        INSTALLED.write_text(wanted)
    return python
