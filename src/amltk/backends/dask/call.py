"""A call on its way to a Dask cluster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import distributed

__all__ = ["DaskCall", "Remote"]

Remote: TypeAlias = distributed.Future[bytes | None]
"""Dask's own future of a call."""


@dataclass(slots=True, eq=False)
class DaskCall:
    """A call that somebody waits for."""

    future: Future[Any]
    """Where its outcome goes."""
    name: str
    """What its function is called."""
    number: int
    """Which call of its executor it is."""
    packed: bytes
    """What is sent."""
    needs: Sequence[distributed.Future[object]]
    """Those futures of Dask whose values it was given."""
    times_sent: int = 0
    """How often it was sent."""
    remote: Remote | None = None
    """What Dask has of it."""

    def key(self, executor: str) -> str:
        """What Dask is to call it; the dashboard groups calls by the name of the function."""
        name = re.sub(r"\W+", "_", self.name).strip("_0123456789") or "call"
        return f"{name}-{executor}-{self.number}-{self.times_sent}"

    def settle(self, error: BaseException | None, result: object = None) -> None:
        """Give the future its outcome, unless it was cancelled meanwhile."""
        with suppress(InvalidStateError):
            if error is None:
                self.future.set_result(result)
            else:
                self.future.set_exception(error)
