"""Running work on Ray: one that is started on this machine for the run, or a cluster's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import TypeIs

from amltk.backends.abilities import Abilities
from amltk.backends.base import keep_copies, needs, require_at_least_one

if TYPE_CHECKING:
    from amltk.backends.ray.executor import RayExecutor

__all__ = ["Ray"]

FINEST = 1e-4
"""The smallest part of a CPU or of another resource that Ray can give to a call."""

LEAST_STORE = 75 * 2**20
"""The least shared memory that Ray starts with, in bytes."""

OF_THEIR_OWN: Mapping[str, str] = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
"""Resources that have fields of their own, which Ray wants to be used."""


@dataclass(frozen=True, slots=True)
class Ray:
    """Ray on this machine, or a Ray cluster.

    `num_cpus`, `num_gpus`, `memory`, `resources` and `runtime_env` are what each call asks for, as
    in `ray.remote`; as many calls run at once as there is room for. How big a Ray is that the run
    starts itself is said by the fields that begin with `local_`.

    A process can be connected to one Ray at a time. If the program has called `ray.init`, that one
    is used and left as it is; and schedulers that want the same Ray at the same time share it.
    """

    abilities: ClassVar[Abilities] = Abilities(
        stops_running=True,
        survives_dead_worker=True,
        isolates_culprit=True,
        functions="by value",
        overhead=1e-4,
    )

    address: str = "local"
    """`"local"` for a Ray that is started for the run and ended with it; `"auto"` for the cluster
    that this machine belongs to, or that `RAY_ADDRESS` names; or `"host:port"` of its head."""
    num_cpus: float = 1
    """CPUs that each call asks for; it may be a part of one, or 0."""
    num_gpus: float = 0
    """GPUs that each call asks for; the call finds them in `CUDA_VISIBLE_DEVICES`."""
    memory: int | None = None
    """Bytes of memory that each call asks for. Ray keeps them free for it, and sets no limit."""
    resources: Mapping[str, float] | None = field(default=None, hash=False)
    """Other resources that each call asks for, by the names that the nodes declare."""
    runtime_env: Mapping[str, object] | None = field(default=None, hash=False)
    """The environment in which calls are computed, as Ray describes it: `env_vars`, `pip`,
    `working_dir`, ..."""
    max_workers: int | None = None
    """How many calls are computed at once, at most; as many as there is room for if `None`."""
    max_tasks_per_child: int | None = None
    """Calls after which a worker is replaced by a fresh one; never if `None`. With 1, whatever a
    call leaves behind in its process, such as memory of a GPU, is free when it is over."""
    local_cpus: int | None = None
    """CPUs of a local Ray; if `None`, as many as `max_workers` ask for, or one per core."""
    local_gpus: int | None = None
    """GPUs of a local Ray; as many as are found if `None`."""
    local_resources: Mapping[str, float] | None = field(default=None, hash=False)
    """Other resources of a local Ray, by name."""
    local_object_store: int | None = None
    """Bytes of shared memory of a local Ray, at least 75 MiB; Ray decides if `None`."""
    autoscaling: bool = False
    """Whether nodes may be added to the cluster, so that calls wait for one that has what they ask
    for. Otherwise it is an error if there is none."""
    log_to_driver: bool = False
    """Show here what calls print and what Ray has to say; otherwise it is in Ray's own files."""
    timeout: float = 60
    """Seconds that it may take to start Ray or to connect to it."""

    def __post_init__(self) -> None:
        require_address(self.address)
        require_amount("num_cpus", self.num_cpus)
        require_gpus(self.num_gpus)
        require_whole("memory", self.memory)
        require_resources("resources", self.resources)
        require_names("runtime_env", self.runtime_env)
        require_resources("local_resources", self.local_resources)
        require_at_least_one("max_workers", self.max_workers)
        require_at_least_one("max_tasks_per_child", self.max_tasks_per_child)
        require_at_least_one("local_cpus", self.local_cpus)
        require_whole("local_gpus", self.local_gpus)
        require_store(self.local_object_store)
        require_flag("autoscaling", self.autoscaling)
        require_flag("log_to_driver", self.log_to_driver)
        self._require_local()
        keep_copies(self)
        if not 0 < require_number("timeout", self.timeout) < math.inf:
            raise ValueError(f"`timeout={self.timeout}` is no time: give seconds, more than 0.")

    def open(self) -> RayExecutor:
        """Start Ray, connect to it, or use the one that this process is connected to.

        Raises:
            BackendNotInstalledError: If Ray is not installed.
            BackendUnavailableError: If it cannot be started or reached, or has no node on which a
                call would ever fit.
        """
        with needs("ray", extra="ray"):
            from amltk.backends.ray.executor import RayExecutor  # noqa: PLC0415

        return RayExecutor(self)

    def _require_local(self) -> None:
        said = [name for name, value in local_size(self).items() if value is not None]
        if self.address != "local" and said:
            raise ValueError(
                f"`{said[0]}` is about a Ray that the run starts, but `address={self.address!r}` "
                "names one that runs already. Leave one of them out."
            )


def local_size(recipe: Ray) -> dict[str, object]:
    """How big a local Ray is, by the names of the fields."""
    return {
        "local_cpus": recipe.local_cpus,
        "local_gpus": recipe.local_gpus,
        "local_resources": recipe.local_resources,
        "local_object_store": recipe.local_object_store,
    }


def require_address(address: object) -> None:
    if not isinstance(address, str):
        raise TypeError(
            f"`address={address!r}` has to be text. For Ray on this machine say 'local'; for the "
            "cluster that this machine belongs to say 'auto'."
        )
    if address in {"local", "auto"}:
        return
    if "://" in address:
        raise ValueError(
            f"`address={address!r}` is for Ray's client, which this does not use. Run the program "
            "on a node of the cluster, for instance with `ray job submit`, and say 'auto'."
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(
            f"`address={address!r}` is no address. Say 'local', 'auto', or 'host:port' of the head "
            "of a cluster; its port is 6379 if nobody chose another."
        )


def require_number(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be a number.")
    return value


def require_amount(name: str, amount: object) -> None:
    number = require_number(name, amount)
    if not 0 <= number < math.inf:
        raise ValueError(f"`{name}={amount}` cannot be negative or endless.")
    if not math.isclose(number / FINEST, round(number / FINEST), abs_tol=1e-6):
        raise ValueError(f"`{name}={amount}` is finer than Ray can count: in steps of {FINEST}.")


def require_gpus(amount: object) -> None:
    require_amount("num_gpus", amount)
    number = require_number("num_gpus", amount)
    if number > 1 and number != int(number):
        raise ValueError(
            f"`num_gpus={amount}` has to be whole, or less than 1: Ray splits one GPU only."
        )


def require_resources(field_name: str, resources: object) -> None:
    for name, amount in require_names(field_name, resources).items():
        if name in OF_THEIR_OWN:
            own = OF_THEIR_OWN[name]
            raise ValueError(f"`{field_name}` cannot name {name!r}, which has a field: `{own}`.")
        require_amount(f"{field_name}[{name!r}]", amount)


def require_names(field_name: str, value: object) -> Mapping[str, object]:
    """The value, which has to map names to something."""
    if value is None:
        return {}
    if not is_mapping(value):
        raise TypeError(f"`{field_name}={value!r}` has to be a mapping from names, or None.")
    named: dict[str, object] = {}
    for name, content in value.items():
        if not isinstance(name, str):
            raise TypeError(f"`{field_name}` has the name {name!r}, which has to be text.")
        named[name] = content
    return named


def is_mapping(value: object) -> TypeIs[Mapping[object, object]]:
    return isinstance(value, Mapping)


def require_whole(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be a whole number, or None.")
    if value < 0:
        raise ValueError(f"`{name}={value}` cannot be negative.")


def require_store(size: int | None) -> None:
    require_whole("local_object_store", size)
    if size is not None and size < LEAST_STORE:
        raise ValueError(f"`local_object_store={size}` is too small: at least {LEAST_STORE} bytes.")


def require_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be True or False.")
