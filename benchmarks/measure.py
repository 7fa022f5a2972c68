"""Measure one row in this very process, and print its pairs: `measure.py MODULE FUNCTION ROUNDS`.

Each row gets a process of its own, so that none finds the heap, threads or caches of another.
"""

from __future__ import annotations

import json
import sys
from dataclasses import astuple
from importlib import import_module


def main(module: str, function: str, rounds: str) -> None:
    measure = getattr(import_module(module), function)
    pairs = measure(int(rounds))
    print(json.dumps([astuple(pair) for pair in pairs]))


if __name__ == "__main__":
    main(*sys.argv[1:])
