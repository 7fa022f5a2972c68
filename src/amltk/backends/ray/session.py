"""The one Ray that this process is connected to, and how many use it.

A process can be connected to Ray once. So whoever wants the same one shares it, and the last one
to leave disconnects, unless it was the program itself that called `ray.init`.
"""

from __future__ import annotations

import os
import socket
import threading
from ipaddress import ip_address

import ray

from amltk.backends.ray.attempt import require_reachable
from amltk.backends.ray.connecting import connection_for
from amltk.backends.ray.keeper import Keeper
from amltk.backends.ray.listening import listens
from amltk.backends.ray.recipe import Ray, local_size
from amltk.exceptions import BackendUnavailableError

__all__ = ["Session", "hold"]

lock: threading.RLock = threading.RLock()
"""Held by whoever looks at, or changes, who uses Ray."""


class Session:
    """A connection to Ray that several may use.

    Args:
        recipe: Which Ray it is, as whoever came first has said; `None` if the program itself has
            connected to it.
        keeper: Who disconnects; `None` if that is up to the program.
    """

    def __init__(self, recipe: Ray | None = None, keeper: Keeper | None = None) -> None:
        self._recipe = recipe
        self._keeper = keeper
        self._n_users = 0
        self._process = os.getpid()
        context = ray.get_runtime_context()
        self._me = context.get_worker_id()
        self.node: str = context.get_node_id()
        """The id of the node that this process is on."""
        self._address = context.gcs_address

    def is_there(self) -> bool:
        """Whether this is what the process is connected to, and can be used."""
        if os.getpid() != self._process or not ray.is_initialized():
            return False
        if self._keeper is not None and not self._keeper.is_there():
            return False
        return ray.get_runtime_context().get_worker_id() == self._me

    def answers(self) -> bool:
        """Whether it can be asked something now; see `listens`.

        If nothing is there any more, Ray would start another one in order to answer.
        """
        return self.is_there() and listens(self._address)

    def admit(self, recipe: Ray) -> None:
        """Let somebody else use it.

        Raises:
            BackendUnavailableError: If they want another Ray.
        """
        why = self._unlike(recipe)
        if why is not None:
            raise BackendUnavailableError(
                f"This process is connected to the Ray at {self._address}, and can be connected to "
                f"one at a time: {why}. Wait until it is not used any more, or use the same."
            )
        self._n_users += 1

    def ends_if_left_now(self) -> bool:
        """End a local Ray with all its calls, unless somebody else uses it; whether that was so."""
        with lock:
            if self._keeper is None or not self.is_alone():
                return False
            self._keeper.leave()
            return True

    def is_alone(self) -> bool:
        """Whether nobody else can use this Ray: it was started for the one who asks."""
        return self._is_local() and self._n_users == 1

    def release(self) -> None:
        """Stop using it; when the last one does, it is disconnected when this returns."""
        with lock:
            self._n_users -= 1
            if self._n_users or self._keeper is None:
                return
            self._keeper.leave()
        self._keeper.close()

    def _is_local(self) -> bool:
        return self._recipe is not None and self._recipe.address == "local"

    def _unlike(self, recipe: Ray) -> str | None:
        """Why this is not the Ray that somebody wants, if it is not."""
        if recipe.address == "local":
            return self._unlike_local(recipe)
        if self._is_local():
            return f"it was started for another run, and {recipe.address!r} means another one"
        if recipe.address != "auto" and not is_same_place(recipe.address, self._address):
            return f"{recipe.address!r} is another one"
        return None

    def _unlike_local(self, recipe: Ray) -> str | None:
        size = local_size(recipe)
        if self._recipe is None:
            says_nothing = all(value is None for value in size.values())
            return None if says_nothing else "how big it is, the program has said in `ray.init`"
        if self._recipe.address != "local":
            return "no local one can be started beside it"
        is_as_big = size == local_size(self._recipe)
        return None if is_as_big else "it was started for another run, with another size"


class Shared:
    """What this process is connected to."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._keeper: Keeper | None = None
        self._is_in_a_fork = False
        os.register_at_fork(after_in_child=self._forked)

    def hold(self, recipe: Ray) -> Session:
        """Use the Ray that a recipe names."""
        if self._is_in_a_fork:
            raise BackendUnavailableError(
                "This process is a fork of one that was connected to Ray, and Ray cannot be used in "
                'forks. Start it in another way, for instance with mp_context="spawn".'
            )
        with lock:
            session = self._session
            if session is None or not session.is_there():
                session = self._session = self._connected(recipe)
            session.admit(recipe)
            return session

    def _forked(self) -> None:
        self._is_in_a_fork = self._is_in_a_fork or ray.is_initialized()

    def _connected(self, recipe: Ray) -> Session:
        if self._keeper is not None:
            self._keeper.close()  # it may still be about to disconnect
        if ray.is_initialized():
            return Session()
        if recipe.address != "local":
            require_reachable(recipe.address, recipe.timeout)
        self._keeper = Keeper(connection_for(recipe))
        self._keeper.wait_for_ray(recipe.timeout)
        return Session(recipe, self._keeper)


shared: Shared = Shared()


def hold(recipe: Ray) -> Session:
    """Use the Ray that a recipe names, until it is released.

    Raises:
        BackendUnavailableError: If it cannot be used.
    """
    return shared.hold(recipe)


def is_same_place(address: str, other: str) -> bool:
    """Whether two addresses are those of the same Ray, as far as names tell."""
    (host, _, port), (other_host, _, other_port) = address.rpartition(":"), other.rpartition(":")
    return port == other_port and (is_here(host) or bool(ips_of(host) & ips_of(other_host)))


def is_here(host: str) -> bool:
    """Whether it says this machine; Ray puts its address in the network in place of that."""
    return any(ip_address(ip).is_loopback for ip in ips_of(host))


def ips_of(host: str) -> set[str]:
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(host.strip("[]"), None)}
    except OSError:
        return set()
