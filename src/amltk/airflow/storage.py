"""Where calls and their outcomes lie while they travel: a directory that Airflow's workers see, too.

Each executor has a directory of its own in it, and in that a box for each call. `dag.py` says what
is in a box.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import fsspec

from amltk.exceptions import BackendNotInstalledError, BackendUnavailableError

__all__ = ["NOTHING", "Found", "Storage"]


class Found(NamedTuple):
    """What is in the box of a call."""

    outcome: bytes | None
    """What came of the call, if that is there."""
    started: str | None
    """Who began to compute it, if somebody did."""


NOTHING = Found(None, None)
"""What is in the box of a call that nobody has begun, and where there is no box."""


class Storage:
    """The directory of one executor.

    Args:
        uri: The storage it is in: a path, or a URI such as `s3://bucket/calls`.
        name: Its name.
        seen_as: The storage as Airflow's workers know it, if not by the same URI.
        options: What the file system is opened with.

    Raises:
        BackendNotInstalledError: If a package is missing for this kind of storage.
        BackendUnavailableError: If it cannot be written to.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        *,
        seen_as: str | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self._seen_as = f"{(seen_as or uri).rstrip('/')}/{name}"
        try:
            self._files, root = fsspec.url_to_fs(uri, **(options or {}))
            self._path = f"{root.rstrip('/')}/{name}"
            self._try_out()
        except ImportError as error:
            raise BackendNotInstalledError(
                f"The storage {uri!r} needs a package that cannot be imported: {error}"
            ) from error
        except Exception as error:
            raise BackendUnavailableError(
                f"Cannot write to the storage {uri!r}: {type(error).__name__}: {error}"
            ) from error

    def put(self, key: str, packed_call: bytes) -> str:
        """Make a box with a call in it.

        Returns:
            Its URI, as Airflow's workers know it.
        """
        self._files.makedirs(f"{self._path}/{key}", exist_ok=True)
        self._files.pipe_file(f"{self._path}/{key}/call", packed_call)
        return f"{self._seen_as}/{key}"

    def look(self, key: str) -> Found:
        """See what there is in a box."""
        outcome = self._read(f"{key}/outcome")
        started = self._read(f"{key}/started") if outcome is None else None
        return Found(outcome, None if started is None else started.decode(errors="replace"))

    def remove(self, key: str) -> None:
        """Take a box away, so that nobody computes its call any more."""
        with suppress(Exception):  # it goes with the directory, later
            self._files.rm(f"{self._path}/{key}", recursive=True)

    def close(self) -> None:
        """Take the directory away, with all that is in it.

        Raises:
            Exception: Whatever the file system has to say if it cannot.
        """
        with suppress(FileNotFoundError):
            self._files.rm(self._path, recursive=True)

    def _try_out(self) -> None:
        try:
            self.put("probe", b"")
            self._files.rm(f"{self._path}/probe", recursive=True)
        except BaseException:
            with suppress(Exception):
                self.close()
            raise

    def _read(self, name: str) -> bytes | None:
        try:
            return self._files.cat_file(f"{self._path}/{name}")
        except FileNotFoundError:
            return None
