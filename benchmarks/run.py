"""How fast it is, as a table: `python benchmarks/run.py [--only NAME] [--rounds N] [--strict]`.

Every figure is a comparison; `pairs.py` says how they come about and `rows.py` what is compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from environment import python_with_other_libraries
from pairs import Pair, median_difference, median_ratio
from rich.console import Console
from rich.table import Table
from rows import ROWS, Row

HERE = Path(__file__).parent
LEAST_ROUNDS = 5
UNITS = {"ms": 1e3, "us": 1e6, "ns": 1e9, "KiB": 1}
"""How many of each are in a second, or in a KiB."""


@dataclass(frozen=True)
class Result:
    """A row with its figures."""

    row: Row
    pairs: list[Pair]

    @property
    def figure(self) -> float:
        """What the row is judged by."""
        if self.row.compared == "ratio":
            return median_ratio(self.pairs)
        return median_difference(self.pairs) * UNITS[self.row.unit] / self.row.per

    @property
    def passed(self) -> bool:
        """Whether the figure keeps the bound."""
        at_most = self.row.at_most
        return self.figure < at_most if self.row.strictly else self.figure <= at_most


def main() -> None:
    """Measure what is asked for, show it, and say with the exit code whether that worked."""
    options = parsed()
    results = [measured(row, options.rounds) for row in ROWS if row.name in options.only]
    # Wide enough for a log file, where rich would assume 80 columns.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table(results))
    missed = [result.row.name for result in results if not result.passed]
    if missed:
        console.print(f"Missed: {', '.join(missed)}")
    sys.exit(1 if missed and options.strict else 0)


def parsed() -> Namespace:
    names = [row.name for row in ROWS]
    parser = ArgumentParser(description="Measure us against what does the same, in turn.")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=7, help="pairs per row, at least 5")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a bound is missed")
    options = parser.parse_args()
    if options.rounds < LEAST_ROUNDS:
        parser.error(
            f"--rounds {options.rounds}: a median of fewer than {LEAST_ROUNDS} says little"
        )
    return options


def measured(row: Row, rounds: int) -> Result:
    """Measure a row in a process of its own."""
    print(f"Measuring {row.name} ...", file=sys.stderr)
    python = python_with_other_libraries() if row.other_libraries else sys.executable
    done = subprocess.run(
        [python, HERE / "measure.py", *row.function.split("."), str(rounds)],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HERE.parent / "src")},
    )
    return Result(row, [Pair(*figures) for figures in json.loads(done.stdout)])


def table(results: list[Result]) -> Table:
    lines = Table(title="Median of pairs, measured in turn")
    for heading in ("name", "what", "against"):
        lines.add_column(heading, overflow="fold")
    for heading in ("ours", "theirs", "ratio", "at most", ""):
        lines.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        lines.add_row(*cells(result))
    return lines


def cells(result: Result) -> list[str]:
    row = result.row
    ours = median(pair.ours for pair in result.pairs)
    theirs = median(pair.theirs for pair in result.pairs)
    return [
        row.name,
        row.what,
        row.against,
        shown(ours, row),
        shown(theirs, row),
        compared(result.figure, row),
        f"{'< ' if row.strictly else ''}{compared(row.at_most, row)}",
        "[green]pass[/]" if result.passed else "[red]fail[/]",
    ]


def shown(figure: float, row: Row) -> str:
    return f"{figure * UNITS[row.unit] / row.per:.4g} {row.unit}"


def compared(figure: float, row: Row) -> str:
    return f"{figure:.2f} x" if row.compared == "ratio" else f"{figure:+.2f} {row.unit}"


if __name__ == "__main__":
    main()
