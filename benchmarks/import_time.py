"""How long the import takes, in an interpreter that has imported nothing yet."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

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
    # The figures are small and starting an interpreter is a noisy thing: three times the rounds.
    return in_turn(partial(import_time, OURS), partial(import_time, THEIRS), 3 * rounds)


def import_time(modules: str) -> float:
    """Seconds that the imports took, without the start of the interpreter."""
    program = PROGRAM.format(modules=modules)
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return float(done.stdout)
