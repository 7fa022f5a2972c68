"""What the DAG says became of a call, as the exception or the result that it is."""

from __future__ import annotations

import pickle
from typing import Any

from amltk.backends.payload import come_from, said
from amltk.exceptions import NotPicklableError

__all__ = ["unpack"]


def unpack(packed: bytes) -> tuple[BaseException | None, Any]:
    """The exception, or `None` and the result, that are in the file `outcome` of a box."""
    try:
        kind, value, trace = pickle.loads(packed)
        content = NotPicklableError(value.decode()) if kind == "unsendable" else pickle.loads(value)
    except BaseException as failure:  # noqa: BLE001
        unreadable = NotPicklableError(
            f"What came of the call in Airflow cannot be unpickled here: {said(failure)}. What it "
            "consists of has to be importable on this side, too."
        )
        unreadable.__cause__ = failure
        return unreadable, None
    if kind == "result":
        return None, content
    return (come_from(content, trace) if trace else content), None
