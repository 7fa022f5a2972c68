"""A constructor for all cluster managers: it takes what the recipe of the one named takes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, get_args, overload

from typing_extensions import ParamSpec, TypeVar

if TYPE_CHECKING:
    from amltk.backends.jobqueue import LSF, OAR, PBS, SGE, HTCondor, JobQueue, Moab, Slurm

__all__ = ["ByManager", "ForManager", "Manager", "by_manager"]

P1 = ParamSpec("P1")
P2 = ParamSpec("P2")
P3 = ParamSpec("P3")
P4 = ParamSpec("P4")
P5 = ParamSpec("P5")
P6 = ParamSpec("P6")
P7 = ParamSpec("P7")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Manager: TypeAlias = Literal["slurm", "pbs", "sge", "lsf", "moab", "htcondor", "oar"]
"""The cluster managers, as dask-jobqueue's configuration calls them."""


class ForManager(Protocol[T_co, P1, P2, P3, P4, P5, P6, P7]):
    """Makes something of the name of a manager, and of what its recipe is made of."""

    @overload
    def __call__(self, name: Literal["slurm"], /, *args: P1.args, **kwargs: P1.kwargs) -> T_co: ...
    @overload
    def __call__(self, name: Literal["pbs"], /, *args: P2.args, **kwargs: P2.kwargs) -> T_co: ...
    @overload
    def __call__(self, name: Literal["sge"], /, *args: P3.args, **kwargs: P3.kwargs) -> T_co: ...
    @overload
    def __call__(self, name: Literal["lsf"], /, *args: P4.args, **kwargs: P4.kwargs) -> T_co: ...
    @overload
    def __call__(self, name: Literal["moab"], /, *args: P5.args, **kwargs: P5.kwargs) -> T_co: ...
    @overload
    def __call__(
        self, name: Literal["htcondor"], /, *args: P6.args, **kwargs: P6.kwargs
    ) -> T_co: ...
    @overload
    def __call__(self, name: Literal["oar"], /, *args: P7.args, **kwargs: P7.kwargs) -> T_co: ...


class ByManager(Generic[P1, P2, P3, P4, P5, P6, P7]):
    """A `classmethod` that is called with the name of a manager, and what its recipe is made of."""

    def __init__(
        self,
        recipes: Mapping[str, Callable[..., JobQueue]],
        create: Callable[[type[Any], JobQueue], Any],
        /,
    ) -> None:
        self._recipes: Mapping[str, Callable[..., JobQueue]] = recipes
        self._create: Callable[[type[Any], JobQueue], Any] = create
        self.__doc__: str | None = create.__doc__

    def __get__(
        self, instance: object, owner: type[T], /
    ) -> ForManager[T, P1, P2, P3, P4, P5, P6, P7]:
        """Bind to the class to make an instance of."""

        def bound(name: str, /, *args: Any, **kwargs: Any) -> T:
            created: T = self._create(owner, recipe_for(name, self._recipes)(*args, **kwargs))
            return created

        functools.update_wrapper(bound, self._create)
        del vars(bound)["__wrapped__"]  # whose signature is not that of this
        for_any_manager: Callable[..., T] = bound
        return for_any_manager


def by_manager(  # noqa: PLR0913, PLR0917 - there are as many managers
    slurm: Callable[P1, Slurm],
    pbs: Callable[P2, PBS],
    sge: Callable[P3, SGE],
    lsf: Callable[P4, LSF],
    moab: Callable[P5, Moab],
    htcondor: Callable[P6, HTCondor],
    oar: Callable[P7, OAR],
    /,
) -> Callable[[Callable[[type[T], JobQueue], T]], ByManager[P1, P2, P3, P4, P5, P6, P7]]:
    """Have a function of a class and a recipe called with a name and the fields of that recipe."""
    recipes: tuple[Callable[..., JobQueue], ...] = (slurm, pbs, sge, lsf, moab, htcondor, oar)
    return partial(ByManager, dict(zip(get_args(Manager), recipes, strict=True)))


def recipe_for(
    name: str, recipes: Mapping[str, Callable[..., JobQueue]]
) -> Callable[..., JobQueue]:
    """The recipe of a manager.

    Raises:
        ValueError: If there is none of that name.
    """
    for known, recipe in recipes.items():
        if known == name:
            return recipe
    close = get_close_matches(f"{name}", recipes, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{name!r} is no cluster manager that is known: {', '.join(recipes)}.{hint}")
