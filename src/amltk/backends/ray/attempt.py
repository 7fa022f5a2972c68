"""Finding out whether one can connect to a Ray cluster.

An attempt that fails takes Ray minutes, in which it writes to the terminal and cannot be
interrupted. So another process tries it first, which can be watched and ended.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import nullcontext

from amltk.exceptions import BackendUnavailableError

__all__ = ["require_reachable"]

KNOCK = 5.0
"""Seconds in which the machine of the address has to answer."""

FAILED = "Failed to"
"""What Ray says before it tries again, and will fail again."""

ATTEMPT = """
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
except BaseException as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def require_reachable(address: str, timeout: float) -> None:
    """Try whether Ray can be used there, for so many seconds.

    Raises:
        BackendUnavailableError: If it cannot.
    """
    if address != "auto":
        require_listener(address, min(KNOCK, timeout))
    why = failure(address, timeout)
    if why is not None:
        raise unavailable(address, why)


def require_listener(address: str, timeout: float) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout).close()
    except (OSError, ValueError, OverflowError) as error:  # such as a name that is none
        raise unavailable(address, f"nothing listens there ({error})") from error


def failure(address: str, timeout: float) -> str | None:
    """Why an attempt fails, if it does."""
    process = subprocess.Popen(  # noqa: S603 - this Python, and a program of ours
        [sys.executable, "-W", "ignore", "-c", ATTEMPT, address],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us
    )
    late = threading.Event()

    def give_up() -> None:
        late.set()
        process.kill()

    alarm = threading.Timer(timeout, give_up)
    alarm.start()
    try:
        said = last_words(process)
        if process.wait() == 0:
            return None
        return f"it took more than {timeout:g} seconds" if late.is_set() else said
    finally:
        alarm.cancel()
        process.kill()
        process.wait()


def last_words(process: subprocess.Popen[str]) -> str:
    """What it says before it ends; it is ended here if it says that it failed."""
    line = "it ended without a word"
    with process.stderr or nullcontext(()) as lines:
        for line in lines:
            if FAILED in line:
                process.kill()
                break
    return line


def unavailable(address: str, why: str) -> BackendUnavailableError:
    where = "of this machine" if address == "auto" else f"at {address}"
    return BackendUnavailableError(
        f"Cannot use the Ray cluster {where}: {why.strip()}. Is it running, is this machine one of "
        "its nodes, and do RAY_AUTH_MODE and RAY_AUTH_TOKEN say what it asks for? For a Ray of its "
        'own for each run, say address="local".'
    )
