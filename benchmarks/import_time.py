"""How long the import takes, in an interpreter that has imported nothing yet.

Both sides find their bytecode in the same fresh cache, which the round that does not count fills:
otherwise an installed library, compiled by its installer, would be compared to source code.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from tempfile import TemporaryDirectory

from pairs import Pair, in_turn

OURS = "amltk"
THEIRS = "asyncio, concurrent.futures.process"

PROGRAM = """
from time import perf_counter
begin = perf_counter()
import {modules}
print(perf_counter() - begin)
"""


def fresh_import(rounds: int) -> list[Pair]:
    with TemporaryDirectory() as cache:
        # A fresh interpreter is a noisy thing, and these are quick: three times the rounds.
        return in_turn(
            partial(import_time, OURS, cache), partial(import_time, THEIRS, cache), 3 * rounds
        )


def import_time(modules: str, bytecode: str) -> float:
    """Seconds that the imports took, without the start of the interpreter."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    program = PROGRAM.format(modules=modules)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return float(done.stdout)
