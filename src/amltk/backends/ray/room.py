"""How many workers Ray has room for, and what it is told of each.

For a worker that fits on no node Ray waits without end, since somebody might add one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

import ray
from typing_extensions import TypedDict

from amltk.backends.ray.recipe import Ray
from amltk.exceptions import BackendUnavailableError

__all__ = ["Room", "WorkerOptions", "require_room", "worker_options"]

AHEAD = 100
"""Workers that are asked for in advance when nodes may be added for them."""

logger: logging.Logger = logging.getLogger("amltk")


class WorkerOptions(TypedDict, total=False, closed=True):
    """What Ray is told of a worker."""

    num_cpus: float
    num_gpus: float
    memory: int
    resources: dict[str, float]
    runtime_env: dict[str, object]


def worker_options(recipe: Ray) -> WorkerOptions:
    """What a worker asks for, which is what each call does."""
    options = WorkerOptions(num_cpus=recipe.num_cpus)
    if recipe.num_gpus:
        options["num_gpus"] = recipe.num_gpus
    if recipe.memory:
        options["memory"] = recipe.memory
    if recipe.resources:
        options["resources"] = dict(recipe.resources)
    if recipe.runtime_env:
        options["runtime_env"] = dict(recipe.runtime_env)
    return options


class Room:
    """How many workers there may be at once.

    Args:
        recipe: What each of them asks for.
    """

    def __init__(self, recipe: Ray) -> None:
        self._recipe = recipe
        self._has_warned = False
        self.limit: int = 0
        """As many as there were when somebody looked."""

    def look(self, n_placed: int, n_waiting: int) -> None:
        """Ask Ray for how many there is room.

        Args:
            n_placed: How many workers have a place.
            n_waiting: How many calls wait for one; there is a warning if no node has what they
                ask for any more.
        """
        room = room_for(self._recipe)
        if self._recipe.autoscaling:
            room = max(room, n_placed + AHEAD)
        self.limit = min(room, self._recipe.max_workers or room)
        if self.limit or self._has_warned:
            return
        self._has_warned = True
        logger.warning(
            "%d calls wait for a node of Ray that has %s, and there is none any more.",
            n_waiting,
            in_words(wanted(self._recipe)),
        )


def room_for(recipe: Ray) -> int:
    """How many workers fit on all nodes together, be they busy or not."""
    return sum(fitting(node, wanted(recipe)) for node in nodes())


def require_room(recipe: Ray) -> None:
    """Refuse calls that would wait for ever.

    Raises:
        BackendUnavailableError: If no node has what a call asks for, and none may be added.
    """
    if recipe.autoscaling or room_for(recipe):
        return
    raise BackendUnavailableError(
        f"No call would ever be computed: each asks for {in_words(wanted(recipe))}, and no node of "
        f"Ray has all of it. {in_words_of_nodes(nodes())} Ask for less, or say autoscaling=True if "
        "Ray is to wait for other nodes."
    )


def wanted(recipe: Ray) -> dict[str, float]:
    """What a call asks for, by the names that Ray has for it."""
    asked = {
        "CPU": recipe.num_cpus,
        "GPU": recipe.num_gpus,
        "memory": recipe.memory or 0,
        **(recipe.resources or {}),
    }
    return {name: amount for name, amount in asked.items() if amount}


def nodes() -> list[Mapping[str, float]]:
    """What each node has that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def fitting(node: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    """How many times a node has this; what asks for nothing has it once per CPU."""
    ratios = [node.get(name, 0) / amount for name, amount in (wanted or {"CPU": 1}).items()]
    return int(min(ratios) + 1e-6)


def in_words(resources: Mapping[str, float]) -> str:
    """Resources as one would say them."""
    return ", ".join(f"{name}: {amount:g}" for name, amount in resources.items()) or "nothing"


def in_words_of_nodes(nodes: Iterable[Mapping[str, float]]) -> str:
    """The kinds of nodes there are, without what Ray notes for itself."""
    kinds = {in_words(dict(sorted(said(node).items()))) for node in nodes}
    return f"Its nodes have {'; or '.join(sorted(kinds))}." if kinds else "It has no nodes."


def said(node: Mapping[str, float]) -> dict[str, float]:
    return {
        name: amount
        for name, amount in node.items()
        if ":" not in name and name != "object_store_memory"
    }
