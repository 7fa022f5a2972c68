"""Calls as bytes for Dask workers, without the futures of Dask that they hold.

Where a call is given a future of Dask, as `Client.scatter` returns them, its function gets what the
future stands for. So futures are put aside when a call is packed. Dask brings their values to where
the call is computed, and there they take the place of the futures.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import IO

import cloudpickle
import distributed
from typing_extensions import TypeIs, override

from amltk.backends.dask.worker import arrived
from amltk.backends.payload import pack_call

__all__ = ["pack"]


class _Packing(cloudpickle.CloudPickler):
    """Pickles everything but futures."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.futures: list[distributed.Future[object]] = []
        """Those that were put aside."""

    @override
    def reducer_override(self, obj: object) -> object:
        if not is_future(obj):
            return super().reducer_override(obj)
        self.futures.append(obj)
        return arrived, (len(self.futures) - 1,)


def pack(
    function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[bytes, list[distributed.Future[object]]]:
    """Pickle a call, and return what was put aside as well.

    Raises:
        NotPicklableError: If the function or an argument cannot be pickled.
    """
    file = io.BytesIO()
    packing = _Packing(file)

    def dumps(call: object) -> bytes:
        packing.dump(call)
        return file.getvalue()

    return bytes(pack_call(function, args, kwargs, dumps)), packing.futures


def is_future(thing: object) -> TypeIs[distributed.Future[object]]:
    return isinstance(thing, distributed.Future)
