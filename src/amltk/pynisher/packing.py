"""Pickling what goes to the process of a limited call and back."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler

from amltk.backends.payload import Packed

__all__ = ["dumps"]


def dumps(what: object) -> Packed:
    """Pickle something by name; or else by value, where cloudpickle is installed.

    Workers of loky and Dask get functions of the program itself by value, with their classes. There
    is no name by which another process would find these.
    """
    try:
        return ForkingPickler.dumps(what)
    except Exception:
        try:
            import cloudpickle  # noqa: PLC0415
        except ImportError:
            pass
        else:
            return cloudpickle.dumps(what)
        raise
