"""The DAG with which Airflow computes calls for amltk: each of its runs computes one.

Airflow's side needs no amltk. This file is complete in itself; the Python of Airflow's workers runs
it, which needs `cloudpickle` and `fsspec`, and for storage such as `s3://` the package for that
file system. `python -m amltk.airflow install-dag DIRECTORY` puts a copy where Airflow finds it.
In that copy you may give the task a queue, a pool or an executor of Airflow's.

A call is in a box, a directory of the storage. A run is told where it is, and finds there

    call      the function and its arguments; it is not there if the call was cancelled
    started   made by the attempt that computes the call, and by no second one
    outcome   what came of it; complete as soon as it is there

Whoever can write to that storage, or start runs of this DAG, can have Airflow run their code.
"""

from __future__ import annotations

import os
import pickle
import platform
import traceback
from datetime import timedelta
from typing import TypeAlias

import cloudpickle
import fsspec
from airflow.sdk import dag, get_current_context, task

try:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
except ImportError:  # the first versions of Airflow 3
    from airflow.exceptions import AirflowFailException, AirflowSkipException

__all__ = ["DAG_ID", "PROTOCOL", "Box", "Outcome", "outcome_of"]

DAG_ID = "amltk"
"""What the recipe calls `dag_id`: a second copy of this file needs another one."""

PROTOCOL = "amltk-protocol-1"
"""What amltk and this file agree on, as a tag, by which amltk knows whether it is too old."""

CODE = b"_make_function"
"""What is in the bytes of a call that has the code of a function in it, instead of its name."""

Outcome: TypeAlias = tuple[str, bytes, str]
"""`("result", its bytes, "")`, `("raised", the bytes of the exception, its traceback)`, or
`("unsendable", why, the traceback)`."""


class Box:
    """The files of one call.

    Args:
        uri: Where it is.
    """

    def __init__(self, uri: str) -> None:
        self._files, self._path = fsspec.url_to_fs(uri)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return self._files.exists(f"{self._path}/{name}")

    def read(self, name: str) -> bytes:
        """What is in a file."""
        return self._files.cat_file(f"{self._path}/{name}")

    def claim(self, name: str, content: bytes) -> bool:
        """Make a file unless it is there, and say whether it was made here."""
        path = f"{self._path}/{name}"
        try:
            with self._files.open(path, "xb") as file:
                file.write(content)
        except FileExistsError:
            return False
        except (NotImplementedError, ValueError):  # this storage cannot look and write in one step
            if self.has(name):
                return False
            self._files.pipe_file(path, content)
        return True

    def write(self, name: str, content: bytes) -> None:
        """Make a file that is complete as soon as it is there."""
        path = f"{self._path}/{name}"
        self._files.pipe_file(f"{path}.part", content)
        self._files.mv(f"{path}.part", path)


def outcome_of(packed_call: bytes, python: str) -> Outcome:
    """Compute a call.

    Args:
        packed_call: The function, its positional and its keyword arguments, pickled.
        python: The version of the Python that pickled them, such as `"3.11"`.
    """
    if python != python_version() and CODE in packed_call:
        return unsendable(
            f"The call has code of Python {python} in it, which Airflow's workers cannot read: "
            f"theirs is {python_version()}. Use the same on both sides, or put the function into "
            "a module that can be imported there."
        )
    try:
        function, args, kwargs = pickle.loads(packed_call)
    except BaseException as error:  # noqa: BLE001
        return unsendable(
            f"A worker of Airflow cannot unpickle the call it got: {said(error)}. What the call "
            "needs has to be importable there.",
            error,
        )
    try:
        result = function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001
        return raised(error)
    return returned(result)


def returned(result: object) -> Outcome:
    """The outcome of a call that returned something."""
    try:
        return "result", cloudpickle.dumps(result), ""
    except BaseException as error:  # noqa: BLE001
        kind = type(result).__qualname__
        return unsendable(
            f"Cannot send back what the call returned, a {kind}: {said(error)}. Return something "
            "that can be pickled.",
            error,
        )


def raised(error: BaseException) -> Outcome:
    """The outcome of a call that raised something."""
    try:
        packed = cloudpickle.dumps(error)
        if type(pickle.loads(packed)) is type(error):
            return "raised", packed, traced(error)
        reason = "it would arrive as something else"
    except BaseException as failure:  # noqa: BLE001 - many can be pickled, and not unpickled
        reason = said(failure)
    return unsendable(
        f"The call raised {said(error)}. The exception itself cannot be sent back: {reason}. "
        "What it passes to `Exception.__init__` has to be what its own `__init__` takes.",
        error,
    )


def unsendable(why: str, error: BaseException | None = None) -> Outcome:
    """The outcome of a call of which something cannot be pickled, or cannot be unpickled."""
    return "unsendable", why.encode(), "" if error is None else traced(error)


def traced(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except BaseException as failure:  # noqa: BLE001 - its `__str__` is code of somebody else
        return f"{type(error).__qualname__}, whose traceback cannot be shown: {failure!r}"


def said(error: BaseException) -> str:
    """An exception in a line; whatever its own `__str__` does."""
    try:
        return f"{type(error).__qualname__}: {error}"
    except BaseException:  # noqa: BLE001
        return type(error).__qualname__


def python_version() -> str:
    """The version of Python that runs this, as far as code depends on it."""
    return ".".join(platform.python_version_tuple()[:2])


# An attempt that did not get as far as the call is repeated; one that did is not, see below.
@task(task_id="call", retries=2, retry_delay=timedelta(seconds=1))
def compute() -> None:
    """Compute the call of this run, unless an earlier attempt has begun to."""
    conf = get_current_context()["dag_run"].conf or {}
    box = Box(conf["box"])
    try:
        packed_call = box.read("call")
    except FileNotFoundError as error:
        raise AirflowSkipException(
            f"There is no call at {conf['box']}: either it was cancelled, or this worker does not "
            "see the storage that the call was put into."
        ) from error
    if not box.claim("started", f"{platform.node()}, process {os.getpid()}".encode()):
        if box.has("outcome"):
            return
        raise AirflowFailException("An earlier attempt began to compute this call and did not end.")
    outcome = outcome_of(packed_call, conf["python"])
    if box.has("call"):  # nobody has cancelled it meanwhile
        box.write("outcome", pickle.dumps(outcome))
    if outcome[2]:  # the run is shown as failed; amltk goes by the outcome
        raise AirflowFailException(outcome[2])


@dag(
    DAG_ID,
    schedule=None,
    catchup=False,
    max_active_runs=1000,
    max_active_tasks=1000,
    max_consecutive_failed_dag_runs=0,
    is_paused_upon_creation=False,
    tags=["amltk", PROTOCOL],
    doc_md=__doc__,
)
def amltk() -> None:
    """One call of a function."""
    compute()


amltk()
