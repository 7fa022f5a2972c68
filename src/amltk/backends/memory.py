"""Amounts of memory as text, and what dask understands by them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

__all__ = ["bytes_in", "is_enough"]

LEAST = 1 << 20
"""Bytes; who says less has forgotten the unit."""

UNITS: Mapping[str, int] = {
    "": 1,
    "b": 1,
    **{
        f"{prefix}{end}": (1024 if "i" in end else 1000) ** power
        for power, prefix in enumerate("kmgtp", start=1)
        for end in ("", "b", "i", "ib")
    },
}
"""What units of memory mean to dask: `k` and `kB` are a thousand, `Ki` and `KiB` are 1024."""

AMOUNT = re.compile(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?([a-z]*)", re.IGNORECASE)


def bytes_in(text: str) -> int:
    """The number of bytes that a text such as "6 GB" means to dask.

    Raises:
        ValueError: If it means none.
    """
    found = AMOUNT.fullmatch(text.replace(" ", ""))
    unit = UNITS.get(found[3].lower()) if found else None
    if found is None or unit is None:
        raise ValueError(f"{text!r} is no amount of memory")
    amount = float(found[1] + (found[2] or "")) * unit
    if not math.isfinite(amount):
        raise ValueError(f"{text!r} is too much")
    return int(amount)


def is_enough(text: str) -> bool:
    """Whether this is an amount of memory that a worker could do with."""
    try:
        return bytes_in(text) >= LEAST
    except ValueError:
        return False
